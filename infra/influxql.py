"""Reading metrics back: InfluxQL, the one query language of InfluxDB 1, 2 and 3."""

from typing import Any

import aiohttp

from models.settings import Settings

__all__ = ["query"]


async def query(settings: Settings, statement: str) -> list[dict[str, Any]]:
    """The rows of one statement, tags and columns together, `time` in ns since 1970; raises aiohttp.ClientError."""
    url, token = f"{settings.influx_url}/query", f"Token {settings.influx_token}"
    parameters = {"db": settings.influx_bucket, "q": statement, "epoch": "ns"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(url, params=parameters, headers={"Authorization": token}) as response,
    ):
        [result] = (await response.json())["results"]
    if "error" in result:  # of status 200
        raise aiohttp.ClientError(result["error"])
    return [
        {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
        for series in result.get("series", [])
        for values in series["values"]
    ]
