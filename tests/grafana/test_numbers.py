"""What panels tell is what was decided, counted again from the decisions themselves and without the sink's code."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from msgspec import Struct

from grafana.boards import BOARDS
from grafana.interpolation import ALL, interpolated
from models.contract.messages import Dispense, Forgotten, Refuse
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Answered, ReportKept
from tests.e2e.pipeline_client import records
from tests.grafana.influx import Series, ask
from tests.grafana.scene import PERIOD_S, K, Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


class Cell(NamedTuple):
    """What one point of `answers` stands for."""

    site: str
    period: int
    by: str
    outcome: str
    reason: str | None


class Compared(NamedTuple):
    """What one pair of the shadow stands for."""

    site: str
    period: int
    live: str
    tried: str


class Counted(Struct, frozen=True, kw_only=True):
    """The decisions, counted."""

    cells: Counter[Cell]
    cm: Counter[Cell]
    erased: Counter[Cell]
    waits: dict[tuple[str, int], list[int]]
    repeats: int
    reports: list[ReportKept]

    def received(self) -> list[Cell]:
        return [cell for cell, n in self.cells.items() if n >= K]

    @property
    def suppressed(self) -> int:
        return sum(n for n in self.cells.values() if n < K)

    def n(self, outcome: str, **wanted: str) -> int:
        return sum(self.cells[cell] for cell in self.received() if matches(cell, outcome, wanted))


def matches(cell: Cell, outcome: str, wanted: dict[str, str]) -> bool:
    return cell.outcome == outcome and all(getattr(cell, name) == value for name, value in wanted.items())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def counted(scene: Scene) -> Counted:
    kept = [
        (record.at, decode_outcome(record.value))
        for record in await records(scene.settings, scene.settings.topics.decisions)
    ]
    return count(kept)


def count(kept: Iterable[tuple[int, object]]) -> Counted:
    cells, cm, erased = Counter[Cell](), Counter[Cell](), Counter[Cell]()
    waits = defaultdict[tuple[str, int], list[int]](list)
    repeats, reports = 0, []
    for appended, outcome in kept:
        if isinstance(outcome, ReportKept):
            reports.append(outcome)
        if not isinstance(outcome, Answered):
            continue
        if outcome.repeated:
            repeats += 1
            continue
        cell = cell_of(outcome)
        cells[cell] += 1
        cm[cell] += outcome.command.cm if isinstance(outcome.command, Dispense) else 0
        erased[cell] += outcome.command.erased if isinstance(outcome.command, Forgotten) else 0
        waits[cell.site, cell.period].append(appended - outcome.at)
    return Counted(cells=cells, cm=cm, erased=erased, waits=dict(waits), repeats=repeats, reports=reports)


def cell_of(answered: Answered) -> Cell:
    kinds = {Dispense: "dispense", Refuse: "refuse", Forgotten: "forgotten"}
    reason = answered.command.reason if isinstance(answered.command, Refuse) else None
    period = answered.at // (1000 * PERIOD_S)
    return Cell(answered.site, period, answered.by, kinds[type(answered.command)], reason)


def percentile(waits: Sequence[int], percent: int) -> int:
    return sorted(waits)[math.ceil(percent * len(waits) / 100) - 1]


async def shown(scene: Scene, board: str, panel: str, site: str = ALL, query: int = 0) -> list[Series]:
    """What a panel's query returns."""
    [found] = [b for b in BOARDS if b.title == board]
    [meant] = [p for p in found.panels if p.title == panel]
    hours = int(meant.over[:-1]) * {"h": 1, "d": 24}[meant.over[-1]] if meant.over else 0
    since = scene.until_ms - 3_600_000 * hours if hours else scene.since_ms
    chosen = {"site": site, "device": ALL, "portion": "60", "shadow": "shadow"}
    text = meant.queries[query].text(found.scope)
    return await ask(scene.settings, interpolated(text, since, scene.until_ms, interval="10s", chosen=chosen))


def by(series: list[Series], column: str, *tags: str) -> dict[str, int]:
    """Sums over time, by tags."""
    found = Counter[str]()
    for one in series:
        found[" ".join(one.tags[tag] for tag in tags)] += sum(one.of(column))
    return {name: n for name, n in found.items() if n}


def only(series: list[Series], column: str) -> float:
    [one] = series
    [value] = one.of(column)
    return float(value)


async def test_the_scene_has_enough_of_everything_to_compare(counted: Counted) -> None:
    assert counted.n("dispense") > 100
    assert counted.n("refuse", reason="quota") >= K
    assert counted.n("forgotten") >= K
    assert counted.suppressed > 0
    assert counted.repeats >= 1


async def test_portions_refusals_and_what_is_left_out_add_up_to_all_requests(scene: Scene, counted: Counted) -> None:
    assert only(await shown(scene, "City", "Portions"), "portions") == counted.n("dispense")
    assert only(await shown(scene, "City", "Refusals"), "refusals") == counted.n("refuse")
    assert only(await shown(scene, "City", "Left out for privacy"), "left out") == counted.suppressed
    requests = by(await shown(scene, "City", "Requests by site"), "requests", "site")
    assert requests == dict(count_by(counted.cells, "site"))
    assert sum(requests.values()) == sum(map(counted.n, ("dispense", "refuse", "forgotten"))) + counted.suppressed


async def test_refusals_by_reason(scene: Scene, counted: Counted) -> None:
    refused = Counter({cell: counted.cells[cell] for cell in counted.received() if cell.outcome == "refuse"})
    for board, site in (("City", ALL), ("Site", "meadow"), ("Site", "hall")):
        expected = count_by({c: n for c, n in refused.items() if site in (ALL, c.site)}, "reason")
        assert by(await shown(scene, board, "Refusals and why", site), "refusals", "reason") == expected


async def test_centimetres_granted_and_saved(scene: Scene, counted: Counted) -> None:
    granted = sum(counted.cm[cell] for cell in counted.received())
    assert only(await shown(scene, "City", "Paper granted"), "granted") == granted
    saved = only(await shown(scene, "City", "Paper saved, at most"), "saved")
    assert saved == 60 * counted.n("refuse")


async def test_how_people_asked_and_were_answered(scene: Scene, counted: Counted) -> None:
    received = {cell: counted.cells[cell] for cell in counted.received() if cell.site == "meadow"}
    asked = await shown(scene, "Site", "By face, button or staff", "meadow")
    assert by(asked, "requests", "by") == count_by(received, "by")
    answers = await shown(scene, "Site", "Answers", "meadow")
    assert by(answers, "answers", "outcome") == count_by(received, "outcome")
    [forgotten] = await shown(scene, "Privacy", "Forgotten on request")
    assert sum(forgotten.of("asked")) == counted.n("forgotten")
    assert sum(forgotten.of("erased")) == sum(counted.erased[cell] for cell in counted.received())


async def test_waits_are_those_of_every_site_and_period(scene: Scene, counted: Counted) -> None:
    for site in ("meadow", "hall"):
        [waits] = await shown(scene, "Site", "People's waits", site)
        for column, percent in {"p50": 50, "p95": 95, "p99": 99, "longest": 100}.items():
            periods = sorted(period for of, period in counted.waits if of == site)
            enough = [counted.waits[site, period] for period in periods if len(counted.waits[site, period]) >= K]
            assert waits.of(column) == [percentile(of, percent) for of in enough]
    worst = max(percentile(of, 99) for of in counted.waits.values() if len(of) >= K)
    assert only(await shown(scene, "City", "Longest p99 wait"), "p99") == worst


async def test_the_table_of_sites_says_the_same_as_the_panels(scene: Scene, counted: Counted) -> None:
    for site in ("meadow", "hall"):
        columns = enumerate(("requests", "portions", "refusals", "came out"))
        requests, portions, refusals, paper = [
            by(await shown(scene, "City", "Sites at a glance", site, query), column, "site").get(site, 0)
            for query, column in columns
        ]
        assert requests == count_by(counted.cells, "site")[site]
        assert portions == counted.n("dispense", site=site)
        assert refusals == counted.n("refuse", site=site)
        assert paper == sum(report.cm for report in counted.reports if report.site == site)


async def test_paper_stock_and_faults_are_what_dispensers_reported(scene: Scene, counted: Counted) -> None:
    came = Counter[str]()
    for report in counted.reports:
        came[report.site] += report.cm
    assert by(await shown(scene, "City", "Paper by site"), "came out", "site") == came
    faults = Counter(f"{r.device} {r.fault}" for r in counted.reports if r.fault)
    assert by(await shown(scene, "Site", "Faults", "hall"), "faults", "device", "fault") == faults
    stock = {f"{r.site} {r.device}": r.stock_cm for r in counted.reports if r.stock_cm is not None}
    assert by(await shown(scene, "City", "Stock"), "stock", "site", "device") == stock
    hours = by(await shown(scene, "City", "Hours until a roll ends"), "hours left", "site", "device")
    used = Counter[str]()
    for report in counted.reports:
        used[f"{report.site} {report.device}"] += report.cm
    assert hours == pytest.approx({place: stock[place] / (used[place] / 3) for place in stock})


async def test_repetitions_are_no_requests(scene: Scene, counted: Counted) -> None:
    [repeats] = await shown(scene, "Pipeline", "Duplicates from dispensers")
    assert sum(repeats.of("repeats")) == counted.repeats


async def test_the_last_audit_is_shown_as_it_ended(scene: Scene) -> None:
    [audit] = await shown(scene, "Privacy", "Audit, last result")
    assert (audit.of("findings"), audit.of("unread")) == ([scene.findings], [0])


async def test_a_shadow_under_a_higher_limit_stands_beside_the_same_requests(scene: Scene) -> None:
    pairs = Counter[Compared]()
    for live, tried in scene.shadow:
        if not isinstance(live.command, Forgotten):
            pairs[Compared(live.site, live.at // (1000 * PERIOD_S), word(live), word(tried))] += 1
    received = {pair: n for pair, n in pairs.items() if n >= K}
    assert received
    [requests] = await shown(scene, "Replay", "Requests")
    assert requests.of("compared") == [sum(received.values())]
    assert requests.of("left out") == [pairs.total() - sum(received.values())]
    for title, is_granted in (("Portions", True), ("Refusals", False)):
        [both] = await shown(scene, "Replay", title)
        for column, side in (("live", "live"), ("trial", "tried")):
            expected = sum(n for pair, n in received.items() if (getattr(pair, side) == "dispense") is is_granted)
            assert both.of(column) == [expected], f"{title}, {column}"
    changed = await shown(scene, "Replay", "Pairs of answers")
    assert by(changed, "requests", "live", "tried") == count_by(received, "live", "tried")
    assert count_by(received, "live", "tried")["quota dispense"] > 0


def word(answered: Answered) -> str:
    return answered.command.reason if isinstance(answered.command, Refuse) else "dispense"


def count_by(cells: Mapping[Any, int], *names: str) -> dict[str, int]:
    found = Counter[str]()
    for cell, n in cells.items():
        found[" ".join(getattr(cell, name) for name in names)] += n
    return dict(found)
