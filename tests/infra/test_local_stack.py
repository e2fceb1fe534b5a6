"""A local stack starts completely, reports what is wrong, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

from infra.local.installation import Place
from infra.local.ports import LOOPBACK, Ports
from infra.local.probes import mqtt_answers
from infra.local.process import Process, ProgramDied
from infra.local.programs import BROKERS, PROCESSES, Program, program_of
from infra.local.stack import LocalStack
from models.errors import ConfigError
from models.settings import Settings
from tests.support.leftovers import is_running
from tests.support.processes import beside

_METRICS = ("influxd", "gateway")

_A_STACK = """
import asyncio, sys
from pathlib import Path
from infra.local.ports import Ports
from infra.local.stack import LocalStack

async def main():
    async with LocalStack(Path(sys.argv[1]), programs=["mosquitto", "influxd"], ports=Ports.free()) as stack:
        print(*(process.pid for process in stack), flush=True)
        await stack.watch()

asyncio.run(main())
"""


def _is_alive(pid: int | None) -> bool:
    return pid is not None and is_running(pid)


async def _until_gone(*pids: int) -> None:
    async with asyncio.timeout(10):
        while any(map(_is_alive, pids)):
            await asyncio.sleep(0.05)


async def test_all_brokers_stop_and_leave_no_process(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=BROKERS, ports=Ports.free()) as stack:
        pids = [process.pid for process in stack]
        assert len(pids) == len(BROKERS)
        assert all(map(_is_alive, pids))
    assert not any(map(_is_alive, pids))


async def test_what_was_kept_is_there_at_the_next_start(tmp_path: Path) -> None:
    ports = Ports.free()
    async with (
        LocalStack(tmp_path, programs=["mosquitto"], ports=ports),
        aiomqtt.Client(LOOPBACK, ports.mqtt) as client,
    ):
        await client.publish("kept", b"paper", qos=1, retain=True)
    async with (
        LocalStack(tmp_path, programs=["mosquitto"], ports=ports),
        aiomqtt.Client(LOOPBACK, ports.mqtt) as client,
    ):
        await client.subscribe("kept")
        message = await anext(aiter(client.messages))
    assert message.payload == b"paper"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda stored: bytes(len(stored)), id="NULs"),
        pytest.param(lambda stored: stored[: len(stored) // 2], id="halved"),
        pytest.param(lambda stored: stored[:60] + bytes(80) + stored[140:], id="crashes mosquitto 2.0.11"),
    ],
)
async def test_an_unreadable_state_of_mosquitto_is_moved_aside_and_named(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    ports, state = Ports.free(), tmp_path / "data/mosquitto/mosquitto.db"
    async with (
        LocalStack(tmp_path, programs=["mosquitto"], ports=ports),
        aiomqtt.Client(LOOPBACK, ports.mqtt) as client,
    ):
        for number in range(20):
            await client.publish(f"kept/{number}", b"paper", qos=1, retain=True)
    damaged = damage(state.read_bytes())
    state.write_bytes(damaged)
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=ports) as stack:
        [aside] = state.parent.glob("mosquitto.db.unreadable-*")
        assert aside.read_bytes() == damaged
        assert stack["mosquitto"].notice.startswith(
            f"mosquitto could not read {state}, which was moved to {aside.name}"
        )
        await stack.restart("mosquitto")
        assert not stack["mosquitto"].notice


async def test_state_of_a_part_that_fails_without_it_too_stays_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"kept")
    process = Process(Program(name="shell", command=("sh", "-c", "exit 3"), state=state), tmp_path / "shell.log")
    await process.start()
    with pytest.raises(ProgramDied, match=r"shell died \(exit code 3\)"):
        await process.until_ready()
    assert state.read_bytes() == b"kept"


async def test_part_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["influxd"], ports=Ports.free()) as stack:
        os.kill(stack["influxd"].pid or 0, signal.SIGKILL)
        with pytest.raises(
            ProgramDied, match=r"(?s)influxd died \(SIGKILL\); the end of .*influxd.log:\n.*Listening on HTTP"
        ):
            await asyncio.wait_for(stack.watch(), 10)


async def test_part_that_is_killed_on_purpose_is_no_failure_and_comes_back(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()) as stack:
        await stack.kill("mosquitto")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stack.watch(), 0.5)
        assert not await mqtt_answers(stack.settings)
        await stack.start("mosquitto")
        assert await mqtt_answers(stack.settings)


async def test_restarted_part_is_another_process(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()) as stack:
        before = stack["mosquitto"].pid
        await stack.restart("mosquitto")
        assert stack["mosquitto"].pid != before
        assert not _is_alive(before)


async def test_taken_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    ports = Ports.free()
    with socket.create_server((LOOPBACK, ports.gateway)):
        stack = LocalStack(tmp_path, programs=["mosquitto", *_METRICS], ports=ports)
        with pytest.raises(ConfigError, match=rf"port {ports.gateway}, which gateway needs.*FAIRROLL_INFLUX_URL"):
            await stack.__aenter__()
    assert not list(stack)


async def test_port_of_a_process_that_is_taken_is_reported_before_anything_starts(tmp_path: Path) -> None:
    ports = Ports.free()
    with socket.create_server((LOOPBACK, ports.decider)):
        stack = LocalStack(tmp_path, programs=["mosquitto", "decider"], ports=ports)
        with pytest.raises(ConfigError, match=rf"port {ports.decider}, which decider needs, is taken.*--ports free`$"):
            await stack.__aenter__()
    assert not list(stack)


def test_each_process_is_reported_where_to_tell_its_health_and_all_where_to_ask(tmp_path: Path) -> None:
    ports = Ports()
    stack = LocalStack(tmp_path, ports=ports)
    assert (
        stack.settings.services
        == Settings().services
        == "127.0.0.1:9105,127.0.0.1:9101,127.0.0.1:9102,127.0.0.1:9103,127.0.0.1:9104"
    )
    parts = [program_of(name, Place(tmp_path, ports, stack.settings)) for name in PROCESSES]
    assert [part.environ["FAIRROLL_HEALTH"] for part in parts] == stack.settings.services.split(",")
    assert [part.ports for part in parts] == [(9105,), (9101,), (9102,), (9103,), (9104,)]


async def test_missing_file_of_sites_is_reported_before_anything_starts(tmp_path: Path) -> None:
    environ = {"FAIRROLL_SITES": str(tmp_path / "sites.toml")}
    stack = LocalStack(tmp_path, programs=["mosquitto", "ingress"], ports=Ports.free(), environ=environ)
    with pytest.raises(ConfigError, match="FAIRROLL_SITES"):
        await stack.__aenter__()
    assert not list(stack)


async def test_broker_that_runs_elsewhere_is_not_started(tmp_path: Path) -> None:
    environ = {"FAIRROLL_MQTT": "broker.example:1883", "FAIRROLL_INFLUX_URL": "http://influx.example:8086"}
    async with LocalStack(tmp_path, programs=["mosquitto", *_METRICS], ports=Ports.free(), environ=environ) as stack:
        assert not list(stack)
        assert stack.external == ("mosquitto", "influxd", "gateway")
        assert stack.settings.mqtt == "broker.example:1883"
        assert stack.settings.influx_url == "http://influx.example:8086"


async def test_kafka_starts_under_a_name_that_looks_like_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(bytes=b"\xfb" * 16))
    async with LocalStack(tmp_path, programs=["kafka"], ports=Ports.free()) as stack:
        assert "cluster.id=-" in (tmp_path / "data/kafka/meta.properties").read_text()
        assert stack["kafka"].is_running


async def test_missing_jars_ask_for_make_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.installation.KAFKA_LIB", tmp_path)
    with pytest.raises(ConfigError, match="run make setup"):
        await LocalStack(tmp_path, programs=["kafka"], ports=Ports.free()).__aenter__()


async def test_missing_program_asks_for_make_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match="mosquitto is not installed: run make setup"):
        await LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()).__aenter__()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
async def test_parts_do_not_outlive_a_killed_stack(tmp_path: Path) -> None:
    async with beside(sys.executable, "-c", _A_STACK, str(tmp_path)) as stack:
        assert stack.stdout
        pids = [int(pid) for pid in (await stack.stdout.readline()).split()]
        assert len(pids) == 2
        stack.kill()
        await stack.wait()
        await _until_gone(*pids)


@pytest.mark.parametrize(
    ("is_secure", "environ", "words"),
    [
        (True, {"FAIRROLL_MQTT": "broker.example:8883"}, "unset FAIRROLL_MQTT"),
        (False, {"FAIRROLL_MQTT_CA": "ca.pem"}, "or use --secure"),
    ],
)
async def test_tls_of_another_broker_is_refused(
    tmp_path: Path, environ: dict[str, str], words: str, *, is_secure: bool
) -> None:
    stack = LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free(), environ=environ, is_secure=is_secure)
    with pytest.raises(ConfigError, match=words):
        async with stack:
            pass


def test_no_two_stacks_choose_the_same_free_port() -> None:
    stacks = [Ports.free() for _ in range(50)]
    ports = [port for stack in stacks for name, port in vars(stack).items() if name != "reservations"]
    assert len(set(ports)) == len(ports) == 50 * 11


def test_ports_of_a_stack_that_is_gone_can_be_chosen_again() -> None:
    before = Ports.free()
    port = before.mqtt
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        with pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, port))
        del before
        other.bind((LOOPBACK, port))
