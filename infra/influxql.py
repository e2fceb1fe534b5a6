"""Reading metrics back: InfluxQL, the one query language of InfluxDB 1, 2 and 3."""

from typing import Any

import aiohttp

from grafana.answers import Series
from models.settings import Settings

__all__ = ["query", "read_series"]


async def query(settings: Settings, statement: str) -> list[dict[str, Any]]:
    """The rows of one statement, tags and columns together, `time` in ns since 1970; raises aiohttp.ClientError."""
    result = await _ask(settings, statement, epoch="ns")
    return [
        {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
        for series in result.get("series", [])
        for values in series["values"]
    ]


async def read_series(settings: Settings, statement: str) -> list[Series]:
    """The series of one statement; raises aiohttp.ClientError."""
    result = await _ask(settings, statement, epoch="ms")
    return [
        Series(tags=series.get("tags", {}), columns=series["columns"], values=series["values"])
        for series in result.get("series", [])
    ]


async def _ask(settings: Settings, statement: str, *, epoch: str) -> dict[str, Any]:
    url, token = f"{settings.influx_url}/query", f"Token {settings.influx_token}"
    parameters = {"db": settings.influx_bucket, "q": statement, "epoch": epoch}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(url, data=parameters, headers={"Authorization": token}) as response,
    ):
        [result] = (await response.json())["results"]
    if "error" in result:  # of status 200
        raise aiohttp.ClientError(result["error"])
    return result  # type: ignore[no-any-return] # one JSON object
