"""InfluxDB as Grafana asks it: series with tags and columns."""

from collections.abc import Iterable

import aiohttp

from grafana.answers import Series
from infra.influxql import read_series as ask
from models.settings import Settings

__all__ = ["Series", "ask", "make_policy", "write"]


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
