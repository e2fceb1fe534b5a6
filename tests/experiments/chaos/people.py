"""Who comes, when, and to which dispenser: everything from one seed."""

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["By", "Visit", "visits"]

By = Literal["face", "button", "staff"]

_AGAIN = 0.3
"""share of the people who were at the same site a short while ago"""
_REMEMBERED = 50
"""of a site's last people: one of them comes again"""
_BUTTON, _STAFF = 0.2, 0.03
"""shares of all; the others show their face"""
_LIFE = 10_000_000
"""people of one life of a crowd, at most: after a power cut others come"""


class Visit(NamedTuple):
    """A visitor arrives."""

    after_s: float
    """since the one before"""
    place: int
    """the dispenser's place in the crowd's list"""
    person: int
    by: By


def visits(seed: tuple[int, ...], life: int, rate: float, sites: list[str]) -> Iterator[Visit]:
    """A Poisson process of `rate` people a second, without end; `sites` names the site of each dispenser."""
    rng = np.random.default_rng((*seed, life))
    known: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
    person = life * _LIFE
    while True:
        place = int(rng.integers(len(sites)))
        here = known[sites[place]]
        by = _by(rng.random())
        if by == "face" and here and rng.random() < _AGAIN:
            comes = here[int(rng.integers(len(here)))]
        else:
            person += 1
            comes = person
            here.append(person)
        yield Visit(float(rng.exponential(1 / rate)), place, comes, by)


def _by(chance: float) -> By:
    if chance < _BUTTON:
        return "button"
    return "staff" if chance < _BUTTON + _STAFF else "face"
