"""The main job, with a real photo: from the camera to the motor and back to oblivion."""

import asyncio
import re
import socket
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from infra.local.stack import LocalStack
from tests.e2e.looks import dispenser

pytestmark = pytest.mark.asyncio(loop_scope="session")

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
    typed = "".join(f"{press}\n" for press, _ in EXPECTED)
    told = await dispenser(pipeline, "run", "park", "gate", "--photos", str(tmp_path), typed=typed)
    assert told.pop(0) == "Press face and be looked at, for nine minutes at most; or press the button."
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
    told, _ = await asyncio.wait_for(process.communicate(b"button\nface\nstaff\n"), 30)
    assert told.decode().splitlines() == [
        "the site does not answer: buttons are served with a local ration, no face is looked at",
        "60 cm by itself: no answer within 0.5 s",
        "no face is looked at here: please press the button",
        "60 cm by itself: no answer within 0.5 s",
    ]
    assert process.returncode == 0


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
