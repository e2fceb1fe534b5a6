import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from models.ledger.pseudonyms import pseudonym, site_secret
from models.ledger.state.template_index import Match, TemplateIndex

SECRET = site_secret(b"s" * 32, "park")


def equal_bits(one: bytes, other: bytes) -> int:
    return sum(8 - (a ^ b).bit_count() for a, b in zip(one, other, strict=True))


TEMPLATE_BITS = 512
few_bits = st.builds(lambda n, at: (n << at).to_bytes(64), st.integers(0, 7), st.sampled_from([0, 61, 300]))
templates = few_bits | st.binary(min_size=64, max_size=64)
keys = st.integers(0, 90).map("visitor/park/{}".format)
times = st.integers(0, 20)


class LikeAPlainLoop(RuleBasedStateMachine):
    """The index against a dictionary that is searched one template after another."""

    @initialize(crowd=st.integers(0, 150))
    def begin(self, crowd: int) -> None:
        """More than the first capacity, sometimes."""
        self.index = TemplateIndex(TEMPLATE_BITS)
        self.plain: dict[str, tuple[bytes, int]] = {}
        for n in range(crowd):
            self.put(f"visitor/park/{n}", n.to_bytes(64), n % 20)

    @rule(key=keys, template=templates, captured=times)
    def put(self, key: str, template: bytes, captured: int) -> None:
        self.index.put(key, template, captured)
        self.plain[key] = (template, captured)

    @rule(stay=st.integers(0, 20))
    def leave(self, stay: int) -> None:
        """Most of them, so that the matrix shrinks."""
        for key in sorted(self.plain)[stay:]:
            self.discard(key)

    @rule(key=keys)
    def discard(self, key: str) -> None:
        self.index.discard(key)
        self.plain.pop(key, None)

    @rule(template=templates, horizon=times, at_least=st.integers(0, TEMPLATE_BITS))
    def search(self, template: bytes, horizon: int, at_least: int) -> None:
        found = [
            Match(equal_bits(template, held), key) for key, (held, captured) in self.plain.items() if captured > horizon
        ]
        best = sorted(found, key=lambda match: (-match.score, match.key))
        assert self.index.nearest(template, horizon) == (best[0] if best else None)
        assert self.index.within(template, horizon, at_least) == [m for m in best if m.score >= at_least]

    @rule(horizon=times)
    def count(self, horizon: int) -> None:
        assert len(self.index) == len(self.plain)
        live = [captured for _, captured in self.plain.values() if captured > horizon]
        assert (self.index.count(horizon), self.index.oldest(horizon)) == (len(live), min(live, default=None))


TestLikeAPlainLoop = LikeAPlainLoop.TestCase
TestLikeAPlainLoop.settings = settings(max_examples=80, stateful_step_count=30)


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
def test_of_equals_the_least_key_is_found_whatever_came_first(order: tuple[str, ...]) -> None:
    index = TemplateIndex(TEMPLATE_BITS)
    for key in order:
        index.put(key, bytes(64), 1)
    assert index.nearest(bytes(64), 0) == Match(TEMPLATE_BITS, "a")
    index.discard("a")
    assert index.nearest(bytes(64), 0) == Match(TEMPLATE_BITS, "b")


def test_nobody_is_found_among_none_or_among_the_expired() -> None:
    index = TemplateIndex(TEMPLATE_BITS)
    assert index.nearest(bytes(64), 0) is None
    index.put("a", bytes(64), 5)
    assert index.nearest(bytes(64), 5) is None
    assert index.within(bytes(64), 5, 0) == []
    assert index.nearest(b"\xff" * 64, 4) == Match(0, "a")


def test_an_evicted_template_is_overwritten() -> None:
    index = TemplateIndex(TEMPLATE_BITS)
    for n, key in enumerate("abc"):
        index.put(key, bytes([n + 1]) * 64, 1)
    assert index.nearest(bytes(64), 0)
    for key in "bac":
        index.discard(key)
    buffers = (index._bits, index._different)  # noqa: SLF001 - what must be gone has no public name
    assert not any(np.any(buffer) for buffer in buffers)


@pytest.mark.parametrize(
    "other",
    [
        lambda: pseudonym(site_secret(b"s" * 32, "hall"), "gate", "request-1", 7),
        lambda: pseudonym(site_secret(b"t" * 32, "park"), "gate", "request-1", 7),
        lambda: pseudonym(SECRET, "door", "request-1", 7),
        lambda: pseudonym(SECRET, "gate", "request-2", 7),
        lambda: pseudonym(SECRET, "gate", "request-1", 8),
    ],
)
def test_pseudonyms_differ_by_secret_site_device_request_and_offset(other: Callable[[], str]) -> None:
    mine = pseudonym(SECRET, "gate", "request-1", 7)
    assert mine == pseudonym(SECRET, "gate", "request-1", 7)
    assert mine != other()


@given(st.text("abc-", min_size=1, max_size=9), st.text("abc-1", min_size=1, max_size=9), st.integers(0, 99))
def test_a_pseudonym_shows_nothing_of_what_it_was_made_from(device: str, request: str, offset: int) -> None:
    assert re.fullmatch("[a-z2-7]{16}", pseudonym(SECRET, device, request, offset))


def test_pseudonyms_look_like_chance() -> None:
    made = [pseudonym(SECRET, "gate", "request", n) for n in range(2000)]
    assert len(set(made)) == len(made)
    counts = Counter("".join(made))
    assert len(counts) == 32
    assert max(counts.values()) < 1.2 * min(counts.values())
