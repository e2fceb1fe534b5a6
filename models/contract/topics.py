"""Names on the brokers: the MQTT topics that a device uses, Kafka's topics and consumer groups."""

import re
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Struct

from models.errors import MalformedMessage

__all__ = [
    "DEFAULT_NAMESPACE",
    "NAME_PATTERN",
    "Channel",
    "DeviceTopic",
    "KafkaTopic",
    "Name",
    "Topics",
    "kafka_topics",
]

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z"
Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
"""A site, a device or a namespace: lower-case letters, digits and hyphens, 63 at most (a DNS label, RFC 1123)."""

Channel = Literal["request", "command", "report", "state"]
"""The topics between one dispenser and the pipeline."""

DEFAULT_NAMESPACE = "fairroll"


class DeviceTopic(Struct, frozen=True):
    """The parsed MQTT topic of one dispenser."""

    site: str
    device: str
    channel: Channel


class Topics(Struct, frozen=True):
    """The names of one pipeline. Pipelines of different namespaces can share an MQTT broker and a Kafka."""

    namespace: Name = DEFAULT_NAMESPACE

    def device(self, site: str, device: str, channel: Channel) -> str:
        """The MQTT topic of one dispenser."""
        return f"{self.mqtt_root}/{site}/{device}/{channel}"

    def control(self, site: str) -> str:
        """The retained MQTT topic that gives every dispenser of a site its mode."""
        return f"{self.mqtt_root}/{site}/control"

    def parse(self, topic: str) -> DeviceTopic:
        """Parse the MQTT topic of one dispenser.

        Raises MalformedMessage for another version, a bad name, an unknown channel or another namespace.
        """
        match topic.split("/"):
            case [self.namespace, "v1", site, device, channel] if channel in get_args(Channel):
                for name in (site, device):
                    if not re.match(NAME_PATTERN, name):
                        raise MalformedMessage("bad name in the topic")
                return DeviceTopic(site, device, channel)  # type: ignore[arg-type]  # narrowed by the guard above
            case [self.namespace, version, *_] if version != "v1":
                raise MalformedMessage("unknown version in the topic")
            case _:
                raise MalformedMessage("unknown topic")

    @property
    def mqtt_pipeline(self) -> str:
        """The retained MQTT topic of the id of the pipeline. Not for dispensers."""
        return f"{self.mqtt_root}/pipeline"

    def is_mqtt(self, topic: str) -> bool:
        """Whether an MQTT topic lies in this namespace, in whatever version of the contract."""
        return topic.startswith(f"{self.namespace}/")

    @property
    def ingress_filters(self) -> tuple[str, ...]:
        """Every version, so that a device of another version is distinguished from a silent one."""
        return tuple(f"{self.namespace}/+/+/+/{channel}" for channel in ("request", "report", "state"))

    @property
    def ingress_subscriptions(self) -> tuple[str, ...]:
        """The same as shared subscriptions: the broker gives each message to one ingress."""
        return tuple(f"$share/ingress/{topic}" for topic in self.ingress_filters)

    def client_id(self, name: str) -> str:
        """The MQTT client id of a service or a dispenser, unique in the broker.

        No name has a colon, so that no id of one namespace is another's.
        """
        return name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}:{name}"

    @property
    def events(self) -> str:
        """Requests, reports, settings and ticks."""
        return f"{self.namespace}.events"

    @property
    def decisions(self) -> str:
        """Outcomes of events."""
        return f"{self.namespace}.decisions"

    @property
    def states(self) -> str:
        """The last state of each dispenser."""
        return f"{self.namespace}.states"

    @property
    def controls(self) -> str:
        """The last control of each site."""
        return f"{self.namespace}.controls"

    @property
    def sites(self) -> str:
        """The sites that are served, with their dispensers."""
        return f"{self.namespace}.sites"

    @property
    def dead_letters(self) -> str:
        """Descriptions of messages that cannot be read."""
        return f"{self.namespace}.dead-letters"

    @property
    def receipts(self) -> str:
        """Holds, their ends, new epochs."""
        return f"{self.namespace}.receipts"

    @property
    def pipeline(self) -> str:
        """The id of the pipeline that these topics belong to."""
        return f"{self.namespace}.pipeline"

    @property
    def accounts_changelog(self) -> str:
        """The decider's table. Faust names a table's changelog `{app}-{table}-changelog`."""
        return f"{self.decider_group}-accounts-changelog"

    @property
    def decider_group(self) -> str:
        """The deciders' consumer group, which is the id of their Faust application."""
        return f"{self.namespace}.decider"

    @property
    def egress_group(self) -> str:
        """The consumer group of all egresses."""
        return f"{self.namespace}.egress"

    @property
    def sink_group(self) -> str:
        """The consumer group of all sinks."""
        return f"{self.namespace}.sink"

    def short(self, name: str) -> str:
        """A Kafka topic's or group's name without its namespace."""
        return name.removeprefix(f"{self.namespace}.")

    @property
    def mqtt_root(self) -> str:
        """The first two levels of MQTT topics: the namespace and the version of the contract."""
        return f"{self.namespace}/v1"


class KafkaTopic(Struct, frozen=True):
    """A Kafka topic and the settings that it is created with."""

    name: str
    partitions: int
    config: dict[str, str]


_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


def kafka_topics(topics: Topics, partitions: int, longest_window_s: int) -> tuple[KafkaTopic, ...]:
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
        KafkaTopic(topics.events, partitions, common | {"retention.ms": str(keep_events_ms)}),
        KafkaTopic(topics.decisions, partitions, common | {"retention.ms": str(30 * _DAY_MS)}),
        KafkaTopic(topics.states, partitions, compact),
        KafkaTopic(topics.controls, partitions, compact),
        KafkaTopic(topics.sites, partitions, compact),
        KafkaTopic(topics.receipts, partitions, common | {"retention.ms": "-1"}),
        KafkaTopic(topics.pipeline, 1, compact),
        KafkaTopic(topics.dead_letters, 1, common | {"retention.ms": str(7 * _DAY_MS)}),
        KafkaTopic(topics.accounts_changelog, partitions, changelog),
    )
