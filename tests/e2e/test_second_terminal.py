"""A second terminal beside `fairroll up`: commands find the stack by themselves."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("FAIRROLL_")} | {"COLUMNS": "80"}
ROOT = str(Path(__file__).parents[2])


async def fairroll(folder: Path, *arguments: str, **more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli", *arguments),
        cwd=folder,
        env=ENVIRON | {"PYTHONPATH": ROOT} | more,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )


async def test_a_second_terminal_needs_no_exports(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text('[sites.park]\nmode = "face"\ndevices = ["gate"]\n')
    up = await fairroll(tmp_path, "up", "--ports", "free")
    assert up.stdout
    try:
        await asyncio.wait_for(up.stdout.readuntil(b"Ctrl-C"), 90)

        hold = await fairroll(tmp_path, "hold", "park", "--why", "a test", FAIRROLL_SECRETS=".local/secrets")
        told, _ = await asyncio.wait_for(hold.communicate(), 60)
        assert b"keys: destroyed" in told, told.decode()
        assert hold.returncode == 0

        status = await fairroll(tmp_path, "status")
        told, _ = await asyncio.wait_for(status.communicate(), 60)
        assert told.rstrip().endswith(b"all is well"), told.decode()

        second = await fairroll(tmp_path, "up", "--ports", "free")
        told, _ = await asyncio.wait_for(second.communicate(), 60)
        assert b"a stack runs in" in told
        assert second.returncode == 2
    finally:
        os.killpg(up.pid, signal.SIGINT)
        await asyncio.wait_for(up.communicate(), 60)
    assert (tmp_path / ".local" / "fairroll.env").read_bytes() == b""
