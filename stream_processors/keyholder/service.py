"""The key holder: makes the sites' seal chains, steps them by its own clock, and gives each process its keys.

It alone decides when keys are destroyed. Sites, windows and modes come from `fairroll.controls`; while Kafka is away it
goes on with those that it knows. Keys are in its memory and, where FAIRROLL_KEYS_FILE names one, in a file that no disk
ever sees.
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

from models.contract.codec import decode_control, encode
from models.errors import MalformedMessage
from models.keys.seal_chain import Entropy, KeysTold, SiteChain, SiteKey, SitesTold, facts_of, minute_of, stepped, told
from models.keys.seals import SealKey
from models.settings import Settings
from stream_processors.keyholder.key_file import Kept, KeysFile
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import kafka_answers, open_consumer
from stream_processors.runtime.key_protocol import Role, boot_ms, listening, only_holder, role_of
from stream_processors.runtime.pipeline_identity import check_kafka, own_id
from stream_processors.runtime.service import again_after_outages, announce_ready, serve

__all__ = ["Clock", "Holder", "run"]

_STEP_EVERY_S = 1.0
"""How late a key may be destroyed."""
_MOST_RECORDS = 500


class Clock:
    """Milliseconds since 1970 that never go back: a clock that is set back keeps no key alive."""

    def __init__(self, wall: Callable[[], int], boot: Callable[[], int]) -> None:
        self._wall, self._boot = wall, boot
        self.ahead_ms = 0
        """of the time since the boot; a clock that is set forward is believed at once"""

    def now(self) -> int:
        boot = self._boot()
        self.ahead_ms = max(self.ahead_ms, self._wall() - boot)
        return boot + self.ahead_ms


class Holder:
    """All chains. What changes is in the file, if there is one, before anybody is told of it."""

    def __init__(self, file: KeysFile | None, clock: Clock, entropy: Entropy, health: Health) -> None:
        self._file, self._clock, self._entropy, self._health = file, clock, entropy, health
        self._sites: dict[str, SiteChain] = {}
        self._current: dict[str, SealKey] = {}
        """for ingress: of the minute in which it asked last"""

    def resume(self) -> None:
        """Go on from what the last holder left in the file, as if it had been stepped all the time."""
        if self._file and (kept := self._file.read()):
            self._clock.ahead_ms = kept.ahead_ms
            self._sites = dict(kept.sites)
            self.step()

    def on_controls(self, records: Iterable[ConsumerRecord]) -> None:
        """Take what `fairroll.controls` says, in order; chains that are wanted after all of it are begun."""
        before = dict(self._sites)
        for record in records:
            try:
                control = decode_control(record.value or b"")
            except MalformedMessage as error:  # a newer decider's word; the other sites must go on
                self._health.count("unreadable")
                self._health.fault(f"unreadable control at {record.partition}/{record.offset}: {error}")
            else:
                known = self._sites.get(control.site)
                self._sites[control.site] = told(known, control, record.timestamp, record.offset, self._clock.now())
                self._health.count("controls")
        self._settle(before)

    def step(self) -> None:
        """Destroy the keys that no live template needs any more."""
        self._settle(dict(self._sites))

    def keys(self, role: Role, site: str | None = None) -> KeysTold:
        """Tell a role its keys: of one site, if it is known, or of all."""
        now = self._clock.now()
        sites = self._sites if site is None else self._sites.keys() & {site}
        return KeysTold(at=now, sites={name: self._key(role, name, now) for name in sites})

    def facts(self) -> SitesTold:
        return SitesTold(at=self._clock.now(), sites={site: facts_of(known) for site, known in self._sites.items()})

    def _key(self, role: Role, site: str, now: int) -> SiteKey:
        known = self._sites[site]
        key = known.key
        if key and role == "ingress":
            last = self._current.get(site)
            start = last if last and last.chain == key.chain and last.minute >= key.minute else key
            key = self._current[site] = start.at(max(start.minute, minute_of(now)))
        return SiteKey(window_s=known.window_s, key=key)

    def _settle(self, before: dict[str, SiteChain]) -> None:
        now = self._clock.now()
        self._sites = {site: stepped(known, now, self._entropy) for site, known in self._sites.items()}
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
        except OSError as error:  # it took the file away: a restart forgets, and nothing is kept too long
            self._health.fault(f"the file of keys cannot be written: {error.strerror or error}")


def run(settings: Settings) -> None:
    """Serve until told to stop; one a host, and for a site no other host's."""
    health = Health("keyholder", settings.instance)
    file = KeysFile(Path(settings.keys_file)) if settings.keys_file else None
    holder = Holder(file, Clock(lambda: time.time_ns() // 1_000_000, boot_ms), secrets.token_bytes, health)
    serve(lambda: _hold(settings, holder, health), health, settings)


async def _hold(settings: Settings, holder: Holder, health: Health) -> None:
    with only_holder(settings):
        holder.resume()
        async with listening(settings, _application(holder, health)), asyncio.TaskGroup() as tasks:
            tasks.create_task(_step(holder), name="step")
            tasks.create_task(again_after_outages(lambda: _follow(settings, holder, health), health), name="controls")
            announce_ready("keyholder")


async def _step(holder: Holder) -> NoReturn:
    while True:
        holder.step()
        await asyncio.sleep(_STEP_EVERY_S)


async def _follow(settings: Settings, holder: Holder, health: Health) -> None:
    """Read all controls from the beginning; those that are known tell nothing new."""
    await check_kafka(settings, own_id(settings))
    async with open_consumer(settings, settings.topics.controls, group=None) as controls, asyncio.TaskGroup() as tasks:
        tasks.create_task(health.watch(kafka=partial(kafka_answers, controls)), name="health")
        while True:
            batches = await controls.getmany(timeout_ms=1000, max_records=_MOST_RECORDS)
            holder.on_controls(record for batch in batches.values() for record in batch)


def _application(holder: Holder, health: Health) -> web.Application:
    async def keys(request: web.Request) -> web.Response:
        role = role_of(request)
        if role not in {"ingress", "decider"}:
            health.count("refused")
            raise web.HTTPForbidden(text="only ingress and decider get keys")
        health.count("told")
        return _json(holder.keys(role, request.match_info.get("site")))

    async def sites(request: web.Request) -> web.Response:
        if role_of(request) is None:
            health.count("refused")
            raise web.HTTPForbidden(text="nobody's connection that has a role")
        return _json(holder.facts())

    application = web.Application()
    application.add_routes([web.get("/v1/seal", keys), web.get("/v1/seal/{site}", keys), web.get("/v1/sites", sites)])
    return application


def _json(told: KeysTold | SitesTold) -> web.Response:
    return web.Response(body=encode(told), content_type="application/json")
