"""The status of a pipeline: what was read, and what is wrong. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from infra.readable_records import DatedState
from models.contract.states import state_key
from models.keys.seal_chain import SitesReply
from models.ledger.rules.policy import Sites
from stream_processors.runtime.consumer_lag import ConsumerLag
from stream_processors.runtime.health import Vitals

__all__ = [
    "Broker",
    "Dispenser",
    "KafkaSeen",
    "Partition",
    "Service",
    "Status",
    "dispensers",
    "last_faults",
    "problems",
    "rates",
]

Partition = tuple[str, int]
"""topic and number"""


class Service(Struct, frozen=True, kw_only=True):
    """A service, by its health page."""

    address: str
    vitals: Vitals | None
    """None: it does not answer"""


class Broker(Struct, frozen=True, kw_only=True):
    """A broker or the key holder."""

    name: str
    address: str
    hint: str
    """which setting names the address, and what to do if that is not set"""
    fault: str = ""
    """why it does not answer; empty: it does"""


class Dispenser(Struct, frozen=True, kw_only=True):
    """A dispenser that is served, by its retained state."""

    site: str
    device: str
    is_online: bool | None
    """None: it never connected"""
    since_s: float | None = None
    """age of that state"""


class KafkaSeen(Struct, frozen=True, kw_only=True):
    """What the topics hold."""

    backlogs: list[ConsumerLag]
    rates: dict[str, float]
    """records a second, by topic"""
    dispensers: list[Dispenser]
    dead_letters: dict[str, int]
    """of the last hour, by reason"""
    unreadable: list[str] = field(default_factory=list)
    """records that this version cannot read: where they are, whose, and why"""
    controls: list[str] = field(default_factory=list)
    """sites of which the MQTT broker retains another control than Kafka holds, a sentence each"""


class Status(Struct, frozen=True, kw_only=True):
    """The whole."""

    services: list[Service]
    brokers: list[Broker]
    kafka: KafkaSeen | None
    """None: nothing could be read"""
    seals: SitesReply | None = None
    """the key holder's facts; None: it does not answer"""
    problems: list[str] = field(default_factory=list)
    """what is not ready, a sentence each; all is well without any"""


def problems(services: Iterable[Service], brokers: Sequence[Broker], kafka: KafkaSeen | str) -> list[str]:
    """What is not ready. Offline dispensers, consumer lag and dead letters are shown, and not judged.

    `kafka`: what was seen of the topics, or why they cannot be read; without Kafka that needs no reason of its own.
    """
    unreachable = [broker for broker in brokers if broker.fault]
    found = [f"{one.name} does not answer at {one.address}: {one.fault} ({one.hint})" for one in unreachable]
    if isinstance(kafka, str) and "Kafka" not in {broker.name for broker in unreachable}:
        found.append(f"the topics cannot be read: {kafka}")
    if isinstance(kafka, KafkaSeen):
        found += [
            f"{lag.group} has lost {lag.lost} records of {lag.topic}: Kafka deleted them before they were read"
            for lag in kafka.backlogs
            if lag.lost
        ]
        found += kafka.controls
    for service in services:
        match service.vitals:
            case None:
                found.append(f"no service answers at {service.address} (FAIRROLL_SERVICES)")
            case Vitals(alive=False) as vitals:
                found.append(f"{vitals.service} {vitals.instance} is stuck")
            case Vitals(ready=False) as vitals:
                why = f": {vitals.last_fault.text}" if vitals.last_fault else ""
                found.append(f"{vitals.service} {vitals.instance} is not ready{why}")
    return found


def rates(
    topics: Iterable[str], before: Mapping[Partition, int], after: Mapping[Partition, int], apart_s: float
) -> dict[str, float]:
    """Records a second by topic, of the ends of its partitions at two moments."""
    return {
        topic: round(sum(after[p] - end for p, end in before.items() if p[0] == topic) / apart_s, 1) for topic in topics
    }


def dispensers(sites: Sites, states: Mapping[str, DatedState], now: float) -> list[Dispenser]:
    """Every dispenser of the sites that are served, at `now` in seconds since 1970. `states`: by `site/device`."""
    return [
        _dispenser(site, device, states.get(state_key(site, device)), now)
        for site, spec in sites.sites.items()
        for device in spec.devices
    ]


def _dispenser(site: str, device: str, found: DatedState | None, now: float) -> Dispenser:
    if found is None:
        return Dispenser(site=site, device=device, is_online=None)
    return Dispenser(site=site, device=device, is_online=found.state.online, since_s=now - found.at)


def last_faults(services: Iterable[Service]) -> list[tuple[float, str, str]]:
    """Seconds ago, part and text of each service's last fault, the newest first."""
    known = (service.vitals for service in services if service.vitals)
    return sorted((v.last_fault.ago_s, f"{v.service} {v.instance}", v.last_fault.text) for v in known if v.last_fault)
