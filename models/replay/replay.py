"""A replay: happenings -> fold -> decisions, the same fold as live, beside what was said then. Pure.

A policy is tried by rewriting the `SiteConfigured` events, and a site's settings from before the recording alike;
thresholds by other face models. Everything else is as it happened.

Who somebody was is found by a template where it can be read, and taken from the decision of then where it cannot. Once
a site needed the record, it is replayed on the record to its end: whoever was known by it has no template, so no search
could find them again.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import structs

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS, FaceModel
from models.contract.messages import FaceSeen, ForgetAsked, Forgotten
from models.errors import MalformedMessage
from models.ledger.codec import decode_outcome
from models.ledger.events import Event, Recalled, Record, Requested, SiteConfigured, Ticked
from models.ledger.outcomes import Answered, ControlChanged, EpochBegan, Held, Outcome, ReportKept, SiteCounted
from models.ledger.partition import Partition
from models.ledger.rows import Row, SiteRow, site_key
from models.ledger.site import Site
from models.replay.recording import Happening, Recording, read_saying, without_template

__all__ = ["Known", "Likeness", "Replay", "Replayed", "Rewrite", "answered_then", "as_it_was"]

Rewrite = Callable[[SiteConfigured], SiteConfigured]
"""What a site's settings are instead."""


def as_it_was(event: SiteConfigured) -> SiteConfigured:
    """Rewrite nothing."""
    return event


class Known(StrEnum):
    """What told who somebody was."""

    TEMPLATE = "template"
    RECORD = "record"
    NOTHING = ""
    """nobody was looked at, or could be known"""


class Likeness(StrEnum):
    """What a replay says, beside what was said then."""

    EQUAL = "equal"
    """byte for byte"""
    DIFFERENT = "different"
    UNPROVEN = "unproven"
    """different, and it depends on what the recording does not hold"""
    UNSAID = "unsaid"
    """nothing was said then, or the recording does not have it"""


class Replayed(NamedTuple):
    """One happening, folded again."""

    happening: Happening
    outcomes: tuple[Outcome, ...]
    """controls apart, which the record does not hold with their events"""
    known: Known
    is_proven: bool
    """whether all that counts for it lies within the recording"""
    likeness: Likeness
    failure: str = ""
    """why the fold could not decide it: a fault of ours, and the event is passed over"""


class Replay:
    """Folds happenings in the order of their partitions; in memory, and nothing else comes of it."""

    def __init__(
        self,
        recording: Recording,
        pipeline_secret: bytes,
        rewrite: Rewrite = as_it_was,
        models: Mapping[str, FaceModel] | None = None,
    ) -> None:
        self._recording = recording
        self._secret = pipeline_secret
        self._rewrite = rewrite
        self._models = models
        self._is_trial = rewrite is not as_it_was or models is not None
        """whether answers are to be other ones: then a difference tells nothing of what is not known"""
        self.partitions: dict[int, Partition] = {}
        self._begun: dict[int, int] = {}
        """the time of each partition's first happening; 0 where nothing is missing before it"""
        self._astray: dict[str, int] = {}
        """when it last gave an answer otherwise than then, for what it could not know"""
        self._on_record: set[str] = set()

    def fold(self, happening: Happening) -> Replayed:
        """Decide it again. It never raises."""
        partition = self._partition(happening)
        event, known = self._known(happening)
        is_proven = self._is_proven(partition, happening)
        try:
            said = partition.fold(Record(offset=happening.offset, at=happening.at, event=event)).outcomes
            failure = ""
        except Exception as error:  # noqa: BLE001 - a fault of ours: told, and the others are replayed all the same
            partition.pass_over(happening.offset, happening.at)
            said, failure = (), f"the fold fails on it: {type(error).__name__}: {error}"
        outcomes = tuple(outcome for outcome in said if not isinstance(outcome, ControlChanged))
        likeness = self._likeness(happening, outcomes, is_proven)
        if likeness is Likeness.UNPROVEN and isinstance(event, Requested) and not self._is_trial:
            self._astray[event.site] = happening.at
        if not any(_names_somebody(outcome) for outcome in outcomes):
            known = Known.NOTHING
        return Replayed(happening, outcomes, known, is_proven, likeness, failure)

    def site(self, happening: Happening) -> Site | None:
        """What is known now of the site that something happens at; None: nothing yet."""
        event = happening.event
        return None if isinstance(event, Ticked) else self._partition(happening).sites.get(event.site)

    def _partition(self, happening: Happening) -> Partition:
        number = happening.partition
        if number not in self.partitions:
            settings = self._recording.settings.get(number, {})
            rows = [(site_key(site), _rewritten(site, row, self._rewrite)) for site, row in settings.items()]
            self.partitions[number] = Partition(self._secret, rows, self._models or FACE_MODELS)
            self._begun[number] = happening.at if self._recording.first.get(number) else 0
        return self.partitions[number]

    def _known(self, happening: Happening) -> tuple[Event, Known]:
        """The event as it is folded, and what tells who it was."""
        event = happening.event
        if isinstance(event, SiteConfigured):
            return self._rewrite(event), Known.NOTHING
        if not isinstance(event, Requested) or not isinstance(event.request, FaceSeen | ForgetAsked):
            return event, Known.NOTHING
        answered = answered_then(happening)
        is_readable = event.request.template is not None and not (answered and answered.identity == "unreadable")
        if is_readable and event.site not in self._on_record:
            return event, Known.TEMPLATE
        recalled = _recalled(event, answered)
        if isinstance(recalled, Recalled) and recalled.identity != "unreadable":
            self._on_record.add(event.site)
        return recalled, Known.RECORD

    def _is_proven(self, partition: Partition, happening: Happening) -> bool:
        """Whether nothing that counts lies before the recording, beside it, or in what a record does not tell."""
        if self._recording.devices:
            return False
        if self._begun[happening.partition] == 0 and not self._astray:
            return True
        names = _sites(happening) | (set(partition.sites) if isinstance(happening.event, Ticked) else set())
        return all(self._is_site_proven(name, partition, happening.partition, happening.at) for name in names)

    def _is_site_proven(self, name: str, partition: Partition, number: int, at: int) -> bool:
        since = max(self._begun[number], self._astray.get(name, 0))
        site = partition.sites.get(name)
        return since == 0 or (site is not None and self._is_settled(name, number) and site.horizon(at) >= since)

    def _is_settled(self, site: str, partition: int) -> bool:
        """Whether it is known how the site worked when the recording began: its policy, its epoch, a hold."""
        recording = self._recording
        known = recording.settings.get(partition, {}).keys() - set(recording.guessed)
        return self._begun[partition] == 0 or site in known

    def _likeness(self, happening: Happening, outcomes: tuple[Outcome, ...], is_proven: bool) -> Likeness:
        now, then = {encode(outcome) for outcome in outcomes}, {bytes(said) for said in happening.said}
        if now == then:
            return Likeness.EQUAL
        if not then:
            return Likeness.UNSAID
        if not is_proven or self._sure(now, happening.partition) == self._sure(then, happening.partition):
            return Likeness.UNPROVEN
        return Likeness.DIFFERENT

    def _sure(self, said: set[bytes], partition: int) -> set[bytes]:
        """What of it does not depend on templates that nobody can read, or on what was before the recording."""
        return {sure for value in said if (sure := self._without_doubt(value, partition))}

    def _without_doubt(self, value: bytes, partition: int) -> bytes | None:
        try:
            outcome = decode_outcome(value)
        except MalformedMessage:  # another version's
            return value
        match outcome:
            case SiteCounted() | Held() | EpochBegan() if outcome.site in self._on_record:  # they count templates
                return None
            case ReportKept() if self._begun[partition]:  # which numbers came before is not known
                return encode(structs.replace(outcome, missing=0, cm=0))
            case _:
                return value


def _rewritten(site: str, row: SiteRow, rewrite: Rewrite) -> Row:
    """Settings from before the recording, rewritten as the event would be that set them."""
    told = SiteConfigured(site=site, mode=row.mode, policy=row.policy, placement=row.placement)
    new = rewrite(told)
    mode = "button" if new.placement == "inside" else new.mode
    return structs.replace(row, mode=mode, policy=new.policy, placement=new.placement)


def _sites(happening: Happening) -> set[str]:
    """Of the event, or, of a tick, of what was said of it."""
    if isinstance(happening.event, Ticked):
        return {read_saying(bytes(said)).site for said in happening.said}
    return {happening.event.site}


def answered_then(happening: Happening) -> Answered | None:
    """What its dispenser was answered then."""
    for said in happening.said:
        try:
            outcome = decode_outcome(bytes(said))
        except MalformedMessage:  # another version's
            continue
        if isinstance(outcome, Answered):
            return outcome
    return None


def _recalled(event: Requested, answered: Answered | None) -> Requested:
    """The request with what was found of it then, in the place of its template."""
    bare = without_template(event)
    if answered is None or answered.repeated or not (answered.identity or isinstance(answered.command, Forgotten)):
        return bare
    return Recalled(
        site=bare.site,
        device=bare.device,
        request=bare.request,
        patience_s=bare.patience_s,
        identity=answered.identity or "unreadable",
        visitor=answered.visitor,
        score=answered.score,
        erased=answered.command.erased if isinstance(answered.command, Forgotten) else 0,
    )


def _names_somebody(outcome: Outcome) -> bool:
    """Whether an answer depends on who asked."""
    if not isinstance(outcome, Answered):
        return False
    return outcome.identity not in (None, "unreadable") or isinstance(outcome.command, Forgotten)
