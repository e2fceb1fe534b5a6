"""Whatever a display does, people are served."""

import threading
from collections.abc import Callable

import pytest

from devices.hardware.display import GuardedDisplay


class Wall:
    """Records what it is given to show; `does` runs before."""

    def __init__(self, does: Callable[[str], None] = lambda _: None) -> None:
        self.shown: list[str] = []
        self._does = does

    def show(self, text: str) -> None:
        self._does(text)
        self.shown.append(text)


def test_all_texts_are_shown_in_order_before_the_display_closes() -> None:
    wall = Wall()
    with GuardedDisplay(wall) as display:
        for number in range(50):
            display.show(str(number))
    assert wall.shown == [str(number) for number in range(50)]


def test_a_display_that_hangs_holds_up_nothing_and_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    hangs = threading.Event()

    def hang(_: str) -> None:
        hangs.wait()

    with GuardedDisplay(Wall(hang)) as display:
        for number in range(10_000):
            display.show(str(number))
        assert capsys.readouterr().out.count("display failed") == 1
        hangs.set()


def test_a_failed_display_is_logged_once_and_shows_later_texts_after_its_recovery(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = {"one", "two", "four"}

    def fail(text: str) -> None:
        if text in broken:
            raise BrokenPipeError(text)

    wall = Wall(fail)
    with GuardedDisplay(wall) as display:
        for text in ("one", "two", "three", "four"):
            display.show(text)
    assert wall.shown == ["three"]
    assert capsys.readouterr().out.count("display failed, going on without it") == 2
