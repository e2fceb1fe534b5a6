"""How long to wait before something is tried again."""

import random
from collections.abc import Iterator

__all__ = ["jittered_waits"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0


def jittered_waits() -> Iterator[float]:
    """Seconds to wait before the next attempt: doubling, bounded, and never the same for two who failed together."""
    wait = _FIRST_WAIT_S
    while True:
        yield wait * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        wait = min(2 * wait, _LONGEST_WAIT_S)
