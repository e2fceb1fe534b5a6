"""The official protocol of Labeled Faces in the Wild, View 2: accuracy over folds of pairs. Pure functions.

Each fold is judged at the threshold that is best on the others (Huang, Ramesh, Berg, Learned-Miller, 2007).
"""

from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.errors import ConfigError

__all__ = ["Accuracy", "Pair", "accuracy", "read_pairs"]

_ONE_PERSON, _TWO_PEOPLE = 3, 4
"""Words of a line: NAME, i, j; or NAME, i, OTHER, j."""
_FOLD = 600


class Pair(Struct, frozen=True):
    """Two photos, each a person and a number, and the fold they belong to."""

    one: tuple[str, int]
    other: tuple[str, int]
    fold: int

    @property
    def is_mated(self) -> bool:
        return self.one[0] == self.other[0]


class Accuracy(Struct, frozen=True):
    """Mean and standard error over folds, in percent."""

    mean: float
    error: float


def read_pairs(path: Path) -> list[Pair]:
    """Read the lines of a pairs file, 600 a fold. Raises ConfigError naming the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pairs {path}: {error}") from None
    return [_pair(path, number, line) for number, line in enumerate(lines)]


def accuracy(scores: NDArray[np.floating], mated: NDArray[np.bool_], folds: NDArray[np.integer]) -> Accuracy:
    """Return the accuracy of comparing pairs by their scores."""
    thresholds = np.unique(scores)
    correct = []
    for fold in np.unique(folds):
        others = folds != fold
        right = [np.mean((scores[others] >= each) == mated[others]) for each in thresholds]
        best = thresholds[int(np.argmax(right))]
        correct.append(np.mean((scores[~others] >= best) == mated[~others]))
    error = np.std(correct, ddof=1) / np.sqrt(len(correct)) if len(correct) > 1 else 0.0
    return Accuracy(100 * float(np.mean(correct)), 100 * float(error))


def _pair(path: Path, number: int, line: str) -> Pair:
    words = line.split("\t")
    try:
        if len(words) == _ONE_PERSON:
            return Pair((words[0], int(words[1])), (words[0], int(words[2])), number // _FOLD)
        if len(words) == _TWO_PEOPLE:
            return Pair((words[0], int(words[1])), (words[2], int(words[3])), number // _FOLD)
    except ValueError:
        pass
    raise ConfigError(f"{path}, line {number + 1}: not NAME, i, j or NAME, i, OTHER, j, separated by tabs")
