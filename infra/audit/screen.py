"""An audit's result as text."""

from collections import defaultdict
from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from infra.audit.report import UNREAD, VIOLATED, Finding, Place, Report
from infra.status.screen import span
from infra.tables import Table, stacked

__all__ = ["screen"]

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_STYLES = {"clean": "green", "violated": "bold red", "unread": "bold yellow", "skipped": "yellow"}


def screen(report: Report) -> RenderableType:
    """Return each place, then each finding; the last line is the verdict."""
    tables = [_places(report.places), _unread(report.places), _findings(report.findings)]
    return stacked(*tables, _judgement(report))


def _places(places: Iterable[Place]) -> Table:
    table = Table("place", "read", "size", "oldest", "may be", "sealed: live, noise", "verdict")
    for place in places:
        table.add_row(
            Text(place.name),
            str(place.inspected),
            _size(place.bytes),
            _age(place.oldest_s),
            _age(place.bound_s),
            _seals(place),
            _verdict(place),
        )
    return table


def _seals(place: Place) -> str:
    if not place.live and not place.noise:
        return ""
    oldest = f" (oldest {_age(place.oldest_noise_s)})" if place.noise else ""
    return f"{place.live}, {place.noise}{oldest}"


def _verdict(place: Place) -> Text:
    words = f"{place.findings} found" if place.findings else place.verdict
    return Text(f"{words}, unread" if place.findings and place.why else words, _STYLES[place.verdict])


def _unread(places: Iterable[Place]) -> Table:
    """Return the places that were not read to their end, with the reason."""
    table = Table("not read to the end", "because", title="unread")
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for place in places:
        if place.why:
            reasons[place.why].append(place.name)
    for why, names in reasons.items():
        table.add_row(Text("\n".join(names)), Text(why))
    return table


def _findings(findings: Iterable[Finding]) -> Table:
    table = Table("found in", "at", "kind", "what", "age", "SHA-256", title="findings")
    for found in findings:
        where, what = Text(found.where), Text(found.what)
        table.add_row(Text(found.place), where, found.kind, what, _age(found.age_s), found.sha256)
    return table


def _judgement(report: Report) -> Text:
    unread = f"{len(report.unread)} of {len(report.places)} places were not read to their end"
    seconds = f"; took {report.took_s:.0f} s"
    match report.exit_code:
        case code if code == VIOLATED:
            more = f"; {unread}" if report.unread else ""
            return Text(f"violated: {report.count} findings, the first of each kind above{more}{seconds}", "bold red")
        case code if code == UNREAD:
            return Text(f"nothing found, but {unread}{seconds}", "bold yellow")
        case _:
            return Text(f"clean: no readable data where it must not be{seconds}", "green")


def _age(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _size(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
