"""The display: a port, standard output as a display, and a guard around any driver."""

import os
import queue
import sys
import threading
from typing import Protocol, Self

import structlog

__all__ = ["Display", "GuardedDisplay", "StandardOutput"]

log = structlog.get_logger()

_MAX_QUEUED = 100
"""Texts that wait for a slow display; further ones are dropped."""
_CLOSE_TIMEOUT_S = 2.0


class Display(Protocol):
    """Shows texts to the visitor."""

    def show(self, text: str) -> None:
        """Show one paragraph. May block and may raise any exception."""
        ...


class StandardOutput:
    """One line per text, unbuffered: a hanging write would hold the lock of Python's buffer when the process exits."""

    def show(self, text: str) -> None:
        left = f"{text}\n".encode()
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]


class GuardedDisplay:
    """Runs a display in a thread. Never blocks and never raises; a failure is logged once, until it recovers."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._waiting: queue.Queue[str | None] = queue.Queue(_MAX_QUEUED)
        self._is_failing = False
        self._thread = threading.Thread(target=self._show_all, name="display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the queued texts, with a timeout of two seconds."""
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
            except Exception as error:  # noqa: BLE001 - a driver may raise anything, and visitors must get paper
                self._failed(repr(error))
            else:
                self._is_failing = False

    def _failed(self, why: str) -> None:
        if not self._is_failing:
            log.error("display failed, going on without it", error=why)
        self._is_failing = True
