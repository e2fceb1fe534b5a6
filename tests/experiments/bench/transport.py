"""What TLS with certificates costs at the MQTT broker next to plain MQTT, in turns of one run; and what a signature."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.local.ports import Ports
from infra.local.secured import certify, equip
from infra.local.stack import LocalStack
from infra.tables import Table
from models.contract.codec import encode
from models.contract.messages import Control
from models.pki.control_signatures import sign_control, verified_control
from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port

__all__ = ["signatures", "table"]

_TURNS, _MESSAGES, _APART_S = 5, 200, 0.005
_CONNECTIONS = 200
_SIGNED = 2_000
_TOPIC = "fairroll/v1/bench/d0/request"
_PAYLOAD = bytes(300)


async def table(folder: Path, turns: int = _TURNS, connections: int = _CONNECTIONS) -> Table:
    """Publish to delivery at ingress's subscription, connections a second, and memory of the broker."""
    names = [f"bench.d{number}" for number in range(connections + 1)]
    rows = Table("MQTT", "p50 ms", "p99 ms", "connect ms p50", f"broker MB, {connections} connections")
    async with AsyncExitStack() as running:
        lines = [await running.enter_async_context(_line(folder / kind, kind, names)) for kind in ("plain", "TLS")]
        for _ in range(turns):
            for line in lines:
                await line.turn()
        for line in lines:
            rows.add_row(*await line.row(names[1:]))
    return rows


def signatures() -> Table:
    """Signing at egress, once a control, and verifying at a dispenser."""
    key, topic = Ed25519PrivateKey.generate(), "fairroll/v1/bench/control"
    control = encode(
        Control(site="bench", mode="face", policy="0" * 12, epoch=1, ration_cm=60, ration_budget_cm=6000, window_s=540)
    )
    signed = sign_control(key, topic, control)
    rows = Table("a control", "us p50")
    rows.add_row("sign", f"{_median_us(lambda: sign_control(key, topic, control)):.0f}")
    rows.add_row("verify", f"{_median_us(lambda: verified_control([key.public_key()], topic, signed)):.0f}")
    return rows


class _Line:
    """A broker with a dispenser that publishes and an ingress that receives."""

    def __init__(self, kind: str, stack: LocalStack, sender: Client, receiver: Client) -> None:
        self._kind, self._stack, self._sender, self._receiver = kind, stack, sender, receiver
        self._waits_ms: list[float] = []

    async def turn(self) -> None:
        messages = aiter(self._receiver.messages)
        for _ in range(_MESSAGES):
            started = time.perf_counter()
            await self._sender.publish(_TOPIC, _PAYLOAD, qos=1)
            await anext(messages)
            self._waits_ms.append(1000 * (time.perf_counter() - started))
            await asyncio.sleep(_APART_S)

    async def row(self, names: list[str]) -> tuple[str, ...]:
        cuts = quantiles(self._waits_ms, n=100, method="inclusive")
        connects = []
        async with AsyncExitStack() as connected:
            for name in names:
                started = time.perf_counter()
                await connected.enter_async_context(_client(self._stack.settings, name))
                connects.append(1000 * (time.perf_counter() - started))
            memory = _resident_mb(self._stack["mosquitto"].pid)
        return self._kind, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}", f"{median(connects):.1f}", f"{memory:.1f}"


@asynccontextmanager
async def _line(folder: Path, kind: str, names: list[str]) -> AsyncIterator[_Line]:
    stack = LocalStack(folder, programs=["mosquitto"], ports=Ports.free(), is_secure=kind == "TLS")
    if stack.settings.mqtt_ca:
        certify(folder, stack.settings, None, datetime.now(UTC))
        equip(folder, names, datetime.now(UTC))
    async with (
        stack,
        _client(stack.settings, "bench.d0") as sender,
        _client(stack.settings, "ingress-1") as receiver,
    ):
        await receiver.subscribe("$share/ingress/fairroll/+/+/+/request", qos=1)
        yield _Line(kind, stack, sender, receiver)


def _client(settings: Settings, name: str) -> Client:
    return Client(*host_and_port(settings.mqtt), tls=settings.mqtt_tls(name), identifier=name, clean_start=True)


def _median_us(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(_SIGNED):
        started = time.perf_counter_ns()
        work()
        spent.append((time.perf_counter_ns() - started) / 1000)
    return median(spent)


def _resident_mb(pid: int | None) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
