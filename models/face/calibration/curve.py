"""The curve of a face model: bounds of the false match rate by threshold, of the worst group. Pure functions.

**Bounds.** How alike two people score is theirs, so pairs that share a person are no independent trials. The number of
effective pairs is estimated from how much the rate moves when one person is left out (jackknife of a U-statistic), and
Clopper and Pearson's bound is taken with it, as Korn and Graubard do for surveys (Survey Methodology 24, 1998). A rate
under several keys is the mean over keys. The worst group's bound counts, at each threshold by itself.

**Tail.** Beyond the last threshold that enough pairs reach, scores of strangers above a high one are taken to fall off
exponentially. Their scale is the mean excess over that score, of all groups together, at its upper 95 % limit. A tail
that falls off faster, as a normal one, makes the bound too high, not too low; people who are entered twice do too.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.contract.face_models import TRILLION, CurvePoint
from models.errors import ConfigError
from models.face.calibration.people import Scores
from models.face.measures import upper_bound

__all__ = ["Curve", "GroupScores", "effective_pairs", "make_curve"]

_CONFIDENCE: Final = 0.95
_ENOUGH: Final = 10.0
"""Effective pairs at or above a threshold, of the worst group: fewer are left to the tail."""
_TAIL_SHARE: Final = 0.01
"""The share of a group's pairs whose excess gives the tail's scale."""
_LARGEST, _SMALLEST = 0.1, 1e-11
"""Bounds between which a curve has points."""
_STEPS: Final = 256
"""Points are so many steps of the template's bits apart."""


class GroupScores(Struct, frozen=True, eq=False):
    """Scores of one photo of each person of a group with each other, under each key: matrices of shape (n, n)."""

    name: str
    by_key: Sequence[Scores]

    @property
    def people(self) -> int:
        return len(self.by_key[0])

    def pairs(self) -> NDArray[np.int32]:
        """Return the scores of every two people under each key."""
        above = np.triu_indices(self.people, 1)
        return np.concatenate([table[above] for table in self.by_key])

    def matched(self, threshold: int) -> NDArray[np.float64]:
        """Return the share of keys under which each two people match, shape (n, n), zeros on the diagonal."""
        share: NDArray[np.float64] = np.mean([table >= threshold for table in self.by_key], axis=0)
        np.fill_diagonal(share, 0)
        return share

    def bound(self, threshold: int) -> tuple[float, float, float]:
        """Return the share of pairs that match, its upper bound, and how many effective pairs match."""
        share, pairs = effective_pairs(self.matched(threshold))
        bound = upper_bound(math.ceil(share * pairs), max(math.floor(pairs), 1), _CONFIDENCE)
        return share, bound, share * pairs


class Curve(Struct, frozen=True, kw_only=True):
    """A model's curve, and up to which score it is measured."""

    points: tuple[CurvePoint, ...]
    measured_to: int


def make_curve(groups: Sequence[GroupScores], mated: NDArray[np.integer], bits: int) -> Curve:
    """Return the curve from scores of strangers by group and from scores of two photos of one person."""
    step = bits // _STEPS
    bounds, reached = {}, {}
    for threshold in range(bits // 2 + step, bits + 1, step):
        found = [group.bound(threshold) for group in groups]
        bounds[threshold], reached[threshold] = max((bound, count) for _, bound, count in found)
        if reached[threshold] < _ENOUGH:
            break
    measured = [threshold for threshold, count in reached.items() if count >= _ENOUGH]
    if not measured:
        raise ConfigError("too few people for a curve: fewer than ten pairs of a group reach any score")
    last = measured[-1]
    rates = {threshold: bounds[threshold] for threshold in measured} | _tail(groups, last, bounds[last], bits, step)
    falling = _never_rising(rates)
    points = tuple(
        CurvePoint(threshold, math.ceil(rate * TRILLION), round(float(np.mean(mated < threshold)), 4))
        for threshold, rate in falling.items()
        if _SMALLEST <= rate <= _LARGEST
    )
    if not points:
        raise ConfigError("strangers cannot be separated: no threshold has a false match rate below a tenth")
    return Curve(points=points, measured_to=max(last, points[0].score))


def effective_pairs(matched: NDArray[np.float64]) -> tuple[float, float]:
    """Return the share of pairs that match, and how many independent pairs would know it as well.

    `matched` is symmetric, of shape (n, n), zeros on the diagonal.
    """
    people = len(matched)
    pairs = people * (people - 1) / 2
    sums = matched.sum(axis=1)
    share = float(sums.sum() / 2 / pairs)
    left_out = (sums.sum() / 2 - sums) / ((people - 1) * (people - 2) / 2)
    variance = float((people - 1) / people * ((left_out - left_out.mean()) ** 2).sum())
    if not variance:
        return share, pairs
    return share, min(pairs, share * (1 - share) / variance)


def _tail(groups: Sequence[GroupScores], last: int, bound: float, bits: int, step: int) -> dict[int, float]:
    excess, weight = 0.0, 0.0
    for group in groups:
        scores = group.pairs()
        high = np.quantile(scores, 1 - _TAIL_SHARE)
        over = scores[scores >= high] - high
        count = len(over) / len(group.by_key)
        excess, weight = excess + float(over.mean()) * count, weight + count
    scale = excess / weight * 2 * weight / _low_chi_square(2 * weight)
    return {
        threshold: bound * math.exp(-(threshold - last) / scale) for threshold in range(last + step, bits + 1, step)
    }


def _low_chi_square(freedom: float) -> float:
    """Return the 5 % quantile (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + NormalDist().inv_cdf(1 - _CONFIDENCE) * math.sqrt(part)) ** 3)


def _never_rising(rates: Mapping[int, float]) -> Mapping[int, float]:
    """Take for each threshold the highest rate at it or above it."""
    highest, falling = 0.0, {}
    for threshold in sorted(rates, reverse=True):
        highest = max(highest, rates[threshold])
        falling[threshold] = highest
    return dict(sorted(falling.items()))
