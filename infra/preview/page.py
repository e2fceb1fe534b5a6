"""`fairroll preview`: the dashboards, filled from the live InfluxDB and written as one page."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import aiohttp

from grafana.answers import Answer, Refused, Series
from grafana.interpolation import interpolated
from grafana.preview.dashboard import Dashboard, read_dashboard
from grafana.preview.drawing import Answers, statements
from grafana.preview.page import Shown, page
from grafana.preview.view import View, moment
from infra.influxql import QueryRefused, read_series
from infra.preview.chromium import open_page
from models.errors import ConfigError
from models.settings import Settings

__all__ = ["query_boards", "write_page", "write_pictures"]

_AT_ONCE = 6


async def query_boards(
    settings: Settings,
    names: Sequence[str],
    now_ms: int,
    *,
    since: str = "",
    until: str = "now",
    typed: Mapping[str, str] = MappingProxyType({}),
) -> list[Shown]:
    """Run all queries of the dashboards. `since` empty: each dashboard's own range; `typed`: values of variables.

    A failed query is shown in its panel. Raises ConfigError if all fail, and for a
    dashboard that cannot be drawn.
    """
    boards = [_read(name) for name in names]
    unknown = typed.keys() - {variable.name for board in boards for variable in board.variables}
    if unknown:
        raise ConfigError(f"no dashboard here has a variable {', '.join(sorted(unknown))}")
    zone = datetime.fromtimestamp(now_ms / 1000).astimezone().tzinfo
    assert zone, "every machine has one"  # noqa: S101 - for the type checker
    try:
        shown = [
            await _shown(settings, board, (since or board.time.since, until), now_ms, typed, zone) for board in boards
        ]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unreadable(settings, str(error) or "no answer") from None
    answers = [answer for one in shown for answer in one.answers.values()]
    refused = [answer.why for answer in answers if isinstance(answer, Refused)]
    if len(refused) == len(answers):
        raise _unreadable(settings, refused[0])
    return shown


def _unreadable(settings: Settings, why: str) -> ConfigError:
    place = f"InfluxDB at {settings.influx_url} (FAIRROLL_INFLUX_URL, FAIRROLL_INFLUX_TOKEN, FAIRROLL_INFLUX_BUCKET)"
    return ConfigError(f"{place} does not answer: {why}")


def _read(name: str) -> Dashboard:
    file = files("grafana") / "dashboards" / f"{name}.json"
    return read_dashboard(file.name, file.read_bytes())


async def _shown(
    settings: Settings, board: Dashboard, times: tuple[str, str], now_ms: int, typed: Mapping[str, str], zone: tzinfo
) -> Shown:
    since_ms, until_ms = (moment(text, now_ms) for text in times)
    if since_ms >= until_ms:
        raise ConfigError(f"the range ends before it begins: from {times[0]} to {times[1]}")
    chosen = await _chosen(settings, board, typed)
    view = View(since_ms=since_ms, until_ms=until_ms, chosen=chosen, zone=zone)
    return Shown(board=board, view=view, answers=await _answers(settings, statements(board, view)))


async def _chosen(settings: Settings, board: Dashboard, typed: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each variable: typed, else preset, else the first of its query, as in Grafana."""
    chosen: dict[str, str] = {}
    for variable in board.variables:
        value = typed.get(variable.name) or variable.preset
        if not value:
            listed = await _listed(settings, interpolated(variable.query, 0, 0, chosen=chosen))
            value = min((value for series in listed for value in series.of("value")), default="")
        chosen[variable.name] = value
    return chosen


async def _listed(settings: Settings, statement: str) -> list[Series]:
    answer = await _answer(settings, statement)
    return [] if isinstance(answer, Refused) else answer


async def _answer(settings: Settings, statement: str) -> Answer:
    try:
        return await read_series(settings, statement)
    except QueryRefused as error:
        return Refused(str(error))


async def _answers(settings: Settings, asked: Sequence[str]) -> Answers:
    few = asyncio.Semaphore(_AT_ONCE)

    async def answer(statement: str) -> tuple[str, Answer]:
        async with few:
            return statement, await _answer(settings, statement)

    return dict(await asyncio.gather(*map(answer, asked)))


def write_page(folder: Path, boards: Sequence[Shown]) -> Path:
    """Write `preview.html` into the folder; return its absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / "preview.html"
    path.write_text(page(boards))
    return path


async def write_pictures(path: Path, boards: Sequence[Shown]) -> list[Path]:
    """Write a PNG of each dashboard next to the page. Raises ConfigError without Chromium."""
    written = []
    async with open_page(path) as drawn:
        for shown in boards:
            picture = path.with_name(f"{shown.board.title.lower()}.png")
            picture.write_bytes(await drawn.picture(f"#{shown.board.uid}"))
            written.append(picture)
    return written
