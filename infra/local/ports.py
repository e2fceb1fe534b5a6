"""The ports of a local stack, always on the loopback interface."""

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["LOOPBACK", "Ports", "is_taken"]

LOOPBACK = "127.0.0.1"
_BELOW_CLIENTS = range(20_000, 32_000)
"""Below 32768, from where Linux assigns ports to clients: such a port could be taken before a program listens."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The defaults are what `fairroll up` uses; MQTT, Kafka and InfluxDB are where their clients expect them."""

    mqtt: int = 1883
    kafka: int = 9092
    controller: int = 9093
    """Kafka's controller"""
    gateway: int = 8086
    """the address for InfluxDB's clients"""
    influx: int = 18086
    influx_rpc: int = 18088
    keyholder: int = 9105
    """health pages of the services"""
    ingress: int = 9101
    egress: int = 9102
    decider: int = 9103
    sink: int = 9104
    reservations: tuple[socket.socket, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def free(cls) -> "Ports":
        """Return free ports outside the range of client ports. No other stack gets them while this object lives."""
        names = [name for name, port in vars(cls).items() if isinstance(port, int)]
        reserved = _reserved_ports()
        chosen = {name: next(reserved) for name in names}
        ports = {name: reservation.getsockname()[1] for name, reservation in chosen.items()}
        return cls(**ports, reservations=tuple(chosen.values()))


def _reserved_ports() -> Iterator[socket.socket]:
    """Reserve a port by binding it for UDP: a program that takes seconds to start can still listen there by TCP."""
    for port in random.sample(_BELOW_CLIENTS, len(_BELOW_CLIENTS)):
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind((LOOPBACK, port))
        except OSError:
            reservation.close()
            continue
        if is_taken(port):
            reservation.close()
        else:
            yield reservation


def is_taken(port: int) -> bool:
    """Return whether a program could not listen on the port."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return True
    return False
