"""The key holder as a process of its own: who gets which key, and when a key is nowhere any more."""

import asyncio
import base64
import gc
import hmac
import os
import secrets
import time
from pathlib import Path
from types import FunctionType, ModuleType

import aiohttp
import msgspec
import pytest
from aiohttp import web
from msgspec import structs

from infra.local.ports import LOOPBACK, Ports
from models.contract.codec import encode
from models.contract.messages import Control, Mode, Revision
from models.errors import ConfigError
from models.keys.seal_chain import MINUTE_MS, KeysReply, SiteChain, SiteFacts, SiteSealKey, minute_of
from models.keys.seals import Keyring, Sealed, SealKey, binding
from models.settings import Settings
from stream_processors.keyholder.key_file import Kept, KeyFile
from stream_processors.keyholder.service import Clock, KeyHolder
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import open_producer
from stream_processors.runtime.key_client import Keys, open_keys, read_facts
from stream_processors.runtime.key_protocol import Role, boot_ms, calling, listening, only_holder
from tests.support.certificates import Authority
from tests.support.processes import ran
from tests.support.services import Service, running

WINDOW_S = 60
TEMPLATE = b"T" * 64
BINDING = binding("park", "gate", "request-00000001")


@pytest.fixture
def settings(memory: Path) -> Settings:
    """Of a host on which Kafka is away."""
    return Settings(keys=f"unix:{memory}/keys", keys_file=f"{memory}/keys/chains", kafka=f"{LOOPBACK}:1")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def leave_a_chain(settings: Settings, now: int | None = None, minutes: int = 1) -> SealKey:
    """As a holder did that was killed `now`, by its clock; its oldest key is so many minutes old."""
    now = now or now_ms()
    key = SealKey.first(minute_of(now) - minutes, secrets.token_bytes(40))
    chain = SiteChain(mode="face", window_s=60 * minutes, revision=Revision(0, 0), key=key, since=now)
    KeyFile(Path(settings.keys_file)).write(Kept(ahead_ms=now - boot_ms(), sites={"park": chain}))
    return key


def just_before_a_minute(seconds: int) -> int:
    """A time to come, so that the holder's clock is there, and not at the host's."""
    return (minute_of(now_ms()) + 3) * MINUTE_MS - 1000 * seconds


async def asked(settings: Settings, role: Role, path: str) -> tuple[int, bytes]:
    async with calling(settings, role, 5) as http, http.get(path) as answer:
        return answer.status, await answer.read()


async def key_of(settings: Settings, role: Role) -> SealKey:
    status, body = await asked(settings, role, "/v1/seal/park")
    assert status == 200
    key = msgspec.json.decode(body, type=KeysReply).sites["park"].key
    assert key
    return key


async def facts_of(settings: Settings, site: str) -> SiteFacts | None:
    received = await read_facts(settings)
    return received.sites.get(site) if received else None


def seal(keys: Keys, site: str = "park") -> Sealed | None:
    return keys.seal(site, TEMPLATE, binding(site, "gate", "request-00000001"), secrets.token_bytes(12))


async def until_covered(keys: Keys, sealed: Sealed, *, is_covered: bool, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while keys.covers("park", sealed) is not is_covered:
            await asyncio.sleep(0.02)


async def test_each_role_gets_its_own_key_and_no_older_one(settings: Settings) -> None:
    now = just_before_a_minute(30)
    first = leave_a_chain(settings, now, minutes=9)
    async with running(Service("keyholder", settings)):
        assert await key_of(settings, "decider") == first
        assert await key_of(settings, "ingress") == first.at(first.minute + 9)
        for path in ("/v1/seal", "/v1/seal/park"):
            status, body = await asked(settings, "auditor", path)
            assert (status, first.key in body) == (403, False)
        facts = await facts_of(settings, "park")
        assert facts
        assert (facts.chain, facts.oldest) == (first.chain, first.minute)
        status, body = await asked(settings, "auditor", "/v1/sites")
        assert base64.b64encode(first.key) not in body
        status, body = await asked(settings, "decider", "/v1/seal/moon")
        assert (status, msgspec.json.decode(body, type=KeysReply).sites) == (200, {})


async def test_sockets_and_file_are_nobody_else_s(settings: Settings) -> None:
    leave_a_chain(settings)
    async with running(Service("keyholder", settings)):
        folder = Path(settings.keys_file).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir() if file.name != "lock"}
        assert modes == dict.fromkeys(("ingress.sock", "decider.sock", "auditor.sock", "chains"), 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch to another user")
async def test_another_user_gets_nothing_even_where_the_modes_were_opened(settings: Settings, memory: Path) -> None:
    leave_a_chain(settings)
    async with running(Service("keyholder", settings)):
        for path in (memory, memory / "keys"):
            path.chmod(0o755)
        (memory / "keys/decider.sock").chmod(0o666)
        curl = ("curl", "-s", "--unix-socket", f"{memory}/keys/decider.sock", "http://keys/v1/seal")
        mine, other = [await ran(*curl, user=user) for user in (0, 65534)]
        assert '"key"' in mine.out
        assert other.out == "only ingress and decider get keys"


async def test_a_second_holder_on_a_host_is_refused(settings: Settings) -> None:
    async with running(Service("keyholder", settings)):
        with pytest.raises(ConfigError, match="another key holder has"), only_holder(settings):
            pass
    with only_holder(settings):
        pass


async def test_a_folder_that_is_open_to_others_is_refused(settings: Settings, memory: Path) -> None:
    (memory / "keys").mkdir()
    with pytest.raises(ConfigError, match="is another user's or open to others: chmod go="), only_holder(settings):
        pass


async def test_a_killed_holder_comes_back_with_the_same_keys(settings: Settings) -> None:
    first = leave_a_chain(settings, just_before_a_minute(40))
    holder = Service("keyholder", settings)
    async with running(holder), open_keys(settings, "ingress") as ingress, open_keys(settings, "decider") as decider:
        before = seal(ingress)
        assert before
        await holder.kill()
        during = seal(ingress)
        assert during
        assert decider.unseal("park", during, BINDING) == TEMPLATE
        await holder.start()
        assert await key_of(settings, "decider") == first
        for sealed in (before, during):
            async with open_keys(settings, "decider") as another:
                assert another.unseal("park", sealed, BINDING) == TEMPLATE


@pytest.mark.parametrize("left", ["nothing", "a torn file"])
async def test_a_reboot_forgets_and_a_damaged_file_is_no_crash(settings: Settings, left: str) -> None:
    leave_a_chain(settings)
    holder = Service("keyholder", settings)
    async with running(holder), open_keys(settings, "ingress") as ingress:
        sealed = seal(ingress)
        assert sealed
        await holder.kill()
        _leave(settings, left)
        await holder.start()
        async with open_keys(settings, "decider") as decider:
            assert not decider.covers("park", sealed)
        async with asyncio.timeout(10):
            while seal(ingress):  # it takes the holder's word: there is no such chain
                await asyncio.sleep(0.05)


async def test_without_a_file_a_restart_forgets(settings: Settings, brokers: Settings) -> None:
    settings = structs.replace(settings, keys_file="", kafka=brokers.kafka)
    holder, site = Service("keyholder", settings), _new_site()
    async with running(holder):
        await _control(settings, site, "face")
        before = await _until(settings, site, has_chain=True)
        await holder.kill()
        await holder.start()
        after = await _until(settings, site, has_chain=True)
    assert before.chain != after.chain


async def test_copies_are_destroyed_on_time_though_the_holder_is_dead(settings: Settings) -> None:
    """At the end of its minute and a window, by the clock that the holder had."""
    now = just_before_a_minute(15)
    leave_a_chain(settings, now, minutes=1)
    began = time.monotonic()
    holder = Service("keyholder", settings)
    async with running(holder), open_keys(settings, "decider") as decider, open_keys(settings, "ingress") as ingress:
        ring = Keyring()
        ring.put("park", await key_of(settings, "decider"))
        old = ring.seal("park", TEMPLATE, BINDING, minute_of(now) - 1, bytes(12))
        assert old
        assert decider.unseal("park", old, BINDING) == TEMPLATE
        assert not ingress.covers("park", old)
        of_this_minute = seal(ingress)
        await holder.kill()
        assert of_this_minute
        await until_covered(decider, old, is_covered=False, within_s=40)
        assert time.monotonic() - began > 14
        assert decider.unseal("park", old, BINDING) is None
        assert decider.unseal("park", of_this_minute, BINDING) == TEMPLATE
        await until_covered(ingress, of_this_minute, is_covered=False, within_s=40)
        new = seal(ingress)
        assert new
        assert new.minute == of_this_minute.minute + 1
        assert decider.unseal("park", new, BINDING) == TEMPLATE


async def test_a_dead_holder_delays_one_answer_at_most_and_is_reported_once(settings: Settings) -> None:
    async with open_keys(settings, "ingress") as keys:
        asking = time.monotonic()
        for _ in range(1000):
            await keys.fetch("park")
            assert seal(keys) is None
        assert time.monotonic() - asking < 5
        leave_a_chain(settings)
        async with running(Service("keyholder", settings)), asyncio.timeout(10):
            while not seal(keys):
                await asyncio.sleep(0.05)


async def test_a_decider_waits_for_a_holder_that_starts_with_it(settings: Settings) -> None:
    key = SealKey.first(minute_of(now_ms()), secrets.token_bytes(40))

    async def tell(_: web.Request) -> web.Response:
        received = KeysReply(at=now_ms(), sites={"park": SiteSealKey(window_s=WINDOW_S, key=key)})
        return web.Response(body=encode(received))

    application = web.Application()
    application.add_routes([web.get("/v1/seal", tell)])

    async def start_late() -> None:
        await asyncio.sleep(0.3)
        async with listening(settings, application):
            await asyncio.Event().wait()

    with only_holder(settings):
        starting = asyncio.create_task(start_late())
        async with open_keys(settings, "decider") as keys:
            assert keys.covers("park", Sealed(key.chain, key.minute, bytes(92)))
        starting.cancel()
        await asyncio.wait([starting])


async def test_a_holder_that_hangs_is_given_a_second(settings: Settings, memory: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    (memory / "keys").mkdir(0o700)
    server = await asyncio.start_unix_server(say_nothing, memory / "keys/ingress.sock")
    async with server, open_keys(settings, "ingress") as keys:
        asking = time.monotonic()
        for _ in range(100):
            await keys.fetch("park")
        assert time.monotonic() - asking < 5


async def test_between_hosts_a_certificate_says_the_role(settings: Settings, tmp_path: Path) -> None:
    first = leave_a_chain(settings, just_before_a_minute(40), minutes=9)
    park, stranger = Authority(), Authority()
    settings = structs.replace(settings, keys=f"tls://{LOOPBACK}:{Ports.free().mqtt}")
    here = structs.replace(settings, keys_cert=park.equip(tmp_path / "holder", "keyholder"))
    async with running(Service("keyholder", here)):
        ingress = structs.replace(settings, keys_cert=park.equip(tmp_path / "ingress", "ingress"))
        decider = structs.replace(settings, keys_cert=park.equip(tmp_path / "decider", "decider"))
        assert await key_of(decider, "decider") == first
        assert await key_of(ingress, "decider") == first.at(first.minute + 9)  # it may call itself what it likes
        async with open_keys(ingress, "ingress") as keys:
            assert seal(keys)

        wrong = structs.replace(settings, keys_cert=park.equip(tmp_path / "wrong", "sink"))
        assert await asked(wrong, "decider", "/v1/seal") == (403, b"only ingress and decider get keys")
        assert (await asked(wrong, "auditor", "/v1/sites"))[0] == 403

        unknown = stranger.equip(tmp_path / "unknown", "decider")
        (unknown / "ca.pem").write_bytes((tmp_path / "holder/ca.pem").read_bytes())
        with pytest.raises(aiohttp.ClientError):
            await asked(structs.replace(settings, keys_cert=unknown), "decider", "/v1/seal")
        imposed = structs.replace(settings, keys_cert=stranger.equip(tmp_path / "imposed", "decider"))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):  # a holder of another authority is none to us
            await asked(imposed, "decider", "/v1/seal")
        bare = ("curl", "-s", "--cacert", f"{tmp_path}/holder/ca.pem", f"https://{settings.keys[6:]}/v1/seal")
        without = await ran(*bare)
        assert without.out == ""
        assert without.code


async def test_certificates_that_are_not_there_are_reported(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, keys=f"tls://{LOOPBACK}:1", keys_cert=tmp_path)
    with pytest.raises(ConfigError, match="FAIRROLL_KEYS_CERT="):
        calling(settings, "ingress", 1)


async def test_a_hold_destroys_the_chain_and_faces_begin_another(settings: Settings, brokers: Settings) -> None:
    settings, site = structs.replace(settings, kafka=brokers.kafka), _new_site()
    async with (
        running(Service("keyholder", settings)),
        open_keys(settings, "ingress") as ingress,
        open_keys(settings, "decider") as decider,
    ):
        await _control(settings, site, "face")
        made = await _until(settings, site, has_chain=True)
        await asyncio.gather(ingress.fetch(site), decider.fetch(site))
        sealed = seal(ingress, site)
        assert sealed
        assert sealed.chain == made.chain
        assert decider.covers(site, sealed)

        await _control(settings, site, "held")
        held = await _until(settings, site, has_chain=False)
        assert (held.mode, held.destroyed) == ("held", 1)
        assert sealed.chain.encode() not in _file(settings)
        async with asyncio.timeout(10):
            while decider.covers(site, sealed) or seal(ingress, site):
                await asyncio.sleep(0.05)

        await _control(settings, site, "face")
        again = await _until(settings, site, has_chain=True)
        assert again.chain != made.chain
        async with open_keys(settings, "decider") as another:
            assert not another.covers(site, sealed)


async def test_a_hold_during_the_holder_s_absence_destroys_when_it_is_back(
    settings: Settings, brokers: Settings
) -> None:
    """Also where faces were switched on again meanwhile: it reads every control that it had not read."""
    settings, site = structs.replace(settings, kafka=brokers.kafka), _new_site()
    holder = Service("keyholder", settings)
    async with running(holder):
        await _control(settings, site, "held")
        await _control(settings, site, "face")
        before = await _until(settings, site, has_chain=True)
        await holder.kill()
        await holder.start()
        await asyncio.sleep(1)  # what it had read before is no news
        unchanged = await _until(settings, site, has_chain=True)
        assert (unchanged.chain, unchanged.since) == (before.chain, before.since)
        await holder.kill()
        await _control(settings, site, "held")
        await _control(settings, site, "face")
        await holder.start()
        async with asyncio.timeout(20):
            while (after := await _until(settings, site, has_chain=True)).chain == before.chain:
                await asyncio.sleep(0.05)
        assert after.destroyed == 1


async def test_what_it_cannot_read_stops_nothing(settings: Settings, brokers: Settings) -> None:
    settings, site = structs.replace(settings, kafka=brokers.kafka), _new_site()
    holder = Service("keyholder", settings)
    async with running(holder):
        async with open_producer(settings) as producer:
            await producer.send_and_wait(settings.topics.controls, b"torn", key=site.encode())
        await _control(settings, site, "face")
        await _until(settings, site, has_chain=True)
        await holder.until_ready()
        _, vitals = await holder.vitals()
        assert vitals.counts["unreadable"] >= 1


async def test_after_a_window_no_key_of_it_is_held_on_the_whole_host(settings: Settings) -> None:
    """All that can be reached from a holder, an ingress and a decider, and the file: the dump of a host."""
    gone = leave_a_chain(settings, just_before_a_minute(15), minutes=1)
    seals = hmac.digest(hmac.digest(bytes(32), gone.key, "sha256"), b"fairroll seal key\x01", "sha256")
    async with (
        running(Service("keyholder", settings)),
        open_keys(settings, "ingress") as ingress,
        open_keys(settings, "decider") as decider,
    ):
        sealed = seal(ingress)
        assert sealed
        assert decider.unseal("park", sealed, BINDING) == TEMPLATE  # so it made the keys of all minutes before
        assert seals in _reachable(decider)
        async with asyncio.timeout(60):
            while _reachable(ingress, decider) & {gone.key, gone.at(gone.minute + 1).key, seals}:
                await asyncio.sleep(0.1)
            while base64.b64encode(gone.key) in _file(settings):
                await asyncio.sleep(0.1)
        assert decider.unseal("park", sealed, BINDING) == TEMPLATE


def test_after_a_window_the_holder_can_reach_no_key_of_it(settings: Settings) -> None:
    now = minute_of(now_ms()) * MINUTE_MS
    gone = leave_a_chain(settings, now, minutes=1)
    wall = [now]
    clock = Clock(lambda: wall[0], lambda: 0)
    holder = KeyHolder(KeyFile(Path(settings.keys_file)), clock, secrets.token_bytes, Health("keyholder", "1"))
    holder.resume()
    clock.ahead_ms = 0  # the file's is that of the host's own clock
    assert holder.keys("decider").sites["park"].key == gone
    assert gone.key in _reachable(holder)
    wall[0] += MINUTE_MS
    holder.step()
    assert not _reachable(holder) & {gone.key}
    assert holder.keys("decider").sites["park"].key == gone.at(gone.minute + 1)
    assert base64.b64encode(gone.key) not in _file(settings)


def _reachable(*roots: object) -> set[bytes]:
    """Every string of bytes that these objects hold, and all that they refer to."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType | asyncio.AbstractEventLoop):
            continue
        seen[id(one)] = one
        waiting.extend(gc.get_referents(one))
    return {bytes(one) for one in seen.values() if isinstance(one, bytes | bytearray)}


def _file(settings: Settings) -> bytes:
    return Path(settings.keys_file).read_bytes()


def _leave(settings: Settings, what: str) -> None:
    """What a reboot leaves of the file, or an accident."""
    if what == "nothing":
        Path(settings.keys_file).unlink()
    else:
        Path(settings.keys_file).write_bytes(_file(settings)[:-20])


def _new_site() -> str:
    return f"s{secrets.token_hex(8)}"


async def _control(settings: Settings, site: str, mode: Mode) -> None:
    control = Control(
        site=site,
        mode=mode,
        revision=Revision(now_ms(), 0),
        policy="p",
        epoch=0,
        ration_cm=60,
        ration_budget_cm=600,
        window_s=WINDOW_S,
    )
    async with open_producer(settings) as producer:
        await producer.send_and_wait(settings.topics.controls, encode(control), key=site.encode())


async def _until(settings: Settings, site: str, *, has_chain: bool) -> SiteFacts:
    async with asyncio.timeout(20):
        while True:
            facts = await facts_of(settings, site)
            if facts and (facts.chain is not None) is has_chain:
                return facts
            await asyncio.sleep(0.05)
