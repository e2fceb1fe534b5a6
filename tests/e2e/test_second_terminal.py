"""A second terminal beside `fairroll up`: commands find the stack by themselves."""

import asyncio
import os
import signal
from asyncio.subprocess import STDOUT
from pathlib import Path

from tests.support.processes import FAIRROLL, beside, ran

ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("FAIRROLL_")},
    "COLUMNS": "80",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


async def typed(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    ended = await ran(*FAIRROLL, *arguments, env=ENVIRON | more, cwd=folder)
    return ended.code, ended.out + ended.err


async def test_a_second_terminal_needs_no_exports(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text('[sites.park]\nmode = "face"\ndevices = ["gate"]\n')
    async with beside(*FAIRROLL, "up", "--ports", "free", env=ENVIRON, cwd=tmp_path, stderr=STDOUT) as up:
        assert up.stdout
        await asyncio.wait_for(up.stdout.readuntil(b"Ctrl-C"), 90)

        code, received = await typed(tmp_path, "hold", "park", "--why", "a test", FAIRROLL_SECRETS=".local/secrets")
        assert "keys: destroyed" in received
        assert code == 0

        code, received = await typed(tmp_path, "status")
        assert received.rstrip().endswith("all is well")

        code, received = await typed(tmp_path, "up", "--ports", "free")
        assert "a stack runs in" in received
        assert code == 2

        up.send_signal(signal.SIGINT)
        await asyncio.wait_for(up.communicate(), 60)
    assert (tmp_path / ".local" / "fairroll.env").read_bytes() == b""
