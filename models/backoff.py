"""Exponential backoff with jitter."""

from collections.abc import Callable

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 16


class Backoff:
    """Waits that double from `first_s` up to `longest_s`, each multiplied by a jitter of 0.5 to 1.

    `uniform(a, b)` draws the jitter; it keeps clients that failed together from retrying together. After an attempt
    that lasted `worked_s` the waits start again at `first_s`.
    """

    def __init__(
        self,
        uniform: Callable[[float, float], float],
        first_s: float = 0.2,
        longest_s: float = 5.0,
        worked_s: float = 30.0,
    ) -> None:
        self._uniform = uniform
        self._first_s, self._longest_s, self._worked_s = first_s, longest_s, worked_s
        self._failures = 0

    def after(self, lasted_s: float = 0.0) -> float:
        """Return the seconds to wait before the next attempt, given how long the last one lasted."""
        if lasted_s >= self._worked_s:
            self._failures = 0
        doubled = self._first_s * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        return min(self._longest_s, doubled) * self._uniform(0.5, 1.0)
