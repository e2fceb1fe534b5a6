"""Names of topics: what a device meets on MQTT, what the pipeline keeps in Kafka."""

import re
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Struct

from models.errors import MalformedMessage

__all__ = [
    "ACCOUNTS_CHANGELOG",
    "CONTROLS",
    "DEAD_LETTERS",
    "DECIDER_GROUP",
    "DECISIONS",
    "EGRESS_GROUP",
    "EVENTS",
    "INGRESS_FILTERS",
    "RECEIPTS",
    "ROOT",
    "SINK_GROUP",
    "STATES",
    "Channel",
    "DeviceTopic",
    "KafkaTopic",
    "Name",
    "control_topic",
    "kafka_topics",
]

ROOT = "fairroll/v1"
"""The MQTT prefix; it carries the version of the contract."""

_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z"
Name = Annotated[str, msgspec.Meta(pattern=_NAME)]
"""A site or a device: lower-case letters, digits and hyphens, 63 at most (a DNS label, RFC 1123)."""

Channel = Literal["request", "command", "report", "state"]
"""What passes between one dispenser and the pipeline."""

INGRESS_FILTERS = tuple(f"fairroll/+/+/+/{channel}" for channel in ("request", "report", "state"))
"""Every version, so that a device of another version is told apart from a silent one."""


class DeviceTopic(Struct, frozen=True):
    """A topic of one dispenser, `fairroll/v1/{site}/{device}/{channel}`."""

    site: str
    device: str
    channel: Channel

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.device}/{self.channel}"

    @classmethod
    def parse(cls, topic: str) -> "DeviceTopic":
        """Raises MalformedMessage for another version, a bad name or an unknown channel."""
        match topic.split("/"):
            case ["fairroll", "v1", site, device, channel] if channel in get_args(Channel):
                for name in (site, device):
                    if not re.match(_NAME, name):
                        raise MalformedMessage("bad name in the topic")
                return cls(site, device, channel)  # type: ignore[arg-type]  # narrowed by the guard above
            case ["fairroll", version, *_] if version != "v1":
                raise MalformedMessage("unknown version in the topic")
            case _:
                raise MalformedMessage("unknown topic")


def control_topic(site: str) -> str:
    """The retained topic that tells every dispenser of a site its mode."""
    return f"{ROOT}/{site}/control"


EVENTS = "fairroll.events"
DECISIONS = "fairroll.decisions"
STATES = "fairroll.states"
CONTROLS = "fairroll.controls"
DEAD_LETTERS = "fairroll.dead-letters"
RECEIPTS = "fairroll.receipts"
EGRESS_GROUP = "fairroll.egress"
SINK_GROUP = "fairroll.sink"
DECIDER_GROUP = "fairroll.decider"
ACCOUNTS_CHANGELOG = f"{DECIDER_GROUP}-accounts-changelog"
"""Faust names a table's changelog `{app}-{table}-changelog`."""


class KafkaTopic(Struct, frozen=True):
    """A Kafka topic and the settings that it is created with."""

    name: str
    partitions: int
    config: dict[str, str]


_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


def kafka_topics(partitions: int, longest_window_s: int) -> tuple[KafkaTopic, ...]:
    """Every topic of the pipeline, co-partitioned by site.

    LogAppendTime everywhere: a record stamped ahead by a bad clock would outlive its retention. Segments
    are short and compaction prompt, so that what is deleted leaves the broker's files soon.
    """
    keep_events_ms = longest_window_s * 1000 + _HOUR_MS
    common = {"message.timestamp.type": "LogAppendTime", "segment.ms": "600000"}
    compact = common | {"cleanup.policy": "compact", "max.compaction.lag.ms": "600000"}
    changelog = common | {
        "cleanup.policy": "compact",
        "max.compaction.lag.ms": "5000",
        "min.cleanable.dirty.ratio": "0.5",
        "segment.ms": "10000",
        "delete.retention.ms": "60000",
        "file.delete.delay.ms": "1000",
    }
    return (
        KafkaTopic(EVENTS, partitions, common | {"retention.ms": str(keep_events_ms)}),
        KafkaTopic(DECISIONS, partitions, common | {"retention.ms": str(30 * _DAY_MS)}),
        KafkaTopic(STATES, partitions, compact),
        KafkaTopic(CONTROLS, partitions, compact),
        KafkaTopic(RECEIPTS, partitions, common | {"retention.ms": "-1"}),
        KafkaTopic(DEAD_LETTERS, 1, common | {"retention.ms": str(7 * _DAY_MS)}),
        KafkaTopic(ACCOUNTS_CHANGELOG, partitions, changelog),
    )
