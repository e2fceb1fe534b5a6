"""Client of the key holder: keys are fetched, stepped by the holder's clock, and destroyed in time even without it.

An unreachable key holder raises nothing: sealing and unsealing return None and are counted, and the fault is logged
once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal, NoReturn

import aiohttp
import msgspec
import structlog

from models.keys.seal_chain import KeysReply, SiteSealKey, SitesReply, minute_of, oldest_needed
from models.keys.seals import Keyring, Sealed
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.runtime.key_protocol import boot_ms, calling

__all__ = ["Keys", "open_keys", "read_facts"]

log = structlog.get_logger()

_TIMEOUT_S = 1.0
"""Timeout of one attempt; a holder on the same host answers in a millisecond."""
_APART_MS = 1_000
"""least time between two attempts for one site"""
_STEP_EVERY_S, _REFRESH_EVERY_S = 1.0, 2.0
_START_S, _POLL_S = 5.0, 0.1

_keys: msgspec.json.Decoder[KeysReply] = msgspec.json.Decoder(KeysReply)
_facts: msgspec.json.Decoder[SitesReply] = msgspec.json.Decoder(SitesReply)


class Keys:
    """The keys of a role, from `open_keys`. Ingress seals in the holder's current minute; a decider unseals too."""

    def __init__(
        self,
        role: Literal["ingress", "decider"],
        http: aiohttp.ClientSession,
        health: Health,
        boot: Callable[[], int] = boot_ms,
    ) -> None:
        self._role, self._http, self._health, self._boot = role, http, health, boot
        self._ring = Keyring()
        self._windows: dict[str, int] = {}
        self._ahead_ms = 0
        """offset of the holder's clock to the time since boot"""
        self.is_unreachable = False
        """whether the last request to the key holder failed"""
        self._asked: dict[str, int] = {}
        """by site: time of the last single request"""

    def seal(self, site: str, template: bytes, binding: bytes, nonce: bytes) -> Sealed | None:
        """Seal in the current minute; None without a key. `nonce`: NONCE_BYTES random bytes."""
        minute = max(minute_of(self._now()), self._ring.since(site) or 0)
        sealed = self._ring.seal(site, template, binding, minute, nonce)
        if sealed is None:
            self._health.count("unsealed")
        return sealed

    def covers(self, site: str, sealed: Sealed) -> bool:
        """Return whether its key is held. If not, `fetch` may get it; if it is still not held then, it is destroyed."""
        return self._ring.covers(site, sealed)

    def unseal(self, site: str, sealed: Sealed, binding: bytes) -> bytes | None:
        """Return the template; None if its key is not held or it was sealed for another binding."""
        return self._ring.unseal(site, sealed, binding)

    def has(self, site: str) -> bool:
        """Return whether any key of the site is held."""
        return self._ring.since(site) is not None

    def destroy(self, site: str) -> None:
        """Destroy the site's keys, at a hold, without waiting for the key holder."""
        self._ring.put(site, None)

    def destroy_all(self) -> None:
        """Destroy all keys."""
        for site in self._ring:
            self._ring.put(site, None)

    def step(self) -> None:
        """Destroy the keys that the role may no longer hold, whether or not the key holder answers."""
        now = self._now()
        for site in self._ring:
            needed = minute_of(now) if self._role == "ingress" else oldest_needed(now, self._windows[site])
            self._ring.destroy_before(site, needed)

    async def fetch(self, site: str) -> None:
        """Request a site's key, at most once a second and with a timeout of a second.

        While the key holder is unreachable this returns immediately, so an outage delays one request only.
        """
        now = self._boot()
        if self.is_unreachable or now < self._asked.get(site, 0) + _APART_MS:
            return
        self._asked[site] = now
        await self._ask(site)

    async def fetch_all(self) -> None:
        """Request all sites' keys."""
        await self._ask(None)

    async def _ask(self, site: str | None) -> None:
        asked = self._boot()
        try:
            async with self._http.get("/v1/seal" if site is None else f"/v1/seal/{site}") as answer:
                answer.raise_for_status()
                reply = _keys.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            self._note_failure(error)
            return
        if self.is_unreachable:
            log.info("the key holder answers again")
        self.is_unreachable = False
        self._ahead_ms = reply.at - asked
        for name in reply.sites.keys() | (set(self._ring) if site is None else {site}):
            self._take(name, reply.sites.get(name))

    def _take(self, site: str, received: SiteSealKey | None) -> None:
        if received:
            self._windows[site] = received.window_s
        self._ring.put(site, received.key if received else None)

    def _note_failure(self, error: Exception) -> None:
        self._health.count("keys_unreachable")
        if not self.is_unreachable:
            self._health.fault(f"the key holder does not answer: {str(error) or 'in time'}")
        self.is_unreachable = True

    def _now(self) -> int:
        """Return the holder's time, milliseconds since 1970; ahead of it by at most a reply's travel time."""
        return self._boot() + self._ahead_ms


@asynccontextmanager
async def open_keys(
    settings: Settings, role: Literal["ingress", "decider"], health: Health | None = None
) -> AsyncIterator[Keys]:
    """Hold and refresh the keys of a role; without a reachable holder it starts empty. `health` gets counts and faults.

    A decider waits 5 s for a holder that starts at the same time, since it opens its rows' templates once.
    """
    async with calling(settings, role, _TIMEOUT_S) as http, asyncio.TaskGroup() as tasks:
        keys = Keys(role, http, health or Health(role, settings.instance))
        await keys.fetch_all()
        if role == "decider":
            await _until_there(keys)
        running = [
            tasks.create_task(_refresh(keys), name="keys"),
            tasks.create_task(_step(keys), name="step keys"),
        ]
        try:
            yield keys
        finally:
            for task in running:
                task.cancel()
            keys.destroy_all()


async def read_facts(settings: Settings) -> SitesReply | None:
    """Return the facts of all chains; None if the key holder does not answer."""
    async with calling(settings, "auditor", _TIMEOUT_S) as http:
        try:
            async with http.get("/v1/sites") as answer:
                answer.raise_for_status()
                return _facts.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None


async def _until_there(keys: Keys) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            while keys.is_unreachable:
                await asyncio.sleep(_POLL_S)
                await keys.fetch_all()


async def _step(keys: Keys) -> NoReturn:
    while True:
        keys.step()
        await asyncio.sleep(_STEP_EVERY_S)


async def _refresh(keys: Keys) -> NoReturn:
    while True:
        await asyncio.sleep(_REFRESH_EVERY_S)
        await keys.fetch_all()
