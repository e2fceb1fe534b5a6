"""What was measured of each face model, as docs/template-evaluation.md and README tell; `make figures` repeats it."""

from msgspec import Struct

__all__ = ["MEASURED", "Measured"]


class Measured(Struct, frozen=True, kw_only=True):
    """The evidence behind a model's numbers."""

    people: int
    """of flesh and blood; 0: random vectors"""
    pairs: int
    """of people, behind `FaceModel.false_match_rate`: no false match among n bounds it to about 3 / n"""
    non_matches: int
    """people who were not known again, of `mated` comparisons of two looks of one"""
    mated: int
    rebuilt: float
    """cosine of what a thief with the key makes of a template with its embedding; without the key it is 0"""
    linked_sites: float
    """D_sys of two sites' templates: 0 nobody can link them, 1 everybody can"""
    linked_epochs: float
    by_chance: float
    """D_sys that mere noise gives at this number of comparisons: the larger of the two"""


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
"""dlib-resnet/1: non-matches are of people whom the thresholds were not found on (README, Faces).

A model that is missing here was measured on nobody: facenet-vggface2/1 carries numbers of synthetic/1.
"""
