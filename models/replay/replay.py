"""A replay: recorded events through the same fold as live, each compared with its recorded outcomes. Pure.

A trial policy is applied by rewriting `SiteConfigured` events and the settings from before the recording, trial
thresholds by other face models. Everything else is as recorded.

An identity comes from the template where it can be read, and from the recorded decision where it cannot. Once a site
needed a recorded identity, the rest of its replay uses recorded identities: a visitor who was identified by the record
has no template, so no search could match them again.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import structs

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS, FaceModel
from models.contract.messages import FaceSeen, ForgetRequested, Forgotten
from models.errors import MalformedMessage
from models.ledger.codec import decode_outcome
from models.ledger.events import Event, Recalled, Record, Requested, SiteConfigured, Ticked
from models.ledger.outcomes import (
    Answered,
    ControlChanged,
    EpochBegan,
    Held,
    Outcome,
    Removed,
    ReportKept,
    SiteCounted,
    SiteRegistered,
)
from models.ledger.partition import Partition
from models.ledger.rows import Row, SiteRow, site_key
from models.ledger.state.site import Site
from models.replay.recording import RecordedEvent, Recording, read_outcome_header, without_template

__all__ = ["Comparison", "IdentitySource", "Replay", "Replayed", "Rewrite", "recorded_answer", "unchanged"]

Rewrite = Callable[[SiteConfigured], SiteConfigured]
"""Replaces a site's settings."""


def unchanged(event: SiteConfigured) -> SiteConfigured:
    """Keep the settings as recorded."""
    return event


class IdentitySource(StrEnum):
    """Where the identity of a visitor came from."""

    TEMPLATE = "template"
    RECORD = "record"
    NOTHING = ""
    """no face was compared"""


class Comparison(StrEnum):
    """A replayed decision compared with the recorded one."""

    EQUAL = "equal"
    """byte for byte"""
    DIFFERENT = "different"
    UNPROVEN = "unproven"
    """different, and it depends on something that the recording does not hold"""
    MISSING = "missing"
    """no recorded outcome"""


class Replayed(NamedTuple):
    """A recorded event, folded again."""

    recorded: RecordedEvent
    outcomes: tuple[Outcome, ...]
    """without controls and registrations, which are not recorded with their events"""
    identity_source: IdentitySource
    is_proven: bool
    """whether everything that the decision depends on lies within the recording"""
    comparison: Comparison
    failure: str = ""
    """error of the fold; such an event is skipped"""


class Replay:
    """Folds recorded events, in offset order within each partition, in memory."""

    def __init__(
        self,
        recording: Recording,
        pipeline_secret: bytes,
        rewrite: Rewrite = unchanged,
        models: Mapping[str, FaceModel] | None = None,
    ) -> None:
        self._recording = recording
        self._secret = pipeline_secret
        self._rewrite = rewrite
        self._models = models
        self._is_trial = rewrite is not unchanged or models is not None
        """Answers are expected to differ, so a difference does not show missing knowledge."""
        self.partitions: dict[int, Partition] = {}
        self._first_at: dict[int, int] = {}
        """time of each partition's first event; 0 where nothing before it is missing"""
        self._diverged_at: dict[str, int] = {}
        """when a site last gave another answer than recorded, for something that the recording does not hold"""
        self._by_record: set[str] = set()
        """sites that use recorded identities"""

    def fold(self, recorded: RecordedEvent) -> Replayed:
        """Decide the event again. Never raises: an error of the fold is returned as `failure`."""
        partition = self._partition(recorded)
        event, source = self._with_identity(recorded)
        is_proven = self._is_proven(partition, recorded)
        try:
            decided = partition.fold(Record(offset=recorded.offset, at=recorded.at, event=event)).outcomes
            failure = ""
        except Exception as error:  # noqa: BLE001 - a defect of the fold: reported, and the other events are replayed
            partition.pass_over(recorded.offset, recorded.at)
            decided, failure = (), f"the fold fails on it: {type(error).__name__}: {error}"
        outcomes = tuple(outcome for outcome in decided if not isinstance(outcome, ControlChanged | SiteRegistered))
        comparison = self._compare(recorded, outcomes, is_proven)
        if comparison is Comparison.UNPROVEN and isinstance(event, Requested) and not self._is_trial:
            self._diverged_at[event.site] = recorded.at
        if not any(_has_identity(outcome) for outcome in outcomes):
            source = IdentitySource.NOTHING
        return Replayed(recorded, outcomes, source, is_proven, comparison, failure)

    def site(self, recorded: RecordedEvent) -> Site | None:
        """Return the present state of the event's site, if there is any."""
        event = recorded.event
        return None if isinstance(event, Ticked) else self._partition(recorded).sites.get(event.site)

    def _partition(self, recorded: RecordedEvent) -> Partition:
        number = recorded.partition
        if number not in self.partitions:
            settings = self._recording.settings.get(number, {})
            rows = [(site_key(site), _rewritten(site, row, self._rewrite)) for site, row in settings.items()]
            self.partitions[number] = Partition(self._secret, rows, self._models or FACE_MODELS)
            self._first_at[number] = recorded.at if self._recording.first.get(number) else 0
        return self.partitions[number]

    def _with_identity(self, recorded: RecordedEvent) -> tuple[Event, IdentitySource]:
        """Return the event to fold, and where its identity comes from."""
        event = recorded.event
        if isinstance(event, SiteConfigured):
            return self._rewrite(event), IdentitySource.NOTHING
        if not isinstance(event, Requested) or not isinstance(event.request, FaceSeen | ForgetRequested):
            return event, IdentitySource.NOTHING
        answered = recorded_answer(recorded)
        is_readable = event.request.template is not None and not (answered and answered.identity == "unreadable")
        if is_readable and event.site not in self._by_record:
            return event, IdentitySource.TEMPLATE
        recalled = _recalled(event, answered)
        if isinstance(recalled, Recalled) and recalled.identity != "unreadable":
            self._by_record.add(event.site)
        return recalled, IdentitySource.RECORD

    def _is_proven(self, partition: Partition, recorded: RecordedEvent) -> bool:
        if self._recording.devices:
            return False
        if self._first_at[recorded.partition] == 0 and not self._diverged_at:
            return True
        names = _sites(recorded) | (set(partition.sites) if isinstance(recorded.event, Ticked) else set())
        return all(self._is_site_proven(name, partition, recorded) for name in names)

    def _is_site_proven(self, name: str, partition: Partition, recorded: RecordedEvent) -> bool:
        since = max(self._first_at[recorded.partition], self._diverged_at.get(name, 0))
        site = partition.sites.get(name)
        has_settings = self._has_settings(name, recorded.partition)
        return since == 0 or (site is not None and has_settings and site.horizon(recorded.at) >= since)

    def _has_settings(self, site: str, partition: int) -> bool:
        """Return whether the site's policy, epoch and hold at the beginning of the recording are recorded."""
        recording = self._recording
        recorded = recording.settings.get(partition, {}).keys() - set(recording.guessed)
        return self._first_at[partition] == 0 or site in recorded

    def _compare(self, recorded: RecordedEvent, outcomes: tuple[Outcome, ...], is_proven: bool) -> Comparison:
        now, before = {encode(outcome) for outcome in outcomes}, {bytes(outcome) for outcome in recorded.outcomes}
        if now == before:
            return Comparison.EQUAL
        if not before:
            return Comparison.MISSING
        if not is_proven or self._comparable(now, recorded.partition) == self._comparable(before, recorded.partition):
            return Comparison.UNPROVEN
        return Comparison.DIFFERENT

    def _comparable(self, outcomes: set[bytes], partition: int) -> set[bytes]:
        """Drop what depends on unreadable templates or on events before the recording."""
        return {kept for value in outcomes if (kept := self._comparable_outcome(value, partition))}

    def _comparable_outcome(self, value: bytes, partition: int) -> bytes | None:
        try:
            outcome = decode_outcome(value)
        except MalformedMessage:  # written by another version
            return value
        match outcome:
            case SiteCounted() | Held() | Removed() | EpochBegan() if (
                outcome.site in self._by_record
            ):  # they count templates
                return None
            case ReportKept() if self._first_at[partition]:  # earlier report numbers are not recorded
                return encode(structs.replace(outcome, missing=0, cm=0, excess_cm=0))
            case _:
                return value


def _rewritten(site: str, row: SiteRow, rewrite: Rewrite) -> Row:
    """Rewrite the settings from before the recording like the event that set them."""
    new = rewrite(SiteConfigured(site=site, mode=row.mode, policy=row.policy, placement=row.placement))
    mode = "button" if new.placement == "inside" else new.mode
    return structs.replace(row, mode=mode, policy=new.policy, placement=new.placement)


def _sites(recorded: RecordedEvent) -> set[str]:
    """Return the event's site; for a tick, the sites of its outcomes."""
    if isinstance(recorded.event, Ticked):
        return {read_outcome_header(bytes(outcome)).site for outcome in recorded.outcomes}
    return {recorded.event.site}


def recorded_answer(recorded: RecordedEvent) -> Answered | None:
    """Return the answer that was recorded for a request."""
    for value in recorded.outcomes:
        try:
            outcome = decode_outcome(bytes(value))
        except MalformedMessage:  # written by another version
            continue
        if isinstance(outcome, Answered):
            return outcome
    return None


def _recalled(event: Requested, answered: Answered | None) -> Requested:
    """Return the request with its recorded identity in place of its template."""
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
        crowd=answered.crowd,
        threshold=answered.threshold,
        erased=answered.command.erased if isinstance(answered.command, Forgotten) else 0,
    )


def _has_identity(outcome: Outcome) -> bool:
    """Return whether the outcome depends on who asked."""
    if not isinstance(outcome, Answered):
        return False
    return outcome.identity not in (None, "unreadable") or isinstance(outcome.command, Forgotten)
