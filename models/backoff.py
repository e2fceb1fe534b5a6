"""How long to wait before something is tried again."""

import random

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 16


class Backoff:
    """Waits that double from `first_s` up to `longest_s`, less up to half, so that what failed together comes apart.

    Once a try lasted for `worked_s`, what fails after it is new, and the waits begin anew.
    """

    def __init__(self, first_s: float = 0.2, longest_s: float = 5.0, worked_s: float = 30.0) -> None:
        self._first_s, self._longest_s, self._worked_s = first_s, longest_s, worked_s
        self._failed = 0

    def after(self, lasted_s: float = 0.0) -> float:
        """Seconds from a try that lasted so long to the next."""
        if lasted_s >= self._worked_s:
            self._failed = 0
        doubled = self._first_s * 2.0 ** min(self._failed, _MOST_DOUBLINGS)
        self._failed += 1
        return min(self._longest_s, doubled) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
