"""Lines of a descriptor in the place of buttons."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from devices.hardware.buttons import typed_lines


class Pipe:
    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()

    def write(self, text: bytes) -> None:
        os.write(self._write_end, text)

    def end(self) -> None:
        os.close(self._write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.read_end)


async def all_lines(pipe: Pipe) -> list[str]:
    return [line async for line in typed_lines(pipe.read_end)]


async def test_lines_come_until_the_end_without_the_empty_ones(pipe: Pipe) -> None:
    pipe.write(b"face\n\n  \nbutton \nstaff")
    pipe.end()
    assert await asyncio.wait_for(all_lines(pipe), 5) == ["face", "button", "staff"]


async def test_an_endless_line_is_split_and_invalid_bytes_are_a_line(pipe: Pipe) -> None:
    pipe.write(b"x" * 2_500 + b"\n\xff\xfe\n")
    pipe.end()
    pieces = await asyncio.wait_for(all_lines(pipe), 5)
    assert [len(piece) for piece in pieces] == [1_000, 1_000, 500, 2]


async def test_a_descriptor_that_cannot_be_read_is_at_its_end(pipe: Pipe) -> None:
    folder = os.open("/", os.O_RDONLY)
    try:
        assert [line async for line in typed_lines(folder)] == []
    finally:
        os.close(folder)
        pipe.end()


async def test_a_cancelled_reader_does_not_block(pipe: Pipe) -> None:
    pipe.write(b"face\n" * 100)
    async for line in typed_lines(pipe.read_end):
        assert line == "face"
        break
    pipe.end()
