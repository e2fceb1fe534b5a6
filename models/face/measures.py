"""How well scores separate people, and how far templates of two keys can be linked. Pure functions.

- Decidability d': Daugman, "Biometric decision landscapes", 2000.
- Equal error rate: ISO/IEC 19795-1.
- Linkability D<->(s) and D_sys: Gomez-Barrero, Galbally, Rathgeb, Busch, "General framework to evaluate unlinkability
  in biometric template protection systems", IEEE TIFS 13(6), 2018, with a prior ratio of 1. Mated: one person, two
  keys. Non-mated: two people, two keys. 0: unlinkable. 1: always linked.
- Upper bound: Clopper and Pearson, 1934; without failures it is the rule of three.
"""

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.errors import ConfigError

__all__ = [
    "BIN",
    "Counts",
    "Rates",
    "by_chance",
    "count",
    "decidability",
    "equal_error_rate",
    "linkability",
    "local_linkability",
    "normal_false_match_rate",
    "rates",
    "upper_bound",
]

BIN: Final = 4
"""Bin width of linkability: a third of the deviation of strangers. Finer bins find links in mere noise."""
_HALVINGS: Final = 100


class Counts(Struct, frozen=True):
    """How many comparisons had each score from 0 to `bits`: int64 of shape (bits + 1,), of one person and of two."""

    mated: NDArray[np.int64]
    non_mated: NDArray[np.int64]

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.mated + other.mated, self.non_mated + other.non_mated)


class Rates(Struct, frozen=True):
    """Shares of comparisons by threshold, float64 of shape (bits + 2,), for thresholds from 0 to bits + 1."""

    false_match: NDArray[np.float64]
    """two people at or above the threshold"""
    false_non_match: NDArray[np.float64]
    """one person below it"""


def count(scores: NDArray[np.number], mated: NDArray[np.bool_], bits: int) -> Counts:
    """Count scores from 0 to `bits`, rounded; `mated` has their shape."""
    whole = np.rint(scores).astype(np.int64)
    one, two = (np.bincount(each, minlength=bits + 1) for each in (whole[mated], whole[~mated]))
    return Counts(one, two)


def rates(counts: Counts) -> Rates:
    """Return both error rates at every threshold; raises ConfigError, as all functions here, if one kind is missing."""
    mated, non_mated = (np.concatenate([[0], np.cumsum(each)]) for each in _checked(counts))
    return Rates(1 - non_mated / non_mated[-1], mated / mated[-1])


def decidability(counts: Counts) -> float:
    """Return d': the distance of the two means in units of their common deviation."""
    (mean, variance), (other_mean, other_variance) = map(_moments, _shares(counts))
    return abs(mean - other_mean) / math.sqrt((variance + other_variance) / 2)


def equal_error_rate(counts: Counts) -> float:
    """Return the rate at which both errors are equal, by linear interpolation between two thresholds."""
    both = rates(counts)
    gap = both.false_non_match - both.false_match  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    way = gap[before] / (gap[before] - gap[after])
    return float(both.false_match[before] + way * (both.false_match[after] - both.false_match[before]))


def local_linkability(counts: Counts) -> NDArray[np.float64]:
    """Return D<->(s) for each BIN of scores: how much likelier one person is than two; 0 if it is not likelier.

    2 LR / (1 + LR) - 1 with the likelihood ratio LR, which is the difference of the two over their sum.
    """
    mated, non_mated = map(_binned, _shares(counts))
    total = mated + non_mated
    likelier = np.divide(mated - non_mated, total, out=np.zeros_like(total), where=total > 0)
    return likelier.clip(min=0)


def linkability(counts: Counts) -> float:
    """Return D_sys: the average of local_linkability over the templates of one person."""
    return float(_binned(_shares(counts)[0]) @ local_linkability(counts))


def by_chance(counts: Counts, rng: np.random.Generator) -> Counts:
    """Shuffle the scores at random: a measure of this result is the measure of noise."""
    every = counts.mated + counts.non_mated
    dealt = rng.multivariate_hypergeometric(every, int(counts.mated.sum()), method="marginals")
    return Counts(dealt, every - dealt)


def normal_false_match_rate(counts: Counts, threshold: int) -> float:
    """Extrapolate: the share at or above the threshold if strangers' scores were normal. An assumption, no bound."""
    mean, variance = _moments(_shares(counts)[1])
    return 1 - NormalDist(mean, math.sqrt(variance)).cdf(threshold - 0.5)


def upper_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of the failure rate of independent trials, with this confidence."""
    if failures >= trials:
        return 1.0
    low, high = failures / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(failures, trials, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(failures: int, trials: int, rate: float) -> float:
    """Return the binomial probability of so many failures or fewer, for a rate between 0 and 1."""
    ways = (math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(failures + 1))
    odds = (k * math.log(rate) + (trials - k) * math.log1p(-rate) for k in range(failures + 1))
    return math.fsum(math.exp(way + odd) for way, odd in zip(ways, odds, strict=True))


def _checked(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not (counts.mated.any() and counts.non_mated.any()):
        raise ConfigError("two photos of one person and photos of two people are needed")
    return counts.mated, counts.non_mated


def _shares(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mated, non_mated = _checked(counts)
    return mated / mated.sum(), non_mated / non_mated.sum()


def _moments(shares: NDArray[np.float64]) -> tuple[float, float]:
    scores = np.arange(shares.size)
    mean = float(scores @ shares)
    return mean, float((scores - mean) ** 2 @ shares)


def _binned(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    binned: NDArray[np.float64] = np.pad(shares, (0, -shares.size % BIN)).reshape(-1, BIN).sum(axis=1)
    return binned
