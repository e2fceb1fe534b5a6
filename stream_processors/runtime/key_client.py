"""A process's keys: fetched from the key holder, stepped by its clock, and destroyed on time without it too.

That the holder is away is never its callers' error: what cannot be sealed or unsealed then is told as None and counted,
and the fault is logged once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal, NoReturn

import aiohttp
import msgspec
import structlog

from models.keys.seal_chain import KeysTold, SiteKey, SitesTold, minute_of, oldest_needed
from models.keys.seals import Keyring, Sealed
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.runtime.key_protocol import boot_ms, calling

__all__ = ["Keys", "open_keys", "read_facts"]

log = structlog.get_logger()

_PATIENCE_S = 1.0
"""How long one attempt may take; a holder on the same host answers in a millisecond."""
_APART_MS = 1_000
"""between two attempts for one site"""
_STEP_EVERY_S, _REFRESH_EVERY_S = 1.0, 2.0
_START_S, _LOOK_AGAIN_S = 5.0, 0.1

_keys: msgspec.json.Decoder[KeysTold] = msgspec.json.Decoder(KeysTold)
_facts: msgspec.json.Decoder[SitesTold] = msgspec.json.Decoder(SitesTold)


class Keys:
    """What `open_keys` gives. Ingress seals, in the holder's present minute; a decider does both."""

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
        """how far the holder's clock is ahead of the time since the boot"""
        self.is_away = False
        """whether the holder did not answer when it was asked last"""
        self._asked: dict[str, int] = {}
        """when a site was asked for last, alone"""

    def seal(self, site: str, template: bytes, binding: bytes, nonce: bytes) -> Sealed | None:
        """Seal in the present minute; None: there is no key for it. `nonce`: NONCE_BYTES random bytes."""
        minute = max(minute_of(self._now()), self._ring.since(site) or 0)
        sealed = self._ring.seal(site, template, binding, minute, nonce)
        if sealed is None:
            self._health.count("unsealed")
        return sealed

    def covers(self, site: str, sealed: Sealed) -> bool:
        """Whether its key is held. If not, `fetch` may bring it; afterwards it is gone."""
        return self._ring.covers(site, sealed)

    def unseal(self, site: str, sealed: Sealed, binding: bytes) -> bytes | None:
        """The template; None: its key is gone, or it was sealed for another binding."""
        return self._ring.unseal(site, sealed, binding)

    def has(self, site: str) -> bool:
        """Whether any key of the site is held."""
        return self._ring.since(site) is not None

    def forget(self, site: str) -> None:
        """Destroy what is held of the site, without waiting for the holder to say so: at a hold."""
        self._ring.put(site, None)

    def forget_all(self) -> None:
        """Destroy all that is held."""
        for site in self._ring:
            self._ring.put(site, None)

    def step(self) -> None:
        """Destroy what the role may not hold any more, whether the holder answers or not."""
        now = self._now()
        for site in self._ring:
            needed = minute_of(now) if self._role == "ingress" else oldest_needed(now, self._windows[site])
            self._ring.forget_before(site, needed)

    async def fetch(self, site: str) -> None:
        """Ask the holder for a site's key, once a second at most, and for no longer than a second.

        While the holder does not answer this returns at once: one request waits for an outage, and no other.
        """
        now = self._boot()
        if self.is_away or now < self._asked.get(site, 0) + _APART_MS:
            return
        self._asked[site] = now
        await self._ask(site)

    async def fetch_all(self) -> None:
        """Ask the holder for all sites' keys."""
        await self._ask(None)

    async def _ask(self, site: str | None) -> None:
        asked = self._boot()
        try:
            async with self._http.get("/v1/seal" if site is None else f"/v1/seal/{site}") as answer:
                answer.raise_for_status()
                told = _keys.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            self._note_away(error)
            return
        if self.is_away:
            log.info("the key holder answers again")
        self.is_away = False
        self._ahead_ms = told.at - asked
        for name in told.sites.keys() | (set(self._ring) if site is None else {site}):
            self._take(name, told.sites.get(name))

    def _take(self, site: str, told: SiteKey | None) -> None:
        if told:
            self._windows[site] = told.window_s
        self._ring.put(site, told.key if told else None)

    def _note_away(self, error: Exception) -> None:
        self._health.count("keys_away")
        if not self.is_away:
            self._health.fault(f"the key holder does not answer: {str(error) or 'in time'}")
        self.is_away = True

    def _now(self) -> int:
        """The holder's time, milliseconds since 1970; ahead of it by no more than an answer took."""
        return self._boot() + self._ahead_ms


@asynccontextmanager
async def open_keys(
    settings: Settings, role: Literal["ingress", "decider"], health: Health | None = None
) -> AsyncIterator[Keys]:
    """Hold the keys of a role, kept fresh; without a holder it begins empty. `health` gets counts and faults.

    A decider waits 5 s for a holder that starts at the same time, since it reads its rows' templates once.
    """
    async with calling(settings, role, _PATIENCE_S) as http, asyncio.TaskGroup() as tasks:
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
            keys.forget_all()


async def read_facts(settings: Settings) -> SitesTold | None:
    """What the holder tells of its chains; None: it does not answer."""
    async with calling(settings, "auditor", _PATIENCE_S) as http:
        try:
            async with http.get("/v1/sites") as answer:
                answer.raise_for_status()
                return _facts.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None


async def _until_there(keys: Keys) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            while keys.is_away:
                await asyncio.sleep(_LOOK_AGAIN_S)
                await keys.fetch_all()


async def _step(keys: Keys) -> NoReturn:
    while True:
        keys.step()
        await asyncio.sleep(_STEP_EVERY_S)


async def _refresh(keys: Keys) -> NoReturn:
    while True:
        await asyncio.sleep(_REFRESH_EVERY_S)
        await keys.fetch_all()
