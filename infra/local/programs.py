"""The programs of a local stack: four brokers and the services."""

import asyncio
import base64
import re
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from infra.local import probes
from infra.local.installation import KAFKA_CLASSES, Place, kafka_classpath, program
from infra.local.ports import LOOPBACK
from infra.local.secured import write_local_broker
from models.errors import ConfigError

__all__ = ["BROKERS", "EVERYTHING", "INSTEAD", "PROCESSES", "Program", "program_of"]

PROCESSES = ("keyholder", "ingress", "egress", "decider", "sink")
"""The services, each `fairroll <name>`, in the order of their start."""

INSTEAD = {
    "mosquitto": "FAIRROLL_MQTT",
    "kafka": "FAIRROLL_KAFKA",
    "influxd": "FAIRROLL_INFLUX_URL",
    "gateway": "FAIRROLL_INFLUX_URL",
}
"""The variable that names a broker that is not part of the stack."""

_JVM = (
    "-Xmx128m",
    "-Xms128m",
    "-XX:+AlwaysPreTouch",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
"""A fixed heap, more than twice the 55 MB that Kafka holds after half a million events.

C1 alone starts faster and needs less memory, and a local broker does not run long enough for C2.
"""
_MALLOC = {"MALLOC_ARENA_MAX": "1"}
"""Without it each of the hundred threads has its own arena of glibc, and these grow for a quarter of an hour."""
_GO = {"GOMEMLIMIT": "64MiB"}
"""Near this limit influxd collects garbage more often, instead of doubling its memory between two collections."""
_WARNINGS = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


async def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to run, with its readiness check."""

    name: str
    command: tuple[str, ...]
    ports: tuple[int, ...] = ()
    """ports on which it listens; clients use the first"""
    environ: Mapping[str, str] = field(default_factory=dict)
    """environment variables in addition to the stack's"""
    prepare: Callable[[], Awaitable[None]] = _nothing
    """runs before every start"""
    ready: Callable[[], Awaitable[bool]] | None = None
    """None for a program that prints a line which starts with `ready`"""
    state: Path | None = None
    """An optional state file, which prevents a start when it is damaged."""

    @property
    def address(self) -> str:
        """The address for clients or health checks."""
        return f"{LOOPBACK}:{self.ports[0]}" if self.ports else ""


def program_of(name: str, place: Place) -> Program:
    """Return the program of that name, with its configuration written. Raises ConfigError if it is not installed."""
    return _BROKERS[name](place) if name in _BROKERS else _process(name, place)


def _mosquitto(place: Place) -> Program:
    data = place.data("mosquitto")
    config = _mosquitto_config(place, data)
    return Program(
        name="mosquitto",
        command=(program("mosquitto"), "-c", str(config)),
        ports=(place.ports.mqtt,),
        ready=partial(probes.mqtt_answers, place.settings),
        state=data / "mosquitto.db",
    )


def _mosquitto_config(place: Place, data: Path) -> Path:
    if place.settings.mqtt_ca:
        return write_local_broker(place.folder, place.settings, place.ports.mqtt, data, datetime.now(UTC))
    return place.config("mosquitto.conf", data=data)


def _kafka(place: Place) -> Program:
    config = place.config("kafka.properties", data=place.data("kafka"))
    classes = (f"-XX:SharedArchiveFile={KAFKA_CLASSES}",) if KAFKA_CLASSES.exists() else ()
    java = (program("java"), *_JVM, *classes, _WARNINGS, "-cp", kafka_classpath())
    return Program(
        name="kafka",
        command=(*java, "kafka.Kafka", str(config)),
        ports=(place.ports.kafka, place.ports.controller),
        environ=_MALLOC,
        prepare=partial(_format_storage, place, (*java, "kafka.tools.StorageTool", "format", "-c", str(config))),
        ready=partial(probes.kafka_takes_records, place.settings),
    )


async def _format_storage(place: Place, command: tuple[str, ...]) -> None:
    """Format a new data folder: Kafka requires an identity in it."""
    if (place.data("kafka") / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = await asyncio.create_subprocess_exec(
        *command, f"--cluster-id={cluster}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await tool.communicate()
    if tool.returncode:
        raise ConfigError(f"Kafka's storage could not be formatted: {output.decode(errors='replace')}")


def _influxd(place: Place) -> Program:
    config = place.config("influxdb.conf", data=place.data("influxd"))
    database = _plain("FAIRROLL_INFLUX_BUCKET", place.settings.influx_bucket)
    return Program(
        name="influxd",
        command=(program("influxd"), "-config", str(config)),
        ports=(place.ports.influx, place.ports.influx_rpc),
        environ=_GO,
        ready=partial(probes.influx_has_database, f"http://{LOOPBACK}:{place.ports.influx}", database),
    )


def _gateway(place: Place) -> Program:
    token = _plain("FAIRROLL_INFLUX_TOKEN", place.settings.influx_token)
    data = place.data("gateway")
    config = place.config("gateway.conf", data=data, token=token)
    return Program(
        name="gateway",
        command=(program("nginx"), "-p", str(data), "-e", "stderr", "-c", str(config)),
        ports=(place.ports.gateway,),
        ready=partial(probes.gateway_answers, place.settings),
    )


def _plain(variable: str, text: str) -> str:
    """Return a text that needs no quotes in a configuration file; raises ConfigError for another."""
    if not re.fullmatch(r"[\w.~+/=-]+", text, re.ASCII):
        raise ConfigError(f"{variable} may have letters, digits and any of . _ ~ + / = - in a local stack")
    return text


def _process(name: str, place: Place) -> Program:
    port = getattr(place.ports, name)
    return Program(
        name=name,
        command=(sys.executable, "-m", "infra.cli", name),
        ports=(port,),
        environ=place.settings.to_environ() | {"FAIRROLL_HEALTH": f"{LOOPBACK}:{port}", "PYTHONUNBUFFERED": "1"},
    )


_BROKERS: dict[str, Callable[[Place], Program]] = {
    "mosquitto": _mosquitto,
    "kafka": _kafka,
    "influxd": _influxd,
    "gateway": _gateway,
}
BROKERS = tuple(_BROKERS)
EVERYTHING = BROKERS + PROCESSES
"""All programs, in the order of their start."""
