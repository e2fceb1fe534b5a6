"""A partition in memory: its sites, its time, and the offset that it folded last."""

from collections.abc import Iterable, Mapping
from typing import assert_never

from models.contract.face_models import FACE_MODELS, FaceModel
from models.ledger.decision import Decision, Moment
from models.ledger.events import (
    EpochEnded,
    Record,
    Reported,
    Requested,
    SiteConfigured,
    SiteHeld,
    SiteResumed,
    Ticked,
)
from models.ledger.fold import control_changed, decide
from models.ledger.outcomes import Outcome, SiteCounted
from models.ledger.pseudonyms import site_secret
from models.ledger.reports import kept_again
from models.ledger.requests import Asked, answer_again
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

    Everything in it comes from the rows that it wrote: put them back in any order and it is the same again.
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
        self.at = 0
        """the latest append time seen, milliseconds since 1970: the only clock of decisions"""
        for key, row in rows:
            self._put(key, row)

    def fold(self, record: Record) -> Decision:
        """Decide a record and apply the decision."""
        decision = self.decide(record)
        self.apply(decision)
        return decision

    def pass_over(self, offset: int, at: int) -> Decision:
        """Record that `offset` holds an unreadable event."""
        row = PartitionRow(offset=max(self.offset, offset), at=max(self.at, at))
        self._put(PARTITION_KEY, row)
        return Decision(outcomes=(), key=PARTITION_KEY, row=row)

    def decide(self, record: Record) -> Decision:
        """Decide a record and change nothing. One at or below `offset` gets its answer again, and writes no row."""
        if record.offset <= self.offset:
            return Decision(outcomes=self._again(record))
        at = max(self.at, record.at)
        match record.event:
            case Ticked():
                return self._tick(at, record.offset)
            case (Requested() | Reported() | SiteConfigured() | SiteHeld() | SiteResumed() | EpochEnded()) as event:
                return decide(self._site(event.site), event, at=at, offset=record.offset)
            case unknown:
                assert_never(unknown)

    def apply(self, decision: Decision) -> None:
        """Take over the rows of a decision."""
        for key in decision.removed:
            self._site(site_of(key)).remove(key)
        if decision.row is not None:
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

    def _tick(self, at: int, offset: int) -> Decision:
        """Erase what has expired, and count what each site remembers."""
        expired = {name: site.expired(site.horizon(at)) for name, site in sorted(self.sites.items())}
        return Decision(
            outcomes=tuple(_counted(self.sites[name], at, offset) for name in expired),
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
                answered = answer_again(Asked(site, event, moment))
                return (answered,) if answered else ()
            case Reported():
                return (kept_again(site, event, moment),)
            case SiteConfigured() | SiteHeld() | SiteResumed() | EpochEnded():
                return (control_changed(site.name, site.settings),) if site.settings else ()

    def _site(self, name: str) -> Site:
        if name not in self.sites:
            self.sites[name] = Site(name, site_secret(self._secret, name), self._models)
        return self.sites[name]

    def _expire(self, decision: Decision, row: Row) -> None:
        """Take what expired out of the sums of the dispenser that a row is about, at a tick of all dispensers."""
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
        self.offset, self.at = max(self.offset, row.offset), max(self.at, row.at)
        if key != PARTITION_KEY:
            self._site(site_of(key)).put(key, row)


def _counted(site: Site, at: int, offset: int) -> SiteCounted:
    horizon = site.horizon(at)
    oldest = site.oldest_template(horizon)
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
        wrongful=site.false_matches(horizon),
    )
