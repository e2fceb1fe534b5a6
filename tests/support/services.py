"""Services of the pipeline as processes of their own, for tests that stop and kill them, and brokers that go away."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Self

import aiohttp
import msgspec

from infra.local.ports import LOOPBACK, Ports
from infra.local.stack import LocalStack
from models.settings import Settings
from stream_processors.runtime.health import Vitals
from tests.support.processes import FAIRROLL, ran

__all__ = ["Service", "away", "frozen", "running"]


class Service:
    """`fairroll <part>`, with its health on a port of its own."""

    def __init__(self, part: str, settings: Settings, instance: str = "1") -> None:
        self._part = part
        self._health = f"{LOOPBACK}:{Ports.free().mqtt}"
        self._environ = settings.to_environ() | {"FAIRROLL_INSTANCE": instance, "FAIRROLL_HEALTH": self._health}
        self._child: asyncio.subprocess.Process | None = None

    @property
    def child(self) -> asyncio.subprocess.Process:
        assert self._child
        return self._child

    async def start(self) -> Self:
        """Returns when it does its work."""
        await self.launch()
        assert self.child.stdout
        assert (await asyncio.wait_for(self.child.stdout.readline(), 120)).startswith(b"ready")
        return self

    async def launch(self) -> None:
        """Start it where it may not be able to work."""
        self._child = await asyncio.create_subprocess_exec(
            *FAIRROLL, self._part, env=self._environ, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )

    async def run_to_its_end(self) -> tuple[int, str]:
        """Start it where it cannot work; returns its exit code and what it wrote to standard error."""
        ended = await ran(*FAIRROLL, self._part, env=self._environ)
        return ended.code, ended.err

    async def stop(self) -> None:
        """Stop it, in order and within five seconds."""
        asked = time.monotonic()
        self.child.terminate()
        try:
            assert await asyncio.wait_for(self.child.wait(), 15) == 0
        except TimeoutError:
            await self.kill()
            raise
        assert time.monotonic() - asked < 5

    async def end(self) -> None:
        """Stop it if it runs."""
        if self._child and self._child.returncode is None:
            await self.stop()

    async def kill(self) -> None:
        self.child.kill()
        assert await asyncio.wait_for(self.child.wait(), 15) == -signal.SIGKILL

    async def vitals(self, path: str = "/healthz") -> tuple[int, Vitals]:
        """Status and body."""
        async with aiohttp.ClientSession(f"http://{self._health}") as http, http.get(path) as answer:
            return answer.status, msgspec.json.decode(await answer.read(), type=Vitals)

    async def until_count(self, name: str, least: int) -> None:
        async with asyncio.timeout(20):
            while (await self.vitals())[1].counts.get(name, 0) < least:
                await asyncio.sleep(0.05)

    async def until_ready(self) -> None:
        async with asyncio.timeout(20):
            while (await self.vitals("/readyz"))[0] != 200:
                await asyncio.sleep(0.05)

    async def until_not_ready(self, fault: str) -> Vitals:
        """Wait until `/readyz` returns this state, with its reason."""
        async with asyncio.timeout(20):
            while True:
                with suppress(aiohttp.ClientError):  # it may not listen yet
                    status, vitals = await self.vitals("/readyz")
                    if status == 503 and vitals.last_fault and vitals.last_fault.text.startswith(fault):
                        return vitals
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Start all of them, and stop them; none is left behind."""
    async with AsyncExitStack() as stopping:
        for service in services:
            stopping.push_async_callback(service.end)
        await asyncio.gather(*(service.start() for service in services))
        yield


@contextmanager
def frozen(stack: LocalStack, part: str) -> Iterator[None]:
    """A broker that neither answers nor closes its connections."""
    pid = stack[part].pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def away(stack: LocalStack, part: str) -> AsyncIterator[None]:
    """A broker that is stopped and comes back."""
    await stack.stop(part)
    try:
        yield
    finally:
        await stack.start(part)
