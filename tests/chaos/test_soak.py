"""`make soak` in miniature, and its judgement of memory."""

from pathlib import Path

import numpy as np

from tests.chaos.figure import draw
from tests.chaos.memory import growth
from tests.chaos.soak import Soak, soak


def test_memory_that_goes_up_and_down_is_flat_and_memory_that_only_goes_up_grows() -> None:
    seconds = np.arange(0, 600, 5)
    noise = np.random.default_rng(1).normal(0, 2, seconds.size)
    assert growth(list(zip(seconds, 80 + noise, strict=True))).is_flat
    leaking = growth(list(zip(seconds, 80 + noise + seconds / 30, strict=True)))
    assert not leaking.is_flat
    assert 1.9 < leaking.a_minute < 2.1


async def test_a_short_soak_samples_every_process_and_draws_what_it_saw(tmp_path: Path) -> None:
    plan = Soak(minutes=0.3, first_rate=20, step=20, step_s=2, rate=20, crowds=2, sample_s=1, warm_up_s=6)
    soaked = await soak(tmp_path, plan)
    assert {"mosquitto", "kafka", "ingress", "decider", "egress", "sink", "crowd-1", "crowd-2"} <= soaked.growths.keys()
    assert all(grown.first > 1 for grown in soaked.growths.values())
    assert len(soaked.waits.told) > 200
    assert soaked.waits.p99 < 3
    draw(tmp_path / "soak.png", soaked.samples, soaked.waits.told)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
