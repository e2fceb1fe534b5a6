"""InfluxDB as Grafana asks it: series with tags and columns."""

from collections.abc import Iterable
from typing import Any

import aiohttp
from msgspec import Struct

from models.settings import Settings

__all__ = ["Series", "ask", "make_policy", "write"]


class Series(Struct, frozen=True, kw_only=True):
    tags: dict[str, str] = {}
    columns: list[str]
    values: list[list[Any]]

    def of(self, column: str) -> list[Any]:
        """The values of a column that are there."""
        place = self.columns.index(column)
        return [row[place] for row in self.values if row[place] is not None]


async def ask(settings: Settings, statement: str) -> list[Series]:
    parameters = {"db": settings.influx_bucket, "q": statement, "epoch": "ms"}
    async with _session(settings) as session, session.post("/query", data=parameters) as response:
        [result] = (await response.json())["results"]
    assert "error" not in result, f"{statement}: {result['error']}"
    return [
        Series(tags=one.get("tags", {}), columns=one["columns"], values=one["values"])
        for one in result.get("series", [])
    ]


async def write(settings: Settings, lines: Iterable[str], policy: str = "autogen") -> None:
    where = {"bucket": f"{settings.influx_bucket}/{policy}", "precision": "ns"}
    body = "\n".join(lines)
    async with _session(settings) as session, session.post("/api/v2/write", params=where, data=body):
        pass


async def make_policy(settings: Settings, name: str) -> None:
    statement = f'CREATE RETENTION POLICY "{name}" ON "{settings.influx_bucket}" DURATION 30d REPLICATION 1'
    await ask(settings, statement)


def _session(settings: Settings) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Token {settings.influx_token}"}
    return aiohttp.ClientSession(settings.influx_url, headers=headers, raise_for_status=True)
