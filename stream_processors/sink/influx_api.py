"""InfluxDB's HTTP API except writes: its version, InfluxQL statements, and the resources of version 2."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from models.errors import FairrollError
from models.settings import Settings

__all__ = ["InfluxApi", "InfluxRefused", "open_api"]

_PATIENCE = aiohttp.ClientTimeout(total=30)
_NOT_FOUND = 404
_PAGE = 100
"""The most buckets that one answer lists."""


class InfluxRefused(FairrollError):
    """InfluxDB refuses a request: the text is its answer, and the right that the token may lack."""


class InfluxApi:
    """Every method raises InfluxRefused, and aiohttp.ClientError or TimeoutError if InfluxDB is unreachable."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings) -> None:
        self._http = http
        self._url = settings.influx_url
        self._org = settings.influx_org

    async def version(self) -> str:
        async with self._http.get(f"{self._url}/ping") as answer:
            answer.raise_for_status()
            return answer.headers.get("X-Influxdb-Version", "")

    async def query(self, statement: str) -> str | None:
        """Run InfluxQL that creates something; returns its error."""
        answer = await self._call("POST", "/query", data={"q": statement})
        [result] = answer["results"]
        return result.get("error")  # type: ignore[no-any-return]  # JSON

    async def org_id(self) -> str:
        """Return the organisation's id. A token without the right gets an empty list."""
        listed = await self._call("GET", "/api/v2/orgs", params={"org": self._org})
        if not listed["orgs"]:
            raise InfluxRefused(
                f"the token (FAIRROLL_INFLUX_TOKEN) does not see the organisation {self._org} (FAIRROLL_INFLUX_ORG):"
                " to create what is missing it needs the rights read:orgs, read:buckets, write:buckets, read:tasks"
                " and write:tasks"
            )
        return str(listed["orgs"][0]["id"])

    async def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the bucket or task of this name; None without one, or without the right to read it."""
        path = f"/api/v2/{kind}"
        async with self._http.get(f"{self._url}{path}", params={"org": self._org, "name": name}) as answer:
            if answer.status == _NOT_FOUND and "organization" not in await answer.text():
                return None
            listed = await _content(answer)
        return next((one for one in listed[kind] if one["name"] == name), None)

    async def create(self, kind: str, body: dict[str, Any]) -> None:
        await self._call("POST", f"/api/v2/{kind}", json=body)

    async def change(self, kind: str, number: str, body: dict[str, Any]) -> None:
        await self._call("PATCH", f"/api/v2/{kind}/{number}", json=body)

    async def buckets(self) -> dict[str, str]:
        """Return all buckets that the token may read, name to id."""
        found: dict[str, str] = {}
        while len(found) % _PAGE == 0:
            page = {"org": self._org, "limit": str(_PAGE), "offset": str(len(found))}
            listed = (await self._call("GET", "/api/v2/buckets", params=page))["buckets"]
            if not listed:
                break
            found |= {bucket["name"]: bucket["id"] for bucket in listed}
        return found

    async def policies(self, database: str) -> dict[str, str]:
        """Return a database's retention policies, name to the id of the bucket behind each."""
        listed = await self._call("GET", "/api/v2/dbrps", params={"org": self._org, "db": database})
        return {mapping["retention_policy"]: mapping["bucketID"] for mapping in listed["content"]}

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        async with self._http.request(method, f"{self._url}{path}", **request) as answer:
            return await _content(answer)


async def _content(answer: aiohttp.ClientResponse) -> Any:
    """Return the JSON of the answer."""
    if answer.ok:
        return await answer.json()
    text = " ".join((await answer.text()).split())[:200]
    hint = _hint(answer, text)
    raise InfluxRefused(f"{answer.status} at {answer.method} {answer.url.path}: {text}{hint}")


def _hint(answer: aiohttp.ClientResponse, text: str) -> str:
    """Name the missing right; tasks are refused with 500."""
    kind = answer.url.path.rpartition("/api/v2/")[2].partition("/")[0]
    if "unauthorized" not in text and "forbidden" not in text:
        return ""
    if answer.method == "GET" or not kind:
        return " (FAIRROLL_INFLUX_TOKEN)"
    return f" (the token, FAIRROLL_INFLUX_TOKEN, needs the rights read:{kind} and write:{kind})"


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[InfluxApi]:
    """Open an HTTP session; sends no request yet."""
    headers = {"Authorization": f"Token {settings.influx_token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as http:
        yield InfluxApi(http, settings)
