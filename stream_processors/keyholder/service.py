"""The key holder: begins the sites' seal chains, steps them by its own clock, and serves keys to ingress and deciders.

It alone decides when keys are destroyed. Sites, windows and modes come from the controls topic; while Kafka is
unreachable it continues with the last ones. Keys are in its memory and, if FAIRROLL_KEYS_FILE is set, in a file on a
memory file system.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NoReturn

from aiohttp import web
from aiokafka import ConsumerRecord

from models.contract.codec import encode
from models.contract.site_records import Controls
from models.errors import MalformedMessage
from models.keys.seal_chain import (
    Entropy,
    KeysReply,
    SiteChain,
    SiteSealKey,
    SitesReply,
    facts_of,
    minute_of,
    step_chain,
    with_control,
    without_control,
)
from models.keys.seals import SealKey
from models.settings import Settings
from stream_processors.keyholder.key_file import Kept, KeyFile
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import kafka_answers, open_consumer, read_to_end
from stream_processors.runtime.key_protocol import Role, boot_ms, listening, only_holder, role_of
from stream_processors.runtime.pipeline_identity import check_kafka, own_id
from stream_processors.runtime.service import again_after_outages, announce_ready, serve

__all__ = ["Clock", "KeyHolder", "run"]

_STEP_EVERY_S = 1.0
"""Largest delay of the destruction of a key."""
_MOST_RECORDS = 500


class Clock:
    """Milliseconds since 1970, monotonic: a wall clock that is set back prolongs no key."""

    def __init__(self, wall: Callable[[], int], boot: Callable[[], int]) -> None:
        self._wall, self._boot = wall, boot
        self.ahead_ms = 0
        """offset to the time since boot; grows immediately when the wall clock is set forward"""

    def now(self) -> int:
        boot = self._boot()
        self.ahead_ms = max(self.ahead_ms, self._wall() - boot)
        return boot + self.ahead_ms


class KeyHolder:
    """All chains. A change is written to the file, if there is one, before any reply contains it."""

    def __init__(self, file: KeyFile | None, clock: Clock, entropy: Entropy, health: Health) -> None:
        self._file, self._clock, self._entropy, self._health = file, clock, entropy, health
        self._sites: dict[str, SiteChain] = {}
        self._controls = Controls()
        self._current: dict[str, SealKey] = {}
        """by site: the last key that ingress got"""

    def resume(self) -> None:
        """Load the file of the previous process and step its chains to the present."""
        if self._file and (kept := self._file.read()):
            self._clock.ahead_ms = kept.ahead_ms
            self._sites = dict(kept.sites)
            self.step()

    def on_controls(self, records: Iterable[ConsumerRecord]) -> None:
        """Apply records of the controls topic that are not outdated, then begin the chains that are missing."""
        before = dict(self._sites)
        for record in records:
            try:
                site = self._controls.take(record.key, record.value, record.headers)
            except MalformedMessage as error:  # written by a newer decider; other sites continue
                self._health.count("unreadable")
                self._health.fault(f"unreadable control at {record.partition}/{record.offset}: {error}")
            else:
                self._health.count("controls")
                if site is not None:
                    self._apply(site)
        self._settle(before)

    def destroy_strangers(self) -> None:
        """Destroy the chains of sites that the controls topic, once it was read to its end, does not know any more."""
        before = dict(self._sites)
        for site in self._sites.keys() - self._controls.keys():
            self._sites[site] = without_control(self._sites[site], self._sites[site].revision, self._clock.now())
        self._settle(before)

    def step(self) -> None:
        """Destroy the keys that no live template needs."""
        self._settle(dict(self._sites))

    def keys(self, role: Role, site: str | None = None) -> KeysReply:
        """Return a role's keys for one site, if it is known, or for all."""
        now = self._clock.now()
        sites = self._sites if site is None else self._sites.keys() & {site}
        return KeysReply(at=now, sites={name: self._key(role, name, now) for name in sites})

    def facts(self) -> SitesReply:
        return SitesReply(at=self._clock.now(), sites={site: facts_of(known) for site, known in self._sites.items()})

    def _apply(self, site: str) -> None:
        control, known, now = self._controls[site], self._sites.get(site), self._clock.now()
        if control:
            self._sites[site] = with_control(known, control, now)
        elif known:
            self._sites[site] = without_control(known, self._controls.revision(site), now)

    def _key(self, role: Role, site: str, now: int) -> SiteSealKey:
        known = self._sites[site]
        key = known.key
        if key and role == "ingress":
            last = self._current.get(site)
            start = last if last and last.chain == key.chain and last.minute >= key.minute else key
            key = self._current[site] = start.at(max(start.minute, minute_of(now)))
        return SiteSealKey(window_s=known.window_s, key=key)

    def _settle(self, before: dict[str, SiteChain]) -> None:
        now = self._clock.now()
        self._sites = {site: step_chain(known, now, self._entropy) for site, known in self._sites.items()}
        if self._sites == before:
            return
        for site, known in self._sites.items():
            if known.key is None:
                self._current.pop(site, None)
            if destroyed := known.destroyed - (before[site].destroyed if site in before else 0):
                self._health.count("destroyed", destroyed)
        self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            self._file.write(Kept(ahead_ms=self._clock.ahead_ms, sites=self._sites))
        except OSError as error:  # the file was destroyed: a restart begins new chains, and no key is kept too long
            self._health.fault(f"the key file cannot be written: {error.strerror or error}")


def run(settings: Settings) -> None:
    """Serve until stopped. One instance a host, one key holder a site."""
    health = Health("keyholder", settings.instance)
    file = KeyFile(Path(settings.keys_file)) if settings.keys_file else None
    holder = KeyHolder(file, Clock(lambda: time.time_ns() // 1_000_000, boot_ms), secrets.token_bytes, health)
    serve(lambda: _hold(settings, holder, health), health, settings)


async def _hold(settings: Settings, holder: KeyHolder, health: Health) -> None:
    with only_holder(settings):
        holder.resume()
        async with listening(settings, _application(holder, health)), asyncio.TaskGroup() as tasks:
            tasks.create_task(_step(holder), name="step")
            tasks.create_task(again_after_outages(lambda: _follow(settings, holder, health), health), name="controls")
            announce_ready("keyholder")


async def _step(holder: KeyHolder) -> NoReturn:
    while True:
        holder.step()
        await asyncio.sleep(_STEP_EVERY_S)


async def _follow(settings: Settings, holder: KeyHolder, health: Health) -> None:
    """Follow the controls topic from its beginning."""
    await check_kafka(settings, own_id(settings))
    async with open_consumer(settings, settings.topics.controls, group=None) as controls, asyncio.TaskGroup() as tasks:
        tasks.create_task(health.watch(kafka=partial(kafka_answers, controls)), name="health")
        holder.on_controls(await read_to_end(controls, controls.assignment()))
        holder.destroy_strangers()
        while True:
            batches = await controls.getmany(timeout_ms=1000, max_records=_MOST_RECORDS)
            holder.on_controls(record for batch in batches.values() for record in batch)


def _application(holder: KeyHolder, health: Health) -> web.Application:
    async def keys(request: web.Request) -> web.Response:
        role = role_of(request)
        if role not in {"ingress", "decider"}:
            health.count("refused")
            raise web.HTTPForbidden(text="only ingress and decider get keys")
        health.count("served")
        return _json(holder.keys(role, request.match_info.get("site")))

    async def sites(request: web.Request) -> web.Response:
        if role_of(request) is None:
            health.count("refused")
            raise web.HTTPForbidden(text="this connection has no role")
        return _json(holder.facts())

    application = web.Application()
    application.add_routes([web.get("/v1/seal", keys), web.get("/v1/seal/{site}", keys), web.get("/v1/sites", sites)])
    return application


def _json(reply: KeysReply | SitesReply) -> web.Response:
    return web.Response(body=encode(reply), content_type="application/json")
