"""The space bar of a terminal, while a replay runs."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["space_bar"]


@contextmanager
def space_bar(pressed: Callable[[], None]) -> Iterator[None]:
    """Call `pressed` at each press of the space bar; without a terminal in the foreground, do nothing."""
    if not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        yield
        return
    terminal, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        loop.add_reader(terminal, lambda: pressed() if os.read(terminal, 1) == b" " else None)
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
