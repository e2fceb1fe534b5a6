"""What can go wrong, each as a function that does it while people ask, and has put all right again when it returns."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from tests.experiments.chaos.pipeline import Pipeline
from tests.experiments.chaos.proxy import TcpProxy

__all__ = ["FAULTS", "Fault", "Scene", "fault"]

_DOWN_S = 1.5
"""How long what was killed stays away before it is started: a supervisor's pace."""
_FROZEN_S = 9.0
"""Beyond the 6 s after which Kafka's group gives a silent worker's partitions away."""
_CUT_S = 4.0
"""Longer than the patience of 3 s, so that local rations occur."""
_SLOW_S, _SLOW_BYTES_PER_S = 0.25, 4_000.0


class Scene(NamedTuple):
    """What a fault can reach."""

    pipeline: Pipeline
    proxy: TcpProxy
    """between dispensers and broker"""
    crowd: str
    """the process that is killed for all of them"""
    rng: Random
    """moments come from it"""
    seconds: float
    """how long people come"""

    async def wait(self) -> None:
        """Until the moment of the fault."""
        await asyncio.sleep(self.seconds * self.rng.uniform(0.2, 0.35))


class Fault(NamedTuple):
    """A segment of a run."""

    name: str
    happens: Callable[[Scene], Awaitable[None]]
    seconds: float = 11.0
    """how long people come by default; longer where the fault takes longer"""


async def _nothing(_: Scene) -> None:
    pass


def _kill(name: str) -> Callable[[Scene], Awaitable[None]]:
    async def happens(scene: Scene) -> None:
        await scene.wait()
        await scene.pipeline.kill(name)
        await asyncio.sleep(_DOWN_S)
        await scene.pipeline.start(name)

    return happens


async def _kill_crowd(scene: Scene) -> None:
    await scene.wait()
    await scene.pipeline.kill(scene.crowd)
    await asyncio.sleep(_DOWN_S)
    await scene.pipeline.start(scene.crowd)


def _restart(name: str) -> Callable[[Scene], Awaitable[None]]:
    async def happens(scene: Scene) -> None:
        await scene.wait()
        await scene.pipeline.restart(name)

    return happens


async def _cut(scene: Scene) -> None:
    await scene.wait()
    scene.proxy.cut()
    await asyncio.sleep(_CUT_S)
    scene.proxy.mend()


async def _slow(scene: Scene) -> None:
    await scene.wait()
    scene.proxy.slow(_SLOW_S, _SLOW_BYTES_PER_S)
    await asyncio.sleep(scene.seconds / 2)
    scene.proxy.slow(0.0, float("inf"))


async def _duplicates(scene: Scene) -> None:
    scene.pipeline.add("echo", "tests.experiments.chaos.echo", str(scene.rng.randrange(1 << 30)))
    await scene.pipeline.start("echo")
    await asyncio.sleep(scene.seconds)
    await scene.pipeline.stop("echo")


async def _join_and_leave(scene: Scene) -> None:
    scene.pipeline.add_decider("decider-2")
    await scene.wait()
    await scene.pipeline.start("decider-2")
    await asyncio.sleep(scene.seconds * 0.3)
    await scene.pipeline.stop("decider-2")


async def _kill_one_of_two(scene: Scene) -> None:
    scene.pipeline.add_decider("decider-2")
    await scene.pipeline.start("decider-2")
    await scene.wait()
    await scene.pipeline.kill("decider-2")


async def _freeze_one_of_two(scene: Scene) -> None:
    """The one that wakes up believes that its partitions are still its own."""
    scene.pipeline.add_decider("decider-2")
    await scene.pipeline.start("decider-2")
    await scene.wait()
    scene.pipeline.freeze("decider")
    await asyncio.sleep(_FROZEN_S)
    scene.pipeline.thaw("decider")
    await asyncio.sleep(scene.seconds * 0.3)
    await scene.pipeline.stop("decider-2")


async def _kafka_away(scene: Scene) -> None:
    """Whatever an ingress had acknowledged, and not handed over, is gone with it."""
    await scene.wait()
    await scene.pipeline.kill("kafka")
    await asyncio.sleep(_DOWN_S)
    await scene.pipeline.kill("ingress")
    await scene.pipeline.start("kafka")
    await scene.pipeline.start("ingress")


FAULTS = (
    Fault("none", _nothing),
    Fault("kill-decider", _kill("decider"), 15.0),
    Fault("kill-ingress", _kill("ingress"), 15.0),
    Fault("kill-egress", _kill("egress"), 15.0),
    Fault("kill-keyholder", _kill("keyholder"), 15.0),
    Fault("kill-crowd", _kill_crowd, 15.0),
    Fault("restart-mosquitto", _restart("mosquitto")),
    Fault("kill-kafka", _kill("kafka"), 12.0),
    Fault("restart-influxdb", _restart("influxd")),
    Fault("cut", _cut),
    Fault("slow", _slow),
    Fault("duplicates", _duplicates),
    Fault("join-leave", _join_and_leave, 12.0),
    Fault("kill-one-of-two", _kill_one_of_two, 12.0),
    Fault("freeze-one-of-two", _freeze_one_of_two, 12.0),
    Fault("kafka-away", _kafka_away, 12.0),
)


def fault(name: str) -> Fault:
    """Raises KeyError for a name that is none."""
    return {fault.name: fault for fault in FAULTS}[name]
