"""A partition next to the same partition rebuilt from the rows that it wrote."""

import random
from collections.abc import Iterable

from models.contract.codec import encode
from models.ledger.codec import decode_row
from models.ledger.events import Record
from models.ledger.partition import Partition
from tests.support.story import SECRET

__all__ = ["folded_and_rebuilt"]


def folded_and_rebuilt(records: Iterable[Record], rng: random.Random) -> tuple[Partition, Partition]:
    """Fold the records; return the partition, and another one made of its rows in a random order."""
    rows: dict[str, bytes] = {}
    partition = Partition(SECRET)
    for record in records:
        decision = partition.fold(record)
        for key in decision.removed:
            del rows[key]
        assert decision.row is not None
        rows[decision.key] = encode(decision.row)
    shuffled = rng.sample(sorted(rows.items()), len(rows))
    rebuilt = Partition(SECRET, [(key, decode_row(row)) for key, row in shuffled])
    return partition, rebuilt
