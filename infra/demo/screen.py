"""The demo's output: two tables while it runs, and a summary from dispensers and InfluxDB at the end."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from statistics import quantiles

from msgspec import Struct, field
from rich.console import RenderableType

from devices.machine.actions import RequestClosed
from devices.simulation.fleet import Tally
from infra.influxql import query
from infra.tables import Table, stacked
from models.ledger.rules.policy import Sites
from models.metrics.catalogue import MEASUREMENTS
from models.metrics.schema import Measurement
from models.settings import Settings

__all__ = ["Scene", "screen", "summary"]

_METRICS_S = 20.0
_DECIDED = "SELECT sum(n) AS n FROM requests"


class Scene(Struct, kw_only=True):
    """The data on the screen."""

    gate: str
    """the camera dispenser"""
    fleet: str
    """the simulated ones, in words"""
    lines: list[tuple[str, str, str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    closed: list[RequestClosed] = field(default_factory=list)


def screen(scene: Scene) -> RenderableType:
    """Return the two tables."""
    gate = Table("person", "presses", "bits as at first", "gets", title=f"one camera dispenser: {scene.gate}")
    for line in scene.lines[-9:]:
        gate.add_row(*line)
    tally = scene.tally
    heads = ("asked", "answered", "portions", "refused", "local rations", "p50 ms")
    fleet = Table(*heads, title=f"simulated dispensers: {scene.fleet}")
    counts = (tally.requests, tally.answers, tally.portions, sum(tally.refusals.values()), tally.rations)
    fleet.add_row(*(str(count) for count in counts), f"{_percentile(tally.waits_ms, 50):.0f}")
    return stacked(gate, fleet)


async def summary(settings: Settings, sites: Sites, scene: Scene) -> Table:
    """Return the counts of the dispensers, next to those in InfluxDB."""
    tally, gate = scene.tally, Tally()
    for closed in scene.closed:
        gate.count(closed)
    asked, answered = tally.requests + len(scene.closed), tally.answers + gate.answers
    waits = tally.waits_ms + gate.waits_ms
    refusals = (
        ", ".join(f"{n} {reason}" for reason, n in (Counter(tally.refusals) + Counter(gate.refusals)).items()) or "none"
    )
    decided, templates, points = await _metrics(settings, sites, answered)
    summary = Table("", "", title="what came of it")
    for name, value in (
        ("requests", f"{asked}"),
        ("answers", f"{answered} ({'equal' if asked == answered else 'NOT EQUAL'}), {decided} decided in InfluxDB"),
        ("portions", f"{tally.portions + gate.portions}, {tally.cm + gate.cm} cm"),
        ("refusals", refusals),
        ("forgotten on request", f"{tally.forgotten + gate.forgotten}"),
        ("local rations", f"{tally.rations + gate.rations}"),
        ("publish to command", f"p50 {_percentile(waits, 50):.0f} ms, p99 {_percentile(waits, 99):.0f} ms"),
        ("templates alive", f"{templates}, each for {sites.longest_window_s} s at most"),
        ("points in InfluxDB", f"{points}"),
    ):
        summary.add_row(name, value)
    return summary


async def _metrics(settings: Settings, sites: Sites, answered: int) -> tuple[int, int, int]:
    """Return decisions, live templates and points, once sink and ticks have caught up, or after a timeout."""
    told_since = f"SELECT count(templates) AS n FROM sites WHERE time > {time.time_ns()}"  # noqa: S608 - a number of ours
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_METRICS_S):
            while await _count(settings, _DECIDED) < answered or await _count(settings, told_since) < len(sites.sites):
                await asyncio.sleep(0.5)
    alive = await query(settings, "SELECT last(templates) AS n FROM sites GROUP BY site")
    templates = sum(row["n"] for row in alive if row["site"] in sites.sites)
    points = [await _count(settings, _counting(measurement)) for measurement in MEASUREMENTS]
    return await _count(settings, _DECIDED), templates, sum(points)


def _counting(measurement: Measurement) -> str:
    """Return the statement that counts the points; every point has the first field."""
    return f"SELECT count({measurement.fields[0].name}) AS n FROM {measurement.name}"  # noqa: S608 - names of ours


async def _count(settings: Settings, statement: str) -> int:
    return sum(row["n"] for row in await query(settings, statement))


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else sum(values)
