"""Stop signals of a command: SIGINT and SIGTERM do the same, however the command was started."""

import signal
from types import FrameType

__all__ = ["stop_on_signals"]


def stop_on_signals() -> None:
    """Make SIGINT and SIGTERM end this process; call it first in `main`.

    A shell starts a background job with SIGINT ignored, and every child inherits that. Under `asyncio.run` either
    signal cancels the main task, so that contexts close; outside of it either raises KeyboardInterrupt.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Call the present handler of SIGINT: `asyncio.run` installs its own."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
