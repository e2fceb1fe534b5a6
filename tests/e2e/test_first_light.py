"""The main job, with a real photo: from the camera to the motor and back to oblivion."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from devices.journal.sqlite import DiskJournal
from infra.local.stack import LocalStack
from models.contract.messages import LocalRation
from tests.e2e.looks import dispenser, pressed, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIGN = "Press face and be looked at, for nine minutes at most; or press the button."
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
    arguments = ("run", "park", "gate", "--photos", str(tmp_path), "--look", "30")
    sign, *told = await dispenser(pipeline, *arguments, sign=SIGN, presses=presses)
    assert sign == SIGN
    assert len(told) == len(EXPECTED)
    for line, (press, expected) in zip(told, EXPECTED, strict=True):
        assert re.fullmatch(expected, line), (press, line)


async def test_without_a_broker_the_dispenser_serves_by_itself_and_looks_at_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    command = (sys.executable, "-m", "devices.cli", "run", "park", "gate", "--patience", "0.5")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env={"FAIRROLL_MQTT": address, "FAIRROLL_DATA": str(tmp_path)}
    )
    assert await shown(process) == (
        "the site does not answer: buttons are served with a local ration, no face is looked at"
    )
    assert [await pressed(process, press) for press in ("button", "face", "staff")] == [
        "60 cm by itself: no answer within 0.5 s",
        "no face is looked at here: please press the button",
        "60 cm by itself: no answer within 0.5 s",
    ]
    told, _ = await asyncio.wait_for(process.communicate(b"button\n" * 10), 30)
    busy = "one moment, somebody else is being served"
    assert sorted(told.decode().splitlines()) == ["60 cm by itself: no answer within 0.5 s", *[busy] * 9]
    assert process.returncode == 0


def _nobody_reads_it(read_end: int, _: int) -> None:
    os.close(read_end)


def _it_is_full(_: int, write_end: int) -> None:
    os.set_blocking(write_end, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)


@pytest.mark.parametrize("hinder", [_nobody_reads_it, _it_is_full])
async def test_a_display_that_fails_or_hangs_costs_nobody_their_paper(
    hinder: Callable[[int, int], None], tmp_path: Path
) -> None:
    display, written = os.pipe()
    hinder(display, written)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devices.cli", "run", "park", "gate", "--patience", "0.5"),
        stdin=asyncio.subprocess.PIPE,
        stdout=written,
        stderr=asyncio.subprocess.PIPE,
        env={"FAIRROLL_MQTT": "127.0.0.1:1", "FAIRROLL_DATA": str(tmp_path)},
    )
    os.close(written)
    _, complained = await asyncio.wait_for(process.communicate(b"button\n"), 60)
    assert process.returncode == 0, complained.decode()
    [kept] = DiskJournal(tmp_path / "dispensers" / "park.gate.db", "").load(0).reports
    assert isinstance(kept.report, LocalRation)
    assert (kept.report.cm, kept.report.fault) == (60, None)


async def test_inside_a_restroom_a_dispenser_takes_no_camera_and_loads_nothing_that_sees(tmp_path: Path) -> None:
    command = (sys.executable, "-X", "importtime", "-m", "devices.cli", "run", "park", "gate")
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--placement", "inside", "--photos", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"FAIRROLL_DATA": str(tmp_path)},
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert "dispenser: --placement inside: no camera may look at anybody inside a restroom" in said.decode()
    assert " torch" not in said.decode()
    assert " dlib" not in said.decode()
