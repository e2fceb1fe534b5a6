"""A site as a story: a partition, a clock that a test moves, and dispensers that ask."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from models.contract.face_models import face_model
from models.contract.messages import (
    ButtonPressed,
    Command,
    FaceSeen,
    ForgetRequested,
    Report,
    Request,
    StaffPressed,
)
from models.ledger.decision import Decision
from models.ledger.events import Event, Record, Reported, Requested, SiteConfigured, Ticked, UnreadableReport
from models.ledger.outcomes import Answered
from models.ledger.partition import Partition
from models.ledger.rules.policy import GiveBack, Policy

SITE = "park"
MODEL = "synthetic/1"
TEMPLATE_BITS = face_model(MODEL).bits
RESERVED = GiveBack(unreported_s=86_400)
"""For stories without reports: a grant counts for the whole window."""
SECRET = b"s" * 32
START = 1_700_000_000_000


def template(person: str, flipped: int = 0) -> bytes:
    """512 bits of a person, the first `flipped` of them turned round."""
    bits = int.from_bytes(hashlib.sha512(person.encode()).digest())
    return (bits ^ ((1 << flipped) - 1)).to_bytes(TEMPLATE_BITS // 8)


class Story:
    """Feeds a partition; `records` is what was fed, `decisions` what came of it."""

    def __init__(self, policy: Policy | None = None, mode: Literal["face", "button"] = "face") -> None:
        self.partition = Partition(SECRET)
        self.now = START
        self.records: list[Record] = []
        self.decisions: list[Decision] = []
        self.configure(policy or Policy(give_back=RESERVED), mode)

    def configure(self, policy: Policy, mode: Literal["face", "button"] = "face") -> Decision:
        return self.happens(SiteConfigured(site=SITE, mode=mode, policy=policy))

    def happens(self, event: Event) -> Decision:
        record = Record(offset=len(self.records), at=self.now, event=event)
        decision = self.partition.fold(record)
        self.records.append(record)
        self.decisions.append(decision)
        return decision

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    def ask(self, request: Request, device: str = "gate") -> Command:
        return self.answered(request, device).command

    def answered(self, request: Request, device: str = "gate") -> Answered:
        [outcome] = self.happens(Requested(site=SITE, device=device, request=request)).outcomes
        assert isinstance(outcome, Answered)
        return outcome

    def face(self, person: str, *, flipped: int = 0, request: str = "", device: str = "gate") -> Answered:
        return self.answered(
            FaceSeen(id=request or self.next_id(), model=MODEL, template=template(person, flipped)), device
        )

    def button(self, device: str = "gate") -> Answered:
        return self.answered(ButtonPressed(id=self.next_id()), device)

    def staff(self, device: str = "gate") -> Answered:
        return self.answered(StaffPressed(id=self.next_id()), device)

    def forget(self, person: str) -> Answered:
        return self.answered(ForgetRequested(id=self.next_id(), model=MODEL, template=template(person)))

    def report(self, report: Report | UnreadableReport, device: str = "gate") -> Decision:
        return self.happens(Reported(site=SITE, device=device, report=report))

    def tick(self) -> Decision:
        return self.happens(Ticked())

    def next_id(self) -> str:
        return f"request-{len(self.records):010d}"


def folded(records: Sequence[Record]) -> tuple[Partition, list[Decision]]:
    partition = Partition(SECRET)
    return partition, [partition.fold(record) for record in records]
