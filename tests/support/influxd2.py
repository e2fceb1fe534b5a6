"""A real InfluxDB 2, where one is installed: FAIRROLL_TEST_INFLUXD2 names the program."""

import asyncio
import os
import secrets
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from infra.local.ports import Ports
from models.settings import Settings
from tests.support.processes import beside

__all__ = ["Influxd2", "influxd2", "program"]

_READY_S = 30.0


def program() -> str:
    """The path; empty where there is none."""
    return os.environ.get("FAIRROLL_TEST_INFLUXD2", "")


class Influxd2:
    """The running server, and an operator with every right."""

    def __init__(self, settings: Settings, http: aiohttp.ClientSession, org_id: str) -> None:
        self.settings = settings
        self.org_id = org_id
        self._http = http

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON; raises aiohttp.ClientResponseError."""
        async with self._http.request(method, f"{self.settings.influx_url}{path}", **request) as answer:
            return await answer.json() if answer.content_type == "application/json" else None

    async def bucket(self, name: str) -> str:
        """Create one; returns its id."""
        body = {"orgID": self.org_id, "name": name, "retentionRules": []}
        return str((await self.call("POST", "/api/v2/buckets", json=body))["id"])

    async def token(self, *rights: str) -> str:
        """A token with rights such as `read:buckets`, or `write:buckets/ID` for one of them."""
        permissions = [self._permission(*right.split(":")) for right in rights]
        body = {"orgID": self.org_id, "permissions": permissions}
        return str((await self.call("POST", "/api/v2/authorizations", json=body))["token"])

    def _permission(self, action: str, resource: str) -> dict[str, Any]:
        kind, _, number = resource.partition("/")
        where = {"id": self.org_id} if kind == "orgs" else {"orgID": self.org_id}
        return {"action": action, "resource": {"type": kind, **where, **({"id": number} if number else {})}}


@asynccontextmanager
async def influxd2(folder: Path) -> AsyncIterator[Influxd2]:
    """Start one with an organisation `fairroll` and a bucket of another program; stop it at the end."""
    address, token = f"127.0.0.1:{Ports.free().influx}", secrets.token_hex(8)
    command = (
        *(program(), "--http-bind-address", address, "--reporting-disabled", "--log-level", "error"),
        *("--bolt-path", str(folder / "bolt"), "--sqlite-path", str(folder / "sqlite")),
        *("--engine-path", str(folder / "engine")),
    )
    settings = Settings(influx_url=f"http://{address}", influx_token=token)
    setup = {"username": "ann", "password": token, "org": settings.influx_org, "bucket": "other", "token": token}
    headers = {"Authorization": f"Token {token}"}
    async with (
        beside(*command, stdout=DEVNULL, stderr=DEVNULL),
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
    ):
        await _until_up(http, settings.influx_url)
        async with http.post(f"{settings.influx_url}/api/v2/setup", json=setup) as answer:
            org_id = (await answer.json())["org"]["id"]
        yield Influxd2(settings, http, org_id)


async def _until_up(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            try:
                async with http.get(f"{url}/health"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
