"""SIGINT and SIGTERM stop every command that runs for long, however it was started."""

import asyncio
import contextlib
import os
import re
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.settings import Settings
from tests.support.processes import DISPENSER, FAIRROLL, beside, environ_of

WITHIN_S = 30
IN_BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""As a shell without job control starts `command &`: SIGINT is ignored, and children inherit that (POSIX, 2.11)."""
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@asynccontextmanager
async def silent_broker() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Its address, and the event of a first connection; it never answers."""
    connected = asyncio.Event()
    server = await asyncio.start_server(lambda *_: connected.set(), "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", connected
    finally:
        server.close()


@BOTH
@pytest.mark.parametrize(
    "command",
    [
        pytest.param((*FAIRROLL, "record", "archive.jsonl.zst"), id="record"),
        pytest.param((*FAIRROLL, "replay", "kafka"), id="replay"),
        pytest.param((*FAIRROLL, "replay", "--live", "--threshold", "same=400,doubt=380"), id="replay --live"),
        pytest.param((*FAIRROLL, "keyholder"), id="keyholder"),
        pytest.param((*FAIRROLL, "ingress"), id="ingress"),
        pytest.param((*FAIRROLL, "decider"), id="decider"),
        pytest.param((*FAIRROLL, "egress"), id="egress"),
        pytest.param((*FAIRROLL, "sink"), id="sink"),
        pytest.param((*DISPENSER, "run", "park", "gate"), id="dispenser run"),
        pytest.param((*DISPENSER, "fleet", "--seconds", "600"), id="dispenser fleet"),
    ],
)
async def test_a_command_that_waits_for_its_broker_stops(
    command: tuple[str, ...], number: signal.Signals, tmp_path: Path, memory: Path
) -> None:
    async with silent_broker() as (address, connected):
        settings = at(address, tmp_path, memory)
        async with beside(
            *IN_BACKGROUND, *command, env=environ_of(settings), cwd=tmp_path, stdin=PIPE, stderr=STDOUT
        ) as process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connected.wait(), WITHIN_S)
            process.send_signal(number)
            shown, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert connected.is_set(), shown.decode()
    assert process.returncode in {0, 1}, "it ended by itself, in order"
    assert not {"KeyboardInterrupt", "CancelledError"} & set(re.findall(r"\w+", shown.decode()))
    assert not (tmp_path / "archive.jsonl.zst").exists()


@BOTH
async def test_up_in_the_background_stops_with_all_that_it_started(tmp_path: Path, number: signal.Signals) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FAIRROLL_")}
    command = (*FAIRROLL, "up", "--brokers", "--ports", "free", "--folder", str(tmp_path))
    async with beside(*IN_BACKGROUND, *command, env=environ, stderr=STDOUT) as up:
        assert up.stdout
        shown = await asyncio.wait_for(up.stdout.readuntil(b"Ctrl-C"), 60)
        assert all(part in shown for part in (b"mosquitto", b"kafka", b"influxd", b"gateway", b"127.0.0.1:"))
        up.send_signal(number)
        rest, _ = await asyncio.wait_for(up.communicate(), WITHIN_S)
    assert rest.endswith(b"stopped\n")
    assert up.returncode == 0


def at(address: str, folder: Path, memory: Path) -> Settings:
    """A pipeline whose brokers are all at this address."""
    (folder / "sites.toml").write_text('[sites.park]\nmode = "face"\nsimulated = true\ndevices = ["gate"]\n')
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "pipeline.key").write_text("ab" * 32)
    (folder / "secrets" / "site-park.key").write_text("0 " + "cd" * 32)
    return Settings(
        mqtt=address,
        kafka=address,
        influx_url=f"http://{address}",
        sites=folder / "sites.toml",
        secrets=folder / "secrets",
        data=folder / "data",
        keys=f"unix:{memory}/keys",
        keys_file=f"{memory}/chains",
    )
