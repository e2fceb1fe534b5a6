"""The main job, with a real photo: from the camera to the motor and back to oblivion."""

import re
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
    assert len(told) == len(EXPECTED)
    for line, (press, expected) in zip(told, EXPECTED, strict=True):
        assert re.fullmatch(expected, line), (press, line)
