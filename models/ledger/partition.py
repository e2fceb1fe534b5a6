"""A partition in memory: its sites, its watermark, and the last folded offset."""

from collections.abc import Iterable, Mapping
from copy import copy
from typing import assert_never

from msgspec import structs

from models.contract.face_models import FACE_MODELS, FaceModel
from models.ledger.clock import Clock
from models.ledger.decision import Decision, Moment
from models.ledger.events import (
    EpochEnded,
    Event,
    Record,
    Reported,
    Requested,
    SiteConfigured,
    SiteHeld,
    SiteRemoved,
    SiteResumed,
    Ticked,
)
from models.ledger.fold import decide, site_changed
from models.ledger.outcomes import Outcome, SiteCounted
from models.ledger.pseudonyms import site_secret
from models.ledger.reports import kept_again
from models.ledger.requests import RequestContext, answer_again
from models.ledger.rows import (
    PARTITION_KEY,
    DispenserAccount,
    PartitionRow,
    Row,
    SiteRow,
    VisitorAccount,
    device_of,
    site_of,
)
from models.ledger.state.site import Site

__all__ = ["Partition"]


class Partition:
    """Folds the records of one partition, in the order of their offsets.

    It is determined by the rows that it wrote: restored from them in any order, it is the same.
    """

    def __init__(
        self,
        pipeline_secret: bytes,
        rows: Iterable[tuple[str, Row]] = (),
        models: Mapping[str, FaceModel] = FACE_MODELS,
    ) -> None:
        self._secret = pipeline_secret
        self._models = models
        self.sites: dict[str, Site] = {}
        self.offset = -1
        """the highest offset folded, -1 before the first"""
        self.clock = Clock()
        written = list(rows)
        if newest := max((row for _, row in written), key=lambda row: row.offset, default=None):
            self.offset, self.clock = newest.offset, Clock(newest.at, newest.corrections)
        for key, row in written:
            self._put(key, self.clock.corrected(row))

    @property
    def at(self) -> int:
        """The partition's time, milliseconds since 1970: the only clock of decisions."""
        return self.clock.at

    def fold(self, record: Record) -> Decision:
        """Decide a record and apply the decision."""
        decision = self.decide(record)
        self.apply(decision)
        return decision

    def pass_over(self, offset: int, at: int) -> Decision:
        """Record that `offset` holds an unreadable event."""
        clock = self.clock.seeing(offset, at) if offset > self.offset else self.clock
        row = PartitionRow(offset=max(self.offset, offset), at=clock.at, corrections=clock.corrections)
        self._follow(row)
        return Decision(outcomes=(), key=PARTITION_KEY, row=row)

    def decide(self, record: Record) -> Decision:
        """Decide a record; changes nothing. A redelivered one, at or below `offset`, gets its answer again, no row."""
        if record.offset <= self.offset:
            return Decision(outcomes=self._again(record))
        clock = self.clock.seeing(record.offset, record.at)
        partition = self if clock.corrections == self.clock.corrections else self._set_back(clock)
        decision = partition._decide(record.event, clock, record.offset)  # noqa: SLF001 - another of this class
        if decision.row is None or not clock.corrections:
            return decision
        return structs.replace(decision, row=structs.replace(decision.row, corrections=clock.corrections))

    def apply(self, decision: Decision) -> None:
        """Apply the rows of a decision."""
        for key in decision.removed:
            self._site(site_of(key)).remove(key)
        for name in {site_of(key) for key in decision.removed}:
            if self.sites[name].is_empty:
                del self.sites[name]
        if decision.row is not None:
            self._follow(decision.row)
            self._put(decision.key, decision.row)
            self._expire(decision, decision.row)

    def ended_epochs(self) -> list[EpochEnded]:
        """Return the sites whose template keys have expired."""
        rows = ((name, site.settings) for name, site in sorted(self.sites.items()) if site.mode == "face")
        return [
            EpochEnded(site=name, epoch=row.epoch)
            for name, row in rows
            if row and self.at >= row.epoch_at + 1000 * row.policy.epoch_s
        ]

    def _set_back(self, clock: Clock) -> "Partition":
        """Return the partition after a correction of its clock, with no time in the future."""
        other = copy(self)
        other.clock, other.sites = clock, {name: site.rebuilt(clock.corrected) for name, site in self.sites.items()}
        return other

    def _follow(self, row: Row) -> None:
        """Take over the offset and the clock of a row that was written."""
        clock = Clock(row.at, row.corrections)
        if clock.corrections != self.clock.corrections:
            self.sites = self._set_back(clock).sites
        self.offset, self.clock = row.offset, clock

    def _decide(self, event: Event, clock: Clock, offset: int) -> Decision:
        match event:
            case Ticked():
                return self._tick(clock, offset)
            case (
                Requested() | Reported() | SiteConfigured() | SiteRemoved() | SiteHeld() | SiteResumed() | EpochEnded()
            ):
                return decide(self._site(event.site), event, at=clock.at, offset=offset)
            case unknown:
                assert_never(unknown)

    def _tick(self, clock: Clock, offset: int) -> Decision:
        """Erase what has expired, and count what each site that is served remembers."""
        at = clock.at
        expired = {name: site.expired(site.horizon(at)) for name, site in sorted(self.sites.items())}
        return Decision(
            outcomes=tuple(_counted(self.sites[name], clock, offset) for name in expired if self.sites[name].is_served),
            removed=tuple(key for keys in expired.values() for key in keys),
            key=PARTITION_KEY,
            row=PartitionRow(offset=offset, at=at),
        )

    def _again(self, record: Record) -> tuple[Outcome, ...]:
        event = record.event
        if isinstance(event, Ticked):
            return ()
        site = self._site(event.site)
        moment = Moment(self.at, record.offset, site.horizon(self.at))
        match event:
            case Requested():
                answered = answer_again(RequestContext(site, event, moment))
                return (answered,) if answered else ()
            case Reported():
                return (kept_again(site, event, moment),)
            case SiteConfigured() | SiteRemoved() | SiteHeld() | SiteResumed() | EpochEnded():
                return site_changed(site.name, site.settings) if site.settings else ()

    def _site(self, name: str) -> Site:
        if name not in self.sites:
            self.sites[name] = Site(name, site_secret(self._secret, name), self._models)
        return self.sites[name]

    def _expire(self, decision: Decision, row: Row) -> None:
        """Remove expired amounts from the sums of the row's dispenser; at a tick, of all dispensers."""
        match row:
            case DispenserAccount():
                self._expire_sums(site_of(decision.key), device_of(decision.key))
            case VisitorAccount():
                self._expire_sums(site_of(decision.key), row.entries[-1].device)
            case SiteRow() | PartitionRow():
                for outcome in decision.outcomes:
                    if isinstance(outcome, SiteCounted):
                        self._expire_sums(outcome.site)

    def _expire_sums(self, site: str, device: str | None = None) -> None:
        known = self._site(site)
        known.requests.expire(known.horizon(self.at), device)

    def _put(self, key: str, row: Row) -> None:
        if key != PARTITION_KEY:
            self._site(site_of(key)).put(key, row)


def _counted(site: Site, clock: Clock, offset: int) -> SiteCounted:
    at = clock.at
    horizon = site.horizon(at)
    oldest = site.oldest_template(horizon)
    wrongful, missed = site.expected_errors(horizon)
    return SiteCounted(
        site=site.name,
        offset=offset,
        at=at,
        templates=site.count_templates(horizon),
        accounts=site.count_accounts(horizon),
        oldest_s=0.0 if oldest is None else (at - oldest) / 1000,
        mode=site.mode,
        epoch=site.epoch,
        epoch_age_s=(at - site.settings.epoch_at) / 1000 if site.settings else 0.0,
        window_s=site.policy.window_s,
        wrongful=wrongful,
        missed=missed,
        corrections=clock.corrections[-1].number if clock.corrections else 0,
    )
