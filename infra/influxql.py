"""Reads metrics with InfluxQL, the query language that InfluxDB 1, 2 and 3 share."""

from typing import Any

import aiohttp

from grafana.answers import Series
from models.settings import Settings

__all__ = ["QueryRefused", "query", "read_series"]

_TIMEOUT = aiohttp.ClientTimeout(total=60)


class QueryRefused(aiohttp.ClientError):
    """InfluxDB returned an error for the statement, for example for an unknown database."""


async def query(settings: Settings, statement: str) -> list[dict[str, Any]]:
    """Return the rows of a statement with their tags, `time` in ns since 1970. Raises as `read_series`."""
    return [
        {**series.tags, **dict(zip(series.columns, values, strict=True))}
        for series in await _request(settings, statement, epoch="ns")
        for values in series.values
    ]


async def read_series(settings: Settings, statement: str) -> list[Series]:
    """Return the series of a statement, `time` in ms since 1970.

    Raises aiohttp.ClientError, or TimeoutError after a minute.
    """
    return await _request(settings, statement, epoch="ms")


async def _request(settings: Settings, statement: str, *, epoch: str) -> list[Series]:
    headers = {"Authorization": f"Token {settings.influx_token}"}
    parameters = {"db": settings.influx_bucket, "q": statement, "epoch": epoch}
    async with (
        aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as http,
        http.post(f"{settings.influx_url}/query", data=parameters) as response,
    ):
        if not response.ok:
            raise aiohttp.ClientError(f"{response.status}: {(await response.text())[:200].strip()}")
        [result] = (await response.json())["results"]
    if "error" in result:
        raise QueryRefused(result["error"])
    return [_series(found) for found in result.get("series", [])]


def _series(found: dict[str, Any]) -> Series:
    return Series(
        name=found.get("name", ""), tags=found.get("tags", {}), columns=found["columns"], values=found.get("values", [])
    )
