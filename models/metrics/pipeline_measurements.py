"""Measurements of the pipeline: its services, its consumer groups, its dead letters, its audits. Pure."""

from enum import IntEnum

from models.metrics.schema import Field, Measurement, Tag

__all__ = ["AUDITS", "DEAD_LETTERS", "LAG", "SERVICES", "ServiceState"]

_ADDRESS = Tag(name="address", meaning="host:port, as in FAIRROLL_SERVICES")
_PART = Tag(name="service", meaning="the service, by its own health page")
_INSTANCE = Tag(name="instance", meaning="its FAIRROLL_INSTANCE")
_GROUP = Tag(name="group", meaning="the consumer group", values=frozenset({"decider", "egress", "sink"}))
_TOPIC = Tag(
    name="topic",
    meaning="the Kafka topic that it reads",
    values=frozenset({"events", "decisions", "states", "controls", "receipts", "dead-letters"}),
)


class ServiceState(IntEnum):
    """The state of a service, the worst first."""

    SILENT = 0
    """nothing answers at its address"""
    STUCK = 1
    """it makes no progress, and should be restarted"""
    NOT_READY = 2
    READY = 3


def _count(name: str, meaning: str) -> Field:
    """A counter of a service, since the start of its process."""
    return Field(name=name, kind="integer", meaning=meaning, hourly="max")


DEAD_LETTERS = Measurement(
    name="dead_letters",
    kept="event",
    meaning="A message that could not be decoded.",
    readers=("operator",),
    tags=(),
    fields=(
        Field(name="n", kind="integer", meaning="1", hourly="sum"),
        Field(name="size", kind="integer", unit="bytes", meaning="of its payload"),
        Field(name="reason", kind="string", meaning="why; a field, since its values are many"),
        Field(name="source", kind="string", meaning="where it came from"),
    ),
)

SERVICES = Measurement(
    name="services",
    kept="sample",
    meaning="A process of the pipeline, asked every 10 s; counts are since its start.",
    readers=("operator",),
    tags=(_ADDRESS, _PART, _INSTANCE),
    fields=(
        Field(
            name="state",
            kind="integer",
            meaning="3 ready, 2 not ready, 1 stuck, 0 no answer; then there is no other field",
            hourly="min",
        ),
        Field(name="up_s", kind="float", unit="s", meaning="since its start"),
        _count("sent", "ingress: messages given to Kafka"),
        _count("kept", "ingress: kept by Kafka and acknowledged to the broker"),
        _count("dead_letters", "ingress: of these dead letters"),
        _count("left", "ingress: requests to be forgotten without a key to seal them, which their dispensers repeat"),
        _count("limited", "ingress: messages and dead letters above a sender's rate, dropped"),
        _count("reordered", "ingress: states that it appended again, behind an outdated one"),
        _count("withdrawn_states", "ingress: retained states of dispensers that are not served, cleared"),
        _count("decided", "decider: events decided"),
        _count("redelivered", "events that came to it again: decider from Kafka, sink from the decider"),
        _count("repaired", "decider: events that Faust had left out, read from Kafka"),
        _count("lost", "records that Kafka deleted before they were read, of decider, egress, sink"),
        _count("rebalances", "times that its partitions changed hands"),
        _count("commands", "egress: commands acknowledged by the broker"),
        _count("controls", "egress: controls published"),
        _count("repaired_controls", "egress: of these, controls that the MQTT broker should have retained"),
        _count("unreadable", "records that it passed over"),
        _count("unsealed", "ingress: templates that came when no key was there to seal them"),
        _count("keys_unreachable", "failed requests to the key holder"),
        _count("unreadable_templates", "decider: templates whose key is destroyed"),
        _count("destroyed", "key holder: chains destroyed"),
        _count("served", "key holder: keys served"),
        _count("refused", "key holder: keys refused"),
        _count("points", "sink: points that InfluxDB has"),
        _count("rejected", "sink: points that InfluxDB will never take"),
        _count("samples_dropped", "sink: points of `services` and `lag` that InfluxDB did not accept immediately"),
    ),
)

LAG = Measurement(
    name="lag",
    kept="sample",
    meaning="What a consumer group has still to do, every 10 s. The sink's is its queue, an open period included.",
    readers=("operator",),
    tags=(_GROUP, _TOPIC),
    fields=(
        Field(name="records", kind="integer", meaning="appended and not committed", hourly="max"),
        Field(name="seconds", kind="float", unit="s", meaning="age of the oldest of these, else 0", hourly="max"),
    ),
)

AUDITS = Measurement(
    name="audits",
    kept="sample",
    meaning="An audit of the whole (`fairroll audit --publish`): what can be read and should not.",
    readers=("privacy officer",),
    tags=(),
    fields=(
        Field(name="findings", kind="integer", meaning="what was found; any is a violation", hourly="max"),
        Field(name="unread", kind="integer", meaning="places that were not read to their end", hourly="max"),
        Field(name="places", kind="integer", meaning="places of the audit", hourly="max"),
        Field(
            name="oldest_s",
            kind="float",
            unit="s",
            meaning="age of the oldest sealed template that can be read",
            hourly="max",
        ),
    ),
)
