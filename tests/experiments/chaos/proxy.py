"""A network that can be slow, and that can drop traffic without closing a connection."""

import asyncio
from types import TracebackType
from typing import Self

from infra.local.ports import LOOPBACK

__all__ = ["TcpProxy"]

_CHUNK_BYTES = 4_096


class TcpProxy:
    """Forwards TCP connections to `target` (host:port) while it is used in `async with`."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._cuts = 0
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._delay_s = 0.0
        self._bytes_per_s = float("inf")

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK)
        self.address = f"{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def cut(self) -> None:
        """Drop everything from now on, without closing or resetting a connection."""
        self._cuts += 1
        self._is_whole.clear()

    def mend(self) -> None:
        """Let new connections through. Those from before the cut stay silent, as behind a router that lost them."""
        self._is_whole.set()

    def slow(self, delay_s: float, bytes_per_s: float) -> None:
        """Delay every chunk, and let no more bytes than this through a connection and direction."""
        self._delay_s, self._bytes_per_s = delay_s, bytes_per_s

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._join(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._is_whole.wait()
            await self._connect(reader, writer)
        except* OSError:
            pass  # one side is gone, and the other learns it by the close
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, back))
                ways.create_task(self._carry(there, writer))
        finally:
            back.close()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction, in order; each chunk arrives a delay after it was sent."""
        cuts = self._cuts
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(under_way, sink, cuts))
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                under_way.put_nowait((loop.time() + self._delay_s, chunk))
                await asyncio.sleep(len(chunk) / self._bytes_per_s)
            if cuts != self._cuts:
                await asyncio.Event().wait()  # the other side does not learn of it
            under_way.put_nowait((loop.time() + self._delay_s, b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", sink: asyncio.StreamWriter, cuts: int
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            moment, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, moment - loop.time()))
            if cuts != self._cuts:
                continue
            if not chunk:
                sink.close()
                return
            sink.write(chunk)
            await sink.drain()
