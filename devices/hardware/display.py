"""The display: a port, standard output in its place, and the guard around any driver."""

import os
import queue
import sys
import threading
from typing import Protocol, Self

import structlog

__all__ = ["Display", "GuardedDisplay", "StandardOutput"]

log = structlog.get_logger()

_MAX_QUEUED = 100
"""Texts that wait for a display that is slow. Beyond them new ones are dropped."""
_CLOSE_TIMEOUT_S = 2.0


class Display(Protocol):
    """Whatever people in front read."""

    def show(self, text: str) -> None:
        """Show one paragraph. May block and may raise anything."""
        ...


class StandardOutput:
    """A line a text. Written without Python's buffer, whose lock a hanging write would hold when the process ends."""

    def show(self, text: str) -> None:
        left = f"{text}\n".encode()
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]


class GuardedDisplay:
    """Any display, in a thread of its own. Never blocks and never raises: what went wrong is logged once."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._waiting: queue.Queue[str | None] = queue.Queue(_MAX_QUEUED)
        self._is_failing = False
        self._thread = threading.Thread(target=self._show_all, name="display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let what waits be shown, for two seconds at most."""
        self._put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def show(self, text: str) -> None:
        self._put(text)

    def _put(self, text: str | None) -> None:
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._failed("it hangs")

    def _show_all(self) -> None:
        for text in iter(self._waiting.get, None):
            try:
                self._display.show(text)
            except Exception as error:  # noqa: BLE001 - a driver may fail in any way, and people must get paper
                self._failed(repr(error))
            else:
                self._is_failing = False

    def _failed(self, why: str) -> None:
        if not self._is_failing:
            log.error("display failed, going on without it", error=why)
        self._is_failing = True
