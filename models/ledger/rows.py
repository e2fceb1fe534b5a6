"""The decider's state as rows: each event writes one, and every row has the offset of its event."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from models.contract.messages import Answer, Dispense, Placement, Revision, Sign
from models.contract.topics import Name
from models.keys.seals import Sealed
from models.ledger.outcomes import By
from models.ledger.report_numbers import Numbering
from models.ledger.rules.policy import GiveBack, Policy, Shortfall, SiteSpec
from models.ledger.rules.quota import Charge

__all__ = [
    "PARTITION_KEY",
    "Account",
    "Correction",
    "DispenserAccount",
    "Entry",
    "PartitionRow",
    "Remembered",
    "Row",
    "Settlement",
    "SiteRow",
    "VisitorAccount",
    "charges",
    "device_of",
    "dispenser_key",
    "is_visitor_key",
    "part_of",
    "site_key",
    "site_of",
    "visitor_key",
    "visitor_of",
]


class Entry(Struct, frozen=True, array_like=True, tag="asked"):
    """One request and its answer. A grant is reserved by it until a Settlement states what came out."""

    device: str
    id: str
    at: int
    by: By
    command: Answer
    """given again to a repetition"""

    @property
    def granted_cm(self) -> int:
        return self.command.cm if isinstance(self.command, Dispense) else 0

    @property
    def counts(self) -> bool:
        """Whether it counts against a limit: a grant, except to staff."""
        return self.by != "staff" and self.granted_cm > 0


class Settlement(Struct, frozen=True, array_like=True, tag="settled"):
    """The largest amount that a dispenser's reports state for one request."""

    device: str
    request: str
    at: int
    """when it happened"""
    cm: int
    shortfall: Shortfall | None = None
    """why less came out than was granted"""
    offset: int = -1
    """of the settling report"""
    more_cm: int = 0
    """what that report stated beyond earlier ones; returned again only if the report is redelivered"""
    granted_at: int | None = None
    """when its grant was decided, if one was known"""
    is_visitors: bool = False
    """The grant is in a visitor's account, so it counts against no button budget even if that account is erased."""

    @property
    def counts_from(self) -> int:
        """The time from which the paper counts."""
        return self.at if self.granted_at is None else self.granted_at


def charges(entry: Entry, settlement: Settlement | None, give_back: GiveBack) -> Iterator[Charge]:
    """Return what a grant counts: the dispensed length for a window, the rest until it is given back."""
    came, shortfall = (settlement.cm, settlement.shortfall) if settlement else (0, "unreported")
    if came:
        yield Charge(entry.at, came)
    if entry.granted_cm > came:
        yield Charge(entry.at, entry.granted_cm - came, entry.at + give_back.wait_ms(shortfall))


class Correction(Struct, frozen=True, array_like=True):
    """The partition's clock was in the future and was set back."""

    offset: int
    """of the event at which it was"""
    at: int
    """the time to which, milliseconds since 1970"""
    number: int
    """1 for the first"""


class _Row(Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    offset: int
    """of the event that wrote the row; the highest in a partition is the last folded one"""
    at: int
    """the partition's time at that event, milliseconds since 1970"""
    corrections: tuple[Correction, ...] = ()
    """of the partition's clock by then (`models.ledger.clock`)"""


class VisitorAccount(_Row, tag="visitor", frozen=True, kw_only=True):
    """A visitor that the site remembers: the template of the last grant, and the grants of the window."""

    model: str
    epoch: int
    template: bytes | None
    """In memory only; None if the key is destroyed. Only `sealed` is written."""
    sealed: Sealed | None = None
    """as ingress sealed it, bound to the last entry's request"""
    entries: tuple[Entry, ...]
    replaces: tuple[int, ...] = ()
    """Offsets of other visitors' rows whose grants this row took over; the next tick removes them."""


class DispenserAccount(_Row, tag="dispenser", frozen=True, kw_only=True):
    """A dispenser's grants without an identity, its refusals and settlements. Capped: a busy one has several rows.

    The last written row stays after its content has expired, for the numbers of the reports.
    """

    entries: tuple[Entry | Settlement, ...]
    numbering: Numbering = Numbering()


class SiteRow(_Row, tag="site", frozen=True, kw_only=True):
    """Mode, policy, epoch and hold of a site."""

    mode: Literal["face", "button"]
    """as configured"""
    placement: Placement = "entrance"
    sign: Sign = ""
    devices: tuple[Name, ...] = ()
    minors: bool = False
    simulated: bool = False
    policy: Policy
    floor: int
    """Nothing up to this moment counts again, even if a later policy has a longer window."""
    held: bool = False
    erased: int = -1
    """Visitors' accounts written up to this offset are void; ticks remove their rows."""
    epoch: int = 0
    epoch_at: int = 0
    """when it began, milliseconds since 1970"""
    revision: Revision = Revision(0, 0)
    """of the site's control as it is now"""
    removed: bool = False
    """The site was taken out of service; the next tick removes this row, and every account that was written before it.
    """

    @property
    def spec(self) -> SiteSpec:
        """What the operator configured."""
        return SiteSpec(
            devices=self.devices,
            placement=self.placement,
            mode=self.mode,
            minors=self.minors,
            sign=self.sign,
            simulated=self.simulated,
            policy=self.policy,
        )


class PartitionRow(_Row, tag="partition", frozen=True, kw_only=True):
    """The partition's own row: for ticks, repetitions, measurements."""


Remembered = tuple[Entry | Settlement, ...]
"""The content of an account."""
Account = VisitorAccount | DispenserAccount
Row = VisitorAccount | DispenserAccount | SiteRow | PartitionRow

PARTITION_KEY = "partition"


def visitor_key(site: str, visitor: str) -> str:
    """Return the key of a visitor's row; the state contains the pseudonym in these keys only."""
    return f"visitor/{site}/{visitor}"


def visitor_of(key: str) -> str:
    """Return the pseudonym in a visitor's key."""
    return key.rsplit("/", 1)[1]


def is_visitor_key(key: str) -> bool:
    """Return whether a row is a visitor's account."""
    return key.startswith("visitor/")


def dispenser_key(site: str, device: str, part: int) -> str:
    """Return the key of one of a dispenser's rows."""
    return f"dispenser/{site}/{device}/{part}"


def device_of(key: str) -> str:
    """Return the dispenser in a dispenser's key."""
    return key.split("/")[2]


def part_of(key: str) -> int:
    """Return the number of a dispenser's row from its key."""
    return int(key.rsplit("/", 1)[1])


def site_key(site: str) -> str:
    """Return the key of a site's row."""
    return f"site/{site}"


def site_of(key: str) -> str:
    """Return the site of a row's key; empty for the partition's row."""
    return key.split("/")[1] if "/" in key else ""
