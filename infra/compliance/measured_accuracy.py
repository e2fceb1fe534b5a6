"""Measurements of each face model, as in docs/template-evaluation.md and README; `make figures` repeats them."""

from msgspec import Struct

__all__ = ["MEASURED", "Measured"]


class Measured(Struct, frozen=True, kw_only=True):
    """The evidence behind a model's numbers."""

    people: int
    """number of real people; 0: random vectors"""
    pairs: int
    """of people, behind `FaceModel.false_match_rate`: no false match among n bounds it to about 3 / n"""
    non_matches: int
    """false non-matches among `mated` comparisons of two photos of one person"""
    mated: int
    rebuilt: float
    """cosine between an embedding and what a thief rebuilds with the key; without the key it is 0"""
    linked_sites: float
    """D_sys of two sites' templates: 0 unlinkable, 1 always linked"""
    linked_epochs: float
    by_chance: float
    """D_sys of noise at this number of comparisons: the larger of the two"""


MEASURED = {
    "dlib-resnet/1": Measured(
        people=6,
        pairs=15,
        non_matches=109,
        mated=11_040,
        rebuilt=0.95,
        linked_sites=0.013,
        linked_epochs=0.021,
        by_chance=0.012,
    ),
    "synthetic/1": Measured(
        people=0,
        pairs=7_992_000,
        non_matches=2,
        mated=16_000,
        rebuilt=0.70,
        linked_sites=0.005,
        linked_epochs=0.003,
        by_chance=0.003,
    ),
}
"""dlib-resnet/1: non-matches are of people who took no part in finding the thresholds (README, Faces).

A model that is missing here was not measured on people; facenet-vggface2/1 uses the numbers of synthetic/1.
"""
