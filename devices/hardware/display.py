"""Displays: the interface, standard output, and a wrapper that isolates the failures of a driver."""

import os
import queue
import sys
import threading
from typing import Protocol, Self

import structlog

__all__ = ["Display", "GuardedDisplay", "StandardOutput"]

log = structlog.get_logger()

_MAX_QUEUED = 100
"""Most queued texts; more are dropped."""
_CLOSE_TIMEOUT_S = 2.0


class Display(Protocol):
    """Shows texts to the visitor."""

    def show(self, text: str) -> None:
        """Show one paragraph. May block and may raise any exception."""
        ...


class StandardOutput:
    """One line per text, by `os.write`: a buffered write that blocks would hang the exit of the interpreter."""

    def show(self, text: str) -> None:
        left = f"{text}\n".encode()
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]


class GuardedDisplay:
    """Runs a display in a thread. `show` never blocks or raises; only the first of consecutive failures is logged."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._queue: queue.Queue[str | None] = queue.Queue(_MAX_QUEUED)
        self._is_failing = False
        self._thread = threading.Thread(target=self._show_all, name="display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait up to two seconds for the queued texts to be shown."""
        self._put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def show(self, text: str) -> None:
        self._put(text)

    def _put(self, text: str | None) -> None:
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self._log_failure("it hangs")

    def _show_all(self) -> None:
        for text in iter(self._queue.get, None):
            try:
                self._display.show(text)
            except Exception as error:  # noqa: BLE001 - a driver may raise anything, and visitors must get paper
                self._log_failure(repr(error))
            else:
                self._is_failing = False

    def _log_failure(self, reason: str) -> None:
        if not self._is_failing:
            log.error("display failed, going on without it", error=reason)
        self._is_failing = True
