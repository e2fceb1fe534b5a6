"""The face models that templates come from, and what a score means for each. Pure: no vision library.

A score is the number of equal bits of two templates. Which score means *the same visitor* depends on the crowd: a
newcomer is compared with every live template, so with each one more a stranger is a little likelier among them. A model
carries its **curve**: for rising scores, the share of pairs of strangers that reach the score, at most, in the worst of
the groups of people on which it was measured. A site's policy carries a target. The threshold is the least score at
which live templates times that share stay within the target:

    threshold(crowd, target) = least score of the curve with crowd * false_match(score) <= target

So a crowd that grows makes a site miss more of those who return, and give more paper; it never makes it more unjust.
Where the curve ends, a site remembers no more newcomers (models/ledger/requests.py).
"""

from bisect import bisect_left
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

from models.errors import ConfigError

__all__ = [
    "FACE_MODELS",
    "MILLION",
    "TRILLION",
    "CurvePoint",
    "FaceModel",
    "Likely",
    "add_face_models",
    "encode_face_model",
    "face_model",
    "is_synthetic",
    "with_thresholds",
]

Likely = Literal["same", "doubt", "new"]
"""The meaning of a score between a face and the nearest template."""

MILLION: Final = 10**6
TRILLION: Final = 10**12
_WORD_BITS: Final = 64


class CurvePoint(Struct, frozen=True, array_like=True):
    """One score of a model's curve."""

    score: int
    false_match: Annotated[int, Meta(ge=0, le=TRILLION)]
    """pairs of strangers at or above the score, of 10**12, at most: an integer, so that no rounding moves a decision"""
    missed: Annotated[float, Meta(ge=0, le=1)]
    """share of returning visitors below the score, as measured"""


class FaceModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An embedder, its centre and the layout of its templates under one id; change one and the id changes."""

    id: str
    weights: str = ""
    """The network, by its id in the catalogue of weights; empty: simulated fleets, which have no camera."""
    dimensions: int
    """length of the embedding"""
    bits: Annotated[int, Meta(ge=512, le=4096, multiple_of=_WORD_BITS)] = 512
    """of a template; a score is 0 to `bits`"""
    curve: Annotated[tuple[CurvePoint, ...], Meta(min_length=1)]
    """scores rise, false matches never do; the first score is the lowest threshold"""
    doubt: int
    """at or above, and below the threshold: someone new, counted as doubt"""
    measured_to: int
    """Up to this score false matches are bounds from data; above it they assume an exponential tail."""
    people: int = 0
    """of flesh and blood behind the curve"""
    source: str
    """what the curve and the centre were measured on"""
    centre: tuple[int, ...] = ()
    """times 2**20, subtracted from the network's output; empty: zeros"""
    nuisance: tuple[tuple[int, ...], ...] = ()
    """Orthonormal directions, times 2**20, that are removed next: in them pictures differ, or groups, not people."""

    def __post_init__(self) -> None:
        scores, rates = [each.score for each in self.curve], [each.false_match for each in self.curve]
        if sorted(set(scores)) != scores or sorted(rates, reverse=True) != rates or scores[-1] > self.bits:
            raise ValueError(f"{self.id}: a curve has rising scores up to {self.bits} and falling false matches")
        if any(len(vector) != self.dimensions for vector in (self.centre, *self.nuisance) if vector):
            raise ValueError(f"{self.id}: a centre and a nuisance direction have {self.dimensions} numbers")

    @property
    def template_bytes(self) -> int:
        return self.bits // 8

    @property
    def least_threshold(self) -> int:
        """The threshold of the smallest crowd: no score below it ever is the same visitor."""
        return self.curve[0].score

    def threshold(self, crowd: int, wrongful_per_million: int) -> CurvePoint | None:
        """Return the threshold for so many live templates and a target; None where the curve has none.

        The target: expected templates of others that a newcomer matches, per million newcomers, at most.
        """
        allowed = wrongful_per_million * (TRILLION // MILLION)
        index = bisect_left(self.curve, -allowed, key=lambda point: -crowd * point.false_match)
        return self.curve[index] if index < len(self.curve) else None

    def largest_crowd(self, wrongful_per_million: int, most_missed: float = 1.0) -> int | None:
        """Return for how many live templates the curve has a threshold that misses no more; None: for any number."""
        usable = [point.false_match for point in self.curve if point.missed <= most_missed]
        if not usable:
            return 0
        return wrongful_per_million * (TRILLION // MILLION) // usable[-1] if usable[-1] else None

    def at(self, score: int | None) -> CurvePoint | None:
        """Return the point of the curve at exactly this score."""
        return next((point for point in self.curve if point.score == score), None)

    def classify(self, score: int | None, threshold: CurvePoint | None) -> Likely:
        """Return what a score means at a threshold. A score of None: there was no template to compare with."""
        if score is None or score < self.doubt:
            return "new"
        return "same" if threshold is not None and score >= threshold.score else "doubt"


def encode_face_model(model: FaceModel) -> bytes:
    """Return a model's file, one number, point or direction a line, so that a change can be read in a diff."""
    fields = [f' "{name}": {_value(value)}' for name, value in msgspec.to_builtins(model).items()]
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def _value(value: object) -> str:
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return "[\n" + ",\n".join(f"  {_value(row)}" for row in value) + "\n ]"
    return msgspec.json.encode(value).decode()


def _read(text: bytes, source: str) -> FaceModel:
    try:
        return msgspec.json.decode(text, type=FaceModel)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source} is no face model: {error}") from None


def _own_models() -> dict[str, FaceModel]:
    """Read the models of this version, from the folder `models` next to this module."""
    paths = sorted((files("models.contract") / "models").iterdir(), key=lambda path: path.name)
    return {model.id: model for model in (_read(path.read_bytes(), path.name) for path in paths)}


FACE_MODELS: Final = _own_models()
"""By id. What each rests on: docs/template-evaluation.md."""


def add_face_models(folder: Path) -> None:
    """Add an operator's models, each a file of `fairroll calibrate`. An entry point calls this once, before it starts.

    Every dispenser of a site and every decider need the same files. Raises ConfigError for a file that is no model, or
    whose id this version already has with other contents.
    """
    for path in sorted(folder.glob("*.json")):
        model = _read(path.read_bytes(), str(path))
        if FACE_MODELS.setdefault(model.id, model) != model:
            raise ConfigError(f"{path}: there is another face model with the id {model.id}: give it a new id")


def is_synthetic(model_id: str) -> bool:
    """Return whether the faces of this model are synthetic."""
    return model_id.startswith("synthetic/")


def face_model(model_id: str) -> FaceModel:
    """Return the face model of an id; raises ConfigError if this version does not know it."""
    try:
        return FACE_MODELS[model_id]
    except KeyError:
        raise ConfigError(f"unknown face model {model_id!r}; known: {', '.join(sorted(FACE_MODELS))}") from None


def with_thresholds(same: int | None, doubt: int | None) -> Mapping[str, FaceModel]:
    """All models with fixed thresholds; what is not given stays. Raises ConfigError where `doubt` is above `same`.

    A fixed threshold holds for any crowd, so that nothing is claimed of its false matches.
    """
    tried = {}
    for model in FACE_MODELS.values():
        curve = model.curve if same is None else (CurvePoint(same, 0, 0.0),)
        least = curve[0].score
        new = structs.replace(model, curve=curve, doubt=min(model.doubt, least) if doubt is None else doubt)
        if new.doubt > least:
            raise ConfigError(f"the threshold doubt={new.doubt} is above same={least}, which {model.id} has")
        tried[model.id] = new
    return tried
