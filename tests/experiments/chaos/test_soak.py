"""`make soak` in miniature, and its judgement of memory."""

from pathlib import Path

import numpy as np
import pytest

from tests.experiments.chaos.figure import draw
from tests.experiments.chaos.memory import growth
from tests.experiments.chaos.soak import Soak, Step, Waits, search, soak


def test_memory_that_goes_up_and_down_is_flat_and_memory_that_only_goes_up_grows() -> None:
    seconds = np.arange(0, 600, 5)
    noise = np.random.default_rng(1).normal(0, 2, seconds.size)
    assert growth(list(zip(seconds, 80 + noise, strict=True))).is_flat
    leaking = growth(list(zip(seconds, 80 + noise + seconds / 30, strict=True)))
    assert not leaking.is_flat
    assert 1.9 < leaking.a_minute < 2.1


@pytest.mark.parametrize(
    ("for_seconds", "for_a_minute", "tried"),
    [
        (200, 200, [(100, 8), (200, 8), (300, 8), (200, 60)]),
        (300, 100, [(100, 8), (200, 8), (300, 8), (400, 8), (300, 60), (200, 60), (100, 60)]),
        (200, 0, [(100, 8), (200, 8), (300, 8), (200, 60), (100, 60)]),
        (0, 0, [(100, 8)]),
    ],
)
async def test_the_rate_is_the_highest_that_is_held_for_a_minute(
    for_seconds: int, for_a_minute: int, tried: list[tuple[float, float]]
) -> None:
    async def attempt(rate: float, seconds: float) -> Step:
        is_held = rate <= (for_seconds if seconds < 60 else for_a_minute)
        return Step(rate, seconds, Waits(answers=[(0.0, 0.2)] * 1000, went=4 if is_held else 6))

    steps = await search(Soak(first_rate=100, step=100), attempt)
    assert [(step.rate, step.seconds) for step in steps] == tried


async def test_a_short_soak_samples_every_process_and_draws_what_it_saw(tmp_path: Path) -> None:
    plan = Soak(minutes=0.3, first_rate=20, step=20, step_s=2, rate=20, crowds=2, sample_s=1, warm_up_s=6)
    soaked = await soak(tmp_path, plan)
    assert {"mosquitto", "kafka", "ingress", "decider", "egress", "sink", "crowd-1", "crowd-2"} <= soaked.growths.keys()
    assert all(grown.first > 1 for grown in soaked.growths.values())
    assert len(soaked.held.waits.answers) > 200
    assert soaked.held.waits.p99 < 3
    draw(tmp_path / "soak.png", soaked.samples, soaked.held.waits.answers)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
