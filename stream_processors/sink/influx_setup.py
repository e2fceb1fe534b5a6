"""InfluxDB made ready: `influx_setup` says with what, this asks for it, over HTTP alone."""

import aiohttp

from models.errors import FairrollError
from models.settings import Settings
from stream_processors.sink.influx_schema import Place, Statement, calls_2, shadow_1, shadow_2, statements_1

__all__ = ["NotMadeReady", "make_ready"]

_PATIENCE = aiohttp.ClientTimeout(total=30)
_EXISTS = "already exists"


class NotMadeReady(FairrollError):
    """InfluxDB refuses what makes it ready: the text is its answer."""


async def make_ready(settings: Settings, *, is_shadow: bool = False) -> str:
    """Make database or buckets, retention and downsampling, where they are not as they should be; returns the version.

    `is_shadow`: only the place of a shadow, with its retention; nobody's default, and nothing is made of it.

    Raises NotMadeReady, and aiohttp.ClientError or TimeoutError where InfluxDB is away.
    """
    place, headers = Place.of(settings), {"Authorization": f"Token {settings.influx_token}"}
    async with aiohttp.ClientSession(settings.influx_url, headers=headers, timeout=_PATIENCE) as http:
        async with http.get("/ping") as answer:
            answer.raise_for_status()
            version = answer.headers.get("X-Influxdb-Version", "")
        if version.lstrip("v").startswith("1."):
            for statement in shadow_1(place) if is_shadow else statements_1(place):
                await _run_1(http, statement)
        else:
            await _run_2(http, settings, is_shadow=is_shadow)
    return version


async def _run_1(http: aiohttp.ClientSession, statement: Statement) -> None:
    error = await _query_1(http, statement.make)
    if error and _EXISTS in error:
        for instead in statement.instead:
            error = await _query_1(http, instead)
    if error:
        raise NotMadeReady(error)


async def _query_1(http: aiohttp.ClientSession, statement: str) -> str | None:
    """What is wrong with it, or None."""
    async with http.post("/query", data={"q": statement}) as answer:
        if not answer.ok:
            return f"{answer.status} at /query: {(await answer.text())[:200]}"
        [result] = (await answer.json())["results"]
    return result.get("error")  # type: ignore[no-any-return]  # JSON


async def _run_2(http: aiohttp.ClientSession, settings: Settings, *, is_shadow: bool) -> None:
    org, place = settings.influx_org, Place.of(settings)
    [org_id] = (await _named_2(http, "orgs", {"org": org})).values() or [""]
    buckets = await _named_2(http, "buckets", {"orgID": org_id, "limit": "100"})
    tasks = await _named_2(http, "tasks", {"orgID": org_id, "limit": "500"})
    calls = shadow_2(place, org_id, buckets) if is_shadow else calls_2(place, (org, org_id), buckets, tasks)
    for call in calls:
        async with http.request(call.method, call.path, json=call.body) as answer:
            if not answer.ok:
                raise NotMadeReady(f"{answer.status} at {call.path}: {(await answer.text())[:200]}")


async def _named_2(http: aiohttp.ClientSession, kind: str, which: dict[str, str]) -> dict[str, str]:
    """What there is of a kind, name to id."""
    async with http.get(f"/api/v2/{kind}", params=which) as answer:
        if not answer.ok:
            raise NotMadeReady(f"{answer.status} at /api/v2/{kind}: {(await answer.text())[:200]}")
        return {found["name"]: found["id"] for found in (await answer.json())[kind]}
