"""The health pages of a service."""

import asyncio
import socket

import aiohttp
import msgspec
import pytest

from infra.local.ports import LOOPBACK, Ports
from models.errors import ConfigError
from stream_processors.runtime.health import Fault, Health, Vitals, served


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_new_service_is_alive_and_not_ready() -> None:
    expected = Vitals(service="ingress", instance="1", alive=True, ready=False, up_s=0.0, counts={})
    assert Health("ingress", "1", clock=Clock()).vitals() == expected


def test_what_will_be_counted_is_reported_as_0_before() -> None:
    health = Health("sink", "1", counts=("points", "rejected"), clock=Clock())
    health.count("points")
    assert health.vitals().counts == {"points": 1, "rejected": 0}


def test_counts_and_the_last_fault_are_reported() -> None:
    clock = Clock()
    health = Health("ingress", "1", clock=clock)
    for name in ("sent", "sent", "kept"):
        health.count(name)
    health.count("points", 40)
    health.fault("kafka does not answer")
    health.fault("broker lost")
    clock.now += 7
    vitals = health.vitals()
    assert vitals.counts == {"sent": 2, "kept": 1, "points": 40}
    assert vitals.last_fault == Fault(ago_s=7.0, text="broker lost")
    assert vitals.up_s == 7.0


def test_work_that_does_not_end_within_a_minute_is_no_life() -> None:
    clock = Clock()
    health = Health("egress", "1", clock=clock)
    health.ready = True
    with health.at_work():
        clock.now += 60
        with health.at_work():
            assert health.vitals().alive
            clock.now += 1
            assert not health.vitals().alive
    assert health.vitals().alive


def test_the_time_without_a_broker_does_not_count() -> None:
    clock = Clock()
    health = Health("egress", "1", clock=clock)
    with health.at_work():
        clock.now += 900
        assert health.vitals().alive
        health.ready = True
        clock.now += 60
        health.ready = True
        assert health.vitals().alive
        clock.now += 1
        assert not health.vitals().alive
        health.ready = False
        assert health.vitals().alive


def test_a_service_may_know_better_whether_it_moves() -> None:
    assert not Health("decider", "1", alive=lambda: False).vitals().alive


async def test_a_watched_service_is_ready_while_all_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_processors.runtime.health._LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("stream_processors.runtime.health._PATIENCE_S", 0.05)
    health, well, hangs = Health("sink", "1"), asyncio.Event(), asyncio.Event()
    well.set()

    async def kafka() -> bool:
        return well.is_set()

    async def influxdb() -> bool:
        if hangs.is_set():
            await asyncio.sleep(60)
        return True

    watching = asyncio.create_task(health.watch(kafka=kafka, influxdb=influxdb))
    await _until(health, ready=True)
    assert health.vitals().last_fault is None
    well.clear()
    await _until(health, ready=False, fault="kafka does not answer")
    well.set()
    await _until(health, ready=True)
    hangs.set()
    await _until(health, ready=False, fault="influxdb does not answer")
    hangs.clear()
    await _until(health, ready=True)
    watching.cancel()
    await _until(health, ready=False)


async def _until(health: Health, *, ready: bool, fault: str | None = None) -> None:
    async with asyncio.timeout(5):
        while health.ready is not ready:
            await asyncio.sleep(0.005)
    last = health.vitals().last_fault
    assert fault is None or (last and last.text == fault)


async def test_both_answers_carry_the_vitals() -> None:
    health = Health("decider", "2", clock=Clock())
    address = f"{LOOPBACK}:{Ports.free().mqtt}"
    async with served(health, address), aiohttp.ClientSession(f"http://{address}") as http:
        assert await _get(http, "/healthz") == (200, health.vitals())
        assert await _get(http, "/readyz") == (503, health.vitals())
        health.ready = True
        assert await _get(http, "/readyz") == (200, health.vitals())
        stuck = Health("decider", "2", alive=lambda: False, clock=Clock())
    async with served(stuck, address), aiohttp.ClientSession(f"http://{address}") as http:
        assert await _get(http, "/healthz") == (503, stuck.vitals())


async def _get(http: aiohttp.ClientSession, path: str) -> tuple[int, Vitals]:
    async with http.get(path) as answer:
        return answer.status, msgspec.json.decode(await answer.read(), type=Vitals)


async def test_a_taken_port_names_the_variable() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"FAIRROLL_HEALTH='{address}': cannot listen there"):
            await served(Health("sink", "1"), address).__aenter__()


async def test_a_service_without_an_address_shows_nobody() -> None:
    async with served(Health("sink", "1"), ""):
        pass
