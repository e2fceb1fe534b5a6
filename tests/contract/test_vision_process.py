"""The vision process: any failure in it costs one capture, and the next capture works."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from devices.vision.process import VisionProcess, worker_command
from devices.vision.protocol import VisionConfig
from models.errors import ConfigError
from models.face.capture_result import NotSeen

WITHIN_S = 120.0
NO_PICTURE = NotSeen(reason="no_picture")
FAKE = """
import os, sys, time
from pathlib import Path
from devices.vision.protocol import NUMBER, Captured, Ready, Unusable, frame

def send(answer):
    os.write(1, frame(answer))

def numbers():
    while asked := sys.stdin.buffer.read(NUMBER.size):
        yield NUMBER.unpack(asked)[0]

first = not Path(sys.argv[1]).exists()
Path(sys.argv[1]).touch()
"""
"""A process in the place of the vision, which may behave badly while it is the first one."""
WELL = """
send(Ready())
for number in numbers():
    send(Captured(number=number, reason="no_face"))
"""
BADLY = {
    "hangs": "time.sleep(3600)",
    "crashes": "os.abort()",
    "ends": "os._exit(0)",
    "answers nonsense": "os.write(1, bytes(range(256)) * 100)",
    "answers half": "os.write(1, frame(Captured(number=number))[:-3]); time.sleep(3600)",
    "answers another look": "send(Captured(number=number + 1, reason='no_face')); time.sleep(3600)",
    "is ready again": "send(Ready()); time.sleep(3600)",
    "closes its pipe": "os.close(1); time.sleep(3600)",
}


HERE = "Path(sys.argv[1]).write_text(str(os.getpid()))\n"


def fake(tmp_path: Path, script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", FAKE + script, str(tmp_path / "was_here"))


def at_first(script: str) -> str:
    """The first process does this, those after it work well."""
    return f"if first:\n{textwrap.indent(script, '    ')}\n{WELL}"


def at_each_look(script: str) -> str:
    return f"send(Ready())\nfor number in numbers():\n{textwrap.indent(script, '    ')}"


@asynccontextmanager
async def running(
    command: Sequence[str], capture_timeout_s: float = 0.5, load_timeout_s: float = WITHIN_S
) -> AsyncIterator[VisionProcess]:
    vision = VisionProcess(command, capture_timeout_s=capture_timeout_s, load_timeout_s=load_timeout_s)
    task = asyncio.create_task(vision.run())
    try:
        yield vision
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_ready(vision: VisionProcess, *, is_ready: bool = True) -> None:
    async with asyncio.timeout(WITHIN_S):
        while vision.is_ready != is_ready:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("badly", BADLY.values(), ids=BADLY.keys())
async def test_a_failed_capture_ends_in_time_and_the_next_one_uses_a_new_process(badly: str, tmp_path: Path) -> None:
    async with running(fake(tmp_path, at_first(at_each_look(badly)))) as vision:
        await until_ready(vision)
        started = time.monotonic()
        assert await vision.capture() == NO_PICTURE
        assert time.monotonic() - started < 5
        await until_ready(vision)
        assert await vision.capture() == NotSeen(reason="no_face")


@pytest.mark.parametrize("badly", ["time.sleep(3600)", "os.abort()", "sys.exit(1)", "os.write(1, b'?' * 99)"])
async def test_a_process_that_cannot_load_is_started_again(badly: str, tmp_path: Path) -> None:
    async with running(fake(tmp_path, at_first(badly)), load_timeout_s=5) as vision:
        assert await vision.capture() == NO_PICTURE
        await until_ready(vision)
        assert await vision.capture() == NotSeen(reason="no_face")


async def test_a_process_killed_between_captures_is_restarted_before_the_next(tmp_path: Path) -> None:
    async with running(fake(tmp_path, HERE + WELL)) as vision:
        await until_ready(vision)
        os.kill(int((tmp_path / "was_here").read_text()), signal.SIGKILL)
        await until_ready(vision, is_ready=False)
        await until_ready(vision)
        assert await vision.capture() == NotSeen(reason="no_face")


async def test_a_cancelled_capture_leaves_no_answer_for_the_next_one(tmp_path: Path) -> None:
    script = at_first(at_each_look("time.sleep(0.2)\nsend(Captured(number=number))"))
    async with running(fake(tmp_path, script), capture_timeout_s=WITHIN_S) as vision:
        await until_ready(vision)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(vision.capture(), 0.05)
        await until_ready(vision)
        assert await vision.capture() == NotSeen(reason="no_face")


async def test_a_configuration_error_is_raised_at_the_first_start(tmp_path: Path) -> None:
    vision = VisionProcess(fake(tmp_path, "send(Unusable('no photo in here'))"))
    with pytest.raises(ConfigError, match="no photo in here"):
        await asyncio.wait_for(vision.run(), WITHIN_S)


async def test_an_unusable_process_after_the_first_is_retried(tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    unplugged = f"if not Path({str(mended)!r}).exists():\n    send(Unusable('unplugged'))\n    sys.exit(2)\n"
    script = at_first("send(Ready())\nfor number in numbers():\n    os._exit(0)").replace(WELL, unplugged + WELL)
    async with running(fake(tmp_path, script)) as vision:
        await until_ready(vision)
        assert await vision.capture() == NO_PICTURE
        await asyncio.sleep(1)
        mended.touch()
        await until_ready(vision)
        assert await vision.capture() == NotSeen(reason="no_face")


async def test_the_readiness_of_the_vision_process_is_reported_at_each_change(tmp_path: Path) -> None:
    received: list[bool] = []
    command = fake(tmp_path, at_first("send(Ready())\nos._exit(0)"))
    task = asyncio.create_task(VisionProcess(command, changed=received.append).run())
    async with asyncio.timeout(WITHIN_S):
        while len(received) < 4:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert received == [False, True, False, True, False]


async def test_the_vision_process_ends_with_the_dispenser(tmp_path: Path) -> None:
    async with running(fake(tmp_path, f"{HERE}send(Ready())\ntime.sleep(3600)")) as vision:
        await until_ready(vision)
        pid = int((tmp_path / "was_here").read_text())
    assert not runs(pid)


# -- the real one -------------------------------------------------------------------------------------


def real(photos: Path) -> tuple[str, ...]:
    return worker_command(VisionConfig(photos=str(photos), model="dlib-resnet/1", weights=str(photos)))


async def test_the_real_one_sees_a_face_stands_bad_photos_and_does_not_outlive_a_hang(tmp_path: Path) -> None:
    """A photo, a bad one, one that hangs for ever, and the photo again."""
    Image.fromarray(data.astronaut()).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no photo")
    os.mkfifo(tmp_path / "3.png")
    async with running(real(tmp_path), capture_timeout_s=20) as vision:
        await until_ready(vision)
        seen = await vision.capture()
        assert not isinstance(seen, NotSeen)
        assert (seen.shape, round(float(np.linalg.norm(seen)), 3)) == ((128,), 1.0)
        assert await vision.capture() == NO_PICTURE
        await until_ready(vision)
        assert await vision.capture() == NO_PICTURE
        await until_ready(vision, is_ready=False)
        await until_ready(vision)
        assert not isinstance(await vision.capture(), NotSeen)


async def test_the_real_process_reports_a_missing_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no photo in"):
        await asyncio.wait_for(VisionProcess(real(tmp_path / "nowhere")).run(), WITHIN_S)


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


def about(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text()


def runs(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return about(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_the_real_process_writes_no_core_file_is_first_for_the_oom_killer_and_ends_with_its_parent(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "1.png")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, *real(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    child = int(await process.stdout.readline())
    await asyncio.wait_for(process.stdout.readexactly(4), WITHIN_S)
    [core] = [
        line.split()[4:6] for line in about(child, "limits").splitlines() if line.startswith("Max core file size")
    ]
    assert core == ["0", "0"]
    assert about(child, "oom_score_adj") == "1000\n"
    process.kill()
    await process.wait()
    async with asyncio.timeout(10):
        while runs(child):
            await asyncio.sleep(0.05)
