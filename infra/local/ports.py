"""Where a local stack listens: always on the loopback interface."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass, fields

__all__ = ["LOOPBACK", "Ports", "is_taken"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The defaults are what `fairroll up` uses; MQTT, Kafka and InfluxDB are where their clients expect them."""

    mqtt: int = 1883
    kafka: int = 9092
    controller: int = 9093
    """where Kafka's own controller listens"""
    gateway: int = 8086
    """where InfluxDB's clients knock"""
    influx: int = 18086
    influx_rpc: int = 18088

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody listens on now."""
        with ExitStack() as held:
            sockets = {field.name: held.enter_context(socket.create_server((LOOPBACK, 0))) for field in fields(cls)}
            return cls(**{name: taken.getsockname()[1] for name, taken in sockets.items()})


def is_taken(port: int) -> bool:
    """True where a part could not listen."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return True
    return False
