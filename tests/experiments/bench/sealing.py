"""What sealing costs a request, and what the keys of a whole window cost once."""

import secrets
import time
from collections.abc import Callable
from statistics import median

from models.contract.messages import LEAST_TEMPLATE_BYTES
from models.keys.seals import ENTROPY_BYTES, NONCE_BYTES, Keyring, SealKey, binding
from tests.experiments.bench.parts import Part, Row

__all__ = ["sealing"]

_MEASURED = 5_000
_MINUTE = 29_000_000
_WINDOWS = (9, 1_440)
"""minutes; the second is the longest"""


def sealing() -> list[Part]:
    """Measure what happens to each template, and what happens once after a start."""
    costs = {f"window of {window:,} min": _cost(window) for window in _WINDOWS}
    each = [
        Row(f"{what}, {name}", (cost[at],))
        for name, cost in costs.items()
        for at, what in enumerate(("seal", "unseal"))
    ]
    first = [Row(name, (cost[2],)) for name, cost in costs.items()]
    return [
        Part("sealing", "a template sealed by ingress, unsealed by a decider, p50", "us", tuple(each)),
        Part("first unseal", "the first template after a start", "ms", tuple(first)),
    ]


def _cost(window: int) -> tuple[float, float, float]:
    """Sealed in the present minute by a ring that begins there, opened by one that begins a window before."""
    key = SealKey.first(_MINUTE, secrets.token_bytes(ENTROPY_BYTES))
    now, template = _MINUTE + window, secrets.token_bytes(LEAST_TEMPLATE_BYTES)
    ingress, decider = Keyring(), Keyring()
    ingress.put("crowd", key.at(now))
    decider.put("crowd", key)
    seals, unseals = [], []
    for number in range(_MEASURED):
        bound = binding("crowd", "d1", f"request-{number:010}")
        nonce = secrets.token_bytes(NONCE_BYTES)
        seals.append(_timed(lambda: ingress.seal("crowd", template, bound, now, nonce)))  # noqa: B023 - called immediately
        sealed = ingress.seal("crowd", template, bound, now, nonce)
        assert sealed
        unseals.append(_timed(lambda: decider.unseal("crowd", sealed, bound)))  # noqa: B023 - called immediately
    return median(seals), median(unseals), unseals[0] / 1000


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / 1000
