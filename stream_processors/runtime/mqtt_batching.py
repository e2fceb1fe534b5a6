"""aiomqtt's client with fewer system calls under load: what waits is read together and written together.

paho reads one packet each time the event loop finds its socket readable, and sends each packet by itself; under load
the sends are most of what a bridge costs. Nothing waits for more to come: one packet is read and written immediately.
"""

import select
from collections import deque
from typing import Any, Final

from models.process.mqtt_client import Client

__all__ = ["BatchingClient", "merge_packets"]

_MOST_PACKETS: Final = 100
"""Packets read before other work has its turn."""
_MOST_BYTES: Final = 1 << 16
"""Written in one call."""
_PUBLISH, _PUBACK, _TYPE = 0x30, 0x40, 0xF0


class BatchingClient(Client):
    """Overrides the two callbacks by which aiomqtt connects paho's socket to the event loop."""

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        super()._on_socket_open(client, userdata, sock)
        poller = select.poll()
        poller.register(sock, select.POLLIN)

        def has_more() -> bool:
            return bool(poller.poll(0)) or (hasattr(sock, "pending") and sock.pending() > 0)

        def read() -> None:
            try:
                for _ in range(_MOST_PACKETS):
                    client.loop_read()
                    if client.socket() is not sock or not has_more():
                        break
            except Exception as error:  # noqa: BLE001 - as aiomqtt: whatever breaks ends the connection
                self._lose(error)

        self._loop.call_soon_threadsafe(self._loop.add_reader, sock.fileno(), read)  # instead of aiomqtt's own

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho's
        def write() -> None:
            try:
                merge_packets(client._out_packet)  # noqa: SLF001 - paho's queue
                client.loop_write()
                if client.want_write():
                    self._loop.add_writer(sock.fileno(), write)
            except Exception as error:  # noqa: BLE001 - as above
                self._lose(error)

        if self._connected.done():
            self._loop.call_soon(write)
        else:  # the thread that connects
            self._loop.call_soon_threadsafe(write)

    def _lose(self, error: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(error)


def merge_packets(packets: deque[dict[str, Any]]) -> None:
    """Join the first packets to one, which paho sends in one call. Not those after which it has something to do."""
    first: list[dict[str, Any]] = []
    size = 0
    while packets and size < _MOST_BYTES and _is_plain(packets[0]):
        first.append(packets.popleft())
        size += first[-1]["to_process"]
    if len(first) > 1:
        data = b"".join(packet["packet"][packet["pos"] :] for packet in first)
        first = [first[0] | {"packet": data, "pos": 0, "to_process": len(data)}]
    packets.extendleft(reversed(first))


def _is_plain(packet: dict[str, Any]) -> bool:
    kind = packet["command"] & _TYPE
    return bool(kind == _PUBACK or (kind == _PUBLISH and packet["qos"]))
