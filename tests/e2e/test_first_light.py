"""The main job, with a real photo: from the camera to the motor and back to oblivion."""

import asyncio
import os
import re
import socket
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from devices.journal.sqlite import DiskJournal
from infra.local.stack import LocalStack
from models.contract.messages import LocalRation
from models.settings import Settings
from tests.support.processes import DISPENSER, beside, dispenser, environ_of, pressed, ran, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIGN = "Press face and be remembered for nine minutes at most; or press the button."
EXPECTED = [
    ("face", r"60 cm, after \d+ ms"),
    ("face", r"not yet \(quota\): again in 5[34]\d s, or press the button"),
    ("button", r"60 cm, after \d+ ms"),
    ("staff", r"60 cm, after \d+ ms"),
    ("forget", r"forgotten: 1 template\(s\) erased"),
    ("face", r"60 cm, after \d+ ms"),
]


async def test_a_person_is_served_refused_helped_forgotten_and_served_again(
    pipeline: LocalStack, tmp_path: Path
) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    presses = [press for press, _ in EXPECTED]
    arguments = ("run", "park", "gate", "--photos", str(tmp_path), "--capture-timeout", "30")
    sign, *received = (await dispenser(pipeline.settings, *arguments, sign=SIGN, presses=presses)).lines
    assert sign == SIGN
    assert len(received) == len(EXPECTED)
    for line, (press, expected) in zip(received, EXPECTED, strict=True):
        assert re.fullmatch(expected, line), (press, line)


async def test_without_a_broker_the_dispenser_serves_local_rations_and_captures_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    command = (*DISPENSER, "run", "park", "gate", "--patience", "0.5")
    async with beside(*command, env=environ_of(Settings(mqtt=address, data=tmp_path)), stdin=PIPE) as process:
        assert await shown(process) == (
            "the site does not answer: press the button for a local ration; the camera stays off"
        )
        assert [await pressed(process, press) for press in ("button", "face", "staff")] == [
            "60 cm, local ration: no answer within 0.5 s",
            "the camera is off here: please press the button",
            "60 cm, local ration: no answer within 0.5 s",
        ]
        received, _ = await asyncio.wait_for(process.communicate(b"button\n" * 10), 30)
    busy = "one moment please, another visitor is being served"
    assert sorted(received.decode().splitlines()) == ["60 cm, local ration: no answer within 0.5 s", *[busy] * 9]
    assert process.returncode == 0


def _no_reader(read_end: int, _: int) -> None:
    os.close(read_end)


def _full_pipe(_: int, write_end: int) -> None:
    os.set_blocking(write_end, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)


@pytest.mark.parametrize("hinder", [_no_reader, _full_pipe])
async def test_a_display_that_fails_or_hangs_costs_no_visitor_the_paper(
    hinder: Callable[[int, int], None], tmp_path: Path
) -> None:
    display, written = os.pipe()
    hinder(display, written)
    environ = environ_of(Settings(mqtt="127.0.0.1:1", data=tmp_path))
    command = (*DISPENSER, "run", "park", "gate", "--patience", "0.5")
    async with beside(*command, env=environ, stdin=PIPE, stdout=written, stderr=PIPE) as process:
        os.close(written)
        _, complained = await asyncio.wait_for(process.communicate(b"button\n"), 60)
    assert process.returncode == 0, complained.decode()
    [kept] = DiskJournal(tmp_path / "dispensers" / "park.gate.db", "").load(0).reports
    assert isinstance(kept.report, LocalRation)
    assert (kept.report.cm, kept.report.fault) == (60, None)


async def test_inside_a_restroom_a_dispenser_takes_no_camera_and_loads_nothing_that_sees(tmp_path: Path) -> None:
    python, *rest = DISPENSER
    command = (python, "-X", "importtime", *rest, "run", "park", "gate", "--placement", "inside", "--photos")
    ended = await ran(*command, str(tmp_path), env=environ_of(Settings(data=tmp_path)))
    assert ended.code == 2
    assert "dispenser: --placement inside: no camera is allowed inside a restroom" in ended.err
    assert " torch" not in ended.err
    assert " dlib" not in ended.err
