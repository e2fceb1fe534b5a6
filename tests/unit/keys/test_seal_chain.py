"""What the key holder makes of controls and of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.messages import Control, Mode, Revision
from models.keys.seal_chain import (
    MINUTE_MS,
    SiteChain,
    facts_of,
    minute_of,
    oldest_needed,
    step_chain,
    with_control,
    without_control,
)
from models.keys.seals import ENTROPY_BYTES, MOST_STEPS, Keyring, binding

START = 29_925_441 * MINUTE_MS
WINDOW_S = 540
BINDING = binding("park", "gate", "request-00000001")


class Lots:
    """Entropy that never repeats, and can be repeated."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        assert size == ENTROPY_BYTES
        self._drawn += 1
        return self._drawn.to_bytes(size, "little")


def control(mode: Mode, at: int = START, window_s: int = WINDOW_S) -> Control:
    return Control(
        site="park",
        mode=mode,
        revision=Revision(at, 0),
        policy="p",
        epoch=0,
        ration_cm=60,
        ration_budget_cm=600,
        window_s=window_s,
    )


def site(*modes: Mode, now: int = START, lots: Lots | None = None) -> SiteChain:
    """A site after these controls, one a second, each followed by a step."""
    known, lots = None, lots or Lots()
    for number, mode in enumerate(modes):
        at = now + 1000 * number
        known = step_chain(with_control(known, control(mode, at), at), at, lots)
    assert known
    return known


def test_only_a_site_that_works_with_faces_has_a_chain() -> None:
    assert facts_of(site("button")).chain is None
    assert facts_of(site("held")).chain is None
    faces = facts_of(site("face"))
    assert faces.chain
    assert (faces.oldest, faces.since, faces.destroyed) == (minute_of(START), START, 0)


@pytest.mark.parametrize("other", ["held", "button"])
def test_another_mode_destroys_the_chain_at_once_and_faces_begin_another(other: Mode) -> None:
    lots = Lots()
    before = site("face", lots=lots)
    destroyed = with_control(before, control(other, START + 5_000), START + 5_000)
    assert (destroyed.key, destroyed.since, destroyed.destroyed) == (None, START + 5_000, 1)
    assert step_chain(destroyed, START + 9_000, lots) is destroyed
    after = step_chain(with_control(destroyed, control("face", START + 9_000), START + 9_000), START + 9_000, lots)
    assert after.key
    assert before.key
    assert after.key.chain != before.key.chain
    assert (after.since, after.destroyed) == (START + 9_000, 1)


def test_the_same_mode_again_changes_neither_the_chain_nor_since_when_it_is() -> None:
    once, again = site("face"), site("face", "face", "face")
    assert (again.key, again.since, again.destroyed) == (once.key, once.since, 0)
    assert facts_of(site("held", "held", "button")).since == START


def test_a_control_that_is_read_again_destroys_nothing() -> None:
    known = site("held", "face")
    assert with_control(known, control("held", START), START + 60_000) is known
    assert with_control(known, control("face", START + 1000), START + 60_000) is known


def test_an_older_control_that_comes_late_begins_no_chain() -> None:
    known = site("face", "held")
    assert with_control(known, control("face", START), START + 60_000) is known


def test_a_removal_destroys_the_chain_and_an_older_control_brings_none_back() -> None:
    lots, removal = Lots(), Revision(START + 5_000, 3)
    removed = without_control(site("face", lots=lots), removal, START + 5_000)
    assert (removed.mode, removed.key, removed.destroyed) == ("removed", None, 1)
    assert with_control(removed, control("face", START + 4_000), START + 9_000) is removed
    assert step_chain(removed, START + 9_000, lots) is removed
    back = step_chain(with_control(removed, control("face", START + 9_000), START + 9_000), START + 9_000, lots)
    assert back.key
    assert without_control(back, removal, START + 9_500) is back


@given(st.integers(60, 86_400), st.integers(0, MINUTE_MS - 1))
def test_a_sealed_template_is_readable_for_a_window_and_noise_a_minute_later(window_s: int, into_minute: int) -> None:
    """Sealed at any moment of minute m: readable for one window, and no more from the end of m and one window on."""
    lots, sealed_at = Lots(), START + into_minute
    known = step_chain(with_control(None, control("face", window_s=window_s), START), START, lots)
    ring = Keyring()
    ring.put("park", known.key)
    sealed = ring.seal("park", b"t" * 64, BINDING, minute_of(sealed_at), bytes(12))
    assert sealed
    end_of_its_minute = (minute_of(sealed_at) + 1) * MINUTE_MS
    for now, is_readable in [
        (sealed_at + 1000 * window_s, True),
        (end_of_its_minute + 1000 * window_s - 1, True),
        (end_of_its_minute + 1000 * window_s, False),
    ]:
        at_that_time = Keyring()
        at_that_time.put("park", step_chain(known, now, lots).key)
        assert at_that_time.covers("park", sealed) is is_readable
        assert (at_that_time.unseal("park", sealed, BINDING) is not None) is is_readable


@given(st.lists(st.integers(0, 40 * MINUTE_MS), max_size=20))
def test_stepping_is_the_same_whenever_and_however_often_it_happens(waits: list[int]) -> None:
    lots = Lots()
    known, now = site("face", lots=lots), START
    for wait in waits:
        now += wait
        known = step_chain(known, now, lots)
        assert known.key
        assert known.key.minute == max(minute_of(START), oldest_needed(now, WINDOW_S))
    assert known == step_chain(site("face"), now, Lots())


def test_a_shorter_window_destroys_sooner_and_a_longer_one_brings_nothing_back() -> None:
    lots, later = Lots(), START + 60 * MINUTE_MS
    known = step_chain(site("face", lots=lots), later, lots)
    assert known.key
    shorter = step_chain(with_control(known, control("face", later, 60), later), later, lots)
    assert shorter.key
    assert shorter.key.minute == minute_of(later) - 1
    longer = step_chain(with_control(shorter, control("face", later + 1, 86_400), later), later, lots)
    assert longer.key == shorter.key


def test_a_clock_that_jumps_months_ahead_begins_a_new_chain() -> None:
    lots = Lots()
    known = site("face", lots=lots)
    much_later = START + 1000 * WINDOW_S + (MOST_STEPS + 1) * MINUTE_MS
    new = step_chain(known, much_later, lots)
    assert known.key
    assert new.key
    assert (new.key.chain != known.key.chain, new.destroyed, new.since) == (True, 1, much_later)
