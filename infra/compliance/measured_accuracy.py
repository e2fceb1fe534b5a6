"""Measurements of each face model, as in docs/template-evaluation.md and README; `make figures` repeats them."""

from msgspec import Struct

__all__ = ["MEASURED", "Measured"]


class Measured(Struct, frozen=True, kw_only=True):
    """The evidence behind a model's numbers."""

    people: int
    """number of real people; 0: random vectors"""
    pairs: int
    """of people, compared with each other; the bounds of the curve take fewer, as they share people"""
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
        people=854,
        pairs=43_071,
        non_matches=177,
        mated=552,
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
"""dlib-resnet/1: non-matches at a false match rate of 1e-4, of people who taught nothing;
rebuilding and linking are of an earlier run on six people.

A model that is missing here was not measured on people; facenet-vggface2/1 uses the numbers of synthetic/1.
"""
