"""The face models that templates come from, and what a score means for each. Pure: no vision library."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from models.errors import ConfigError

__all__ = ["FACE_MODELS", "FaceModel", "Likely", "face_model", "is_synthetic", "with_thresholds"]

Likely = Literal["same", "doubt", "new"]
"""The meaning of a score between a face and the nearest template."""


class FaceModel(Struct, frozen=True, kw_only=True):
    """An embedder, its centre and the layout of its templates under one id; change one and the id changes.

    A score is the number of equal bits of two templates, 0 to 512.
    """

    id: str
    dimensions: int
    """length of the embedding"""
    same: int
    """at or above: the same visitor"""
    doubt: int
    """at or above, and below `same`: someone new, counted as doubt"""
    false_match_rate: float
    """share of pairs of strangers that score `same`, at most: the upper 95 % bound. Times a site's live templates it is
    how many of them a new visitor matches: an upper bound of wrongful refusals per request by face"""

    def classify(self, score: int | None) -> Likely:
        """Return the meaning of a score; None: there was no template to compare with."""
        if score is None or score < self.doubt:
            return "new"
        return "same" if score >= self.same else "doubt"


FACE_MODELS = {
    model.id: model
    for model in (
        FaceModel(id="dlib-resnet/1", dimensions=128, same=380, doubt=357, false_match_rate=0.19),
        FaceModel(id="facenet-vggface2/1", dimensions=512, same=335, doubt=315, false_match_rate=4e-7),
        FaceModel(id="synthetic/1", dimensions=512, same=335, doubt=315, false_match_rate=4e-7),
    )
}
"""dlib-resnet/1: measured by models.face.calibration on 29 press photos of six people over 64 keys; far too few
people to promise anything in the field. No false match was seen, but six people are only 15 pairs of people, and that
is all that the rate rests on (docs/template-evaluation.md).

synthetic/1, random unit vectors of simulated fleets and never a person: from its own model (cosine .75 +- .08 for
one identity, 0 +- .05 for two) over 20 keys. Of 10,000 captures .16 % are below `same`; of 5 million pairs of strangers
none is above 322. Strangers' mean is 256 and their deviation 13.4: `same` is 5.9 deviations off, `doubt` 4.4.
The rate is from `make figures`: no false match of 8 million pairs of people, others under each of 16 keys.

facenet-vggface2/1: the numbers of synthetic/1, unproven until calibrated with the real weights; so is the rate.
"""


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
    """Return all models with other thresholds; None keeps one. Raises ConfigError if `doubt` is above `same`."""
    tried = {}
    for model in FACE_MODELS.values():
        new = structs.replace(model, same=same or model.same, doubt=doubt or min(model.doubt, same or model.same))
        if new.doubt > new.same:
            raise ConfigError(f"the threshold doubt={new.doubt} is above same={new.same}, which {model.id} has")
        tried[model.id] = new
    return tried
