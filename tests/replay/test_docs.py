"""Every command of docs/replay.md runs, in the order of the page, on a real pipeline."""

import re
import shlex
from pathlib import Path

import pytest

from tests.replay.conftest import Recorded
from tests.replay.test_commands import refusals
from tests.support.processes import fairroll

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

_PAGE = Path(__file__).parents[2] / "docs" / "replay.md"
_COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_REQUEST = re.compile(r"request-\d-\d{10}")


def commands() -> list[str]:
    return [line for block in _COMMANDS.findall(_PAGE.read_text()) for line in block.splitlines()]


async def test_the_commands_of_the_stories_run(pipeline: Recorded, tmp_path: Path) -> None:
    refused = next(a for a in refusals(pipeline) if a.device == "d3").command.request
    output = []
    for command in commands():
        _, *arguments = shlex.split(_REQUEST.sub(refused, command).replace(".jsonl.zst", ".zst"))
        files = [str(tmp_path / word) if word.endswith(".zst") else word for word in arguments]
        ran = await fairroll(pipeline.settings, *files)
        assert ran.code == 0, f"{command}: {ran.err}"
        output.append(ran.out)
    assert len(output) == 7
    listed, explained, *_ = output
    assert refused in listed
    assert "refused for its quota" in explained
