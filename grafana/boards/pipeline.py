"""Pipeline: whether the machinery keeps up, for operators."""

from grafana.panels import Board, Panel, Row
from grafana.queries import Over, Select, each, highest, last, lowest, pace, total
from models.metrics.catalogue import DEAD_LETTERS, LAG, REQUESTS, SERVICES, SITES, ServiceState

__all__ = ["PIPELINE"]

_STATES = {
    str(ServiceState.READY.value): ("ready", "green"),
    str(ServiceState.NOT_READY.value): ("not ready", "orange"),
    str(ServiceState.STUCK.value): ("stuck", "red"),
    str(ServiceState.SILENT.value): ("no answer", "red"),
}


def _counter(title: str, about: str, service: str, *names: str) -> Panel:
    """How fast a service's counters grow; at a restart, where they begin at 0 again, nothing is shown."""
    columns = [pace(name) for name in names]
    inner = Select(SERVICES, columns, where={"service": service}, by=["instance"], every=True, fill="none")
    grown = Over(
        inner,
        {name.replace("_", " "): f'last("{name}")' for name in names},
        by=["instance"],
        every=True,
        alias="$tag_instance $col",
    )
    return Panel(f"{title} a minute", about, "lines", [grown], least_interval="10s")


_SERVICES = [
    Panel(
        "State of each service",
        "What each address of FAIRROLL_SERVICES answers at /readyz, asked every 10 s by the sink; the worst of each"
        " interval. No bar: no sample, so the sink or InfluxDB was down.",
        "states",
        [
            Select(
                SERVICES,
                [lowest("state")],
                by=["service", "instance", "address"],
                every=True,
                fill="null",
                alias="$tag_service $tag_instance $tag_address",
            )
        ],
        words=_STATES,
        width=24,
        least_interval="10s",
    ),
]

_LAG = [
    Panel(
        "Lag in messages",
        "Appended to Kafka and not committed by the group that reads it. The sink's is its queue: it commits an open"
        " period only when that is over, so it breathes with the period.",
        "lines",
        [
            Select(
                LAG,
                [highest("records", "messages")],
                by=["group", "topic"],
                every=True,
                fill="null",
                alias="$tag_group $tag_topic",
            )
        ],
        width=12,
        least_interval="10s",
    ),
    Panel(
        "Lag in seconds",
        "Age of the oldest message that the group has not committed; people wait for decider and egress only. After 3 s"
        " a dispenser serves by itself.",
        "lines",
        [
            Select(
                LAG,
                [highest("seconds", "age")],
                by=["group", "topic"],
                every=True,
                fill="null",
                alias="$tag_group $tag_topic",
            )
        ],
        unit="s",
        width=12,
        least_interval="10s",
    ),
    Panel(
        "Sink queue",
        "Records that the metrics sink has not committed, over all topics. Kafka keeps them while InfluxDB is down.",
        "stat",
        [Select(LAG, [last("records", "messages")], where={"group": "sink"}, by=["topic"], alias="$tag_topic")],
        width=8,
        height=6,
    ),
    Panel(
        "From event to decision",
        "What a tick waits from Kafka's append to that of its decision: the longest of all sites.",
        "lines",
        [Select(SITES, [highest("decided_ms", "longest")], every=True, fill="null", alias="$col")],
        unit="ms",
        width=8,
        height=6,
        least_interval="10s",
    ),
    Panel(
        "p99 of all sites",
        "The worst site's p99 of a period: from Kafka's append of a request to that of its decision.",
        "lines",
        [Select(REQUESTS, [highest("p99_ms", "p99")], every=True, fill="null", alias="$col")],
        unit="ms",
        width=8,
        height=6,
        least_interval="1m",
        steps=[(1000, "red")],
    ),
]

_TROUBLE = [
    _counter("Decided", "Events that the decider folded.", "decider", "decided"),
    _counter(
        "Rebalances",
        "Times that a decider's partitions changed hands, once at its start. No request is answered meanwhile.",
        "decider",
        "rebalances",
    ),
    _counter(
        "Repaired jumps",
        "Events that Faust had left out, read from Kafka and folded first; each was answered all the same.",
        "decider",
        "repaired",
    ),
    Panel(
        "Duplicates from dispensers",
        "Repeated requests: they got the same answer and were not charged again.",
        "bars",
        [Select(REQUESTS, [total("repeats")], every=True, fill="0", alias="$col")],
        least_interval="1m",
    ),
    _counter(
        "Redelivered to the decider",
        "Events that Kafka gave again after a rebalance or a crash.",
        "decider",
        "redelivered",
    ),
    _counter(
        "Ingress",
        "Messages given to Kafka, kept by it, and dead letters among them; messages dropped above a sender's rate.",
        "ingress",
        "sent",
        "kept",
        "dead_letters",
        "limited",
    ),
    _counter(
        "Egress",
        "Commands and controls that the broker acknowledged; records that were passed over unread.",
        "egress",
        "commands",
        "controls",
        "unreadable",
    ),
    _counter("Points", "What InfluxDB took.", "sink", "points"),
    _counter(
        "Drops of the sink",
        "rejected: points that InfluxDB refuses for good; unreadable: skipped records; samples dropped: points of this"
        " dashboard that InfluxDB did not accept immediately. The first two should stay 0.",
        "sink",
        "rejected",
        "unreadable",
        "samples_dropped",
    ),
]

_LETTERS = [
    Panel(
        "Dead letters",
        "Messages that could not be decoded.",
        "bars",
        [Select(DEAD_LETTERS, [total("n", "dead letters")], every=True, fill="0", alias="$col")],
        least_interval="1m",
        width=8,
    ),
    Panel(
        "Latest dead letters",
        "Where each came from, why it could not be read, how long it was; never its content. `fairroll dead-letters`"
        " counts them by reason.",
        "table",
        [Select(DEAD_LETTERS, [each("source"), each("reason"), each("size", "bytes")])],
        units={"bytes": "bytes"},
        width=16,
    ),
]

PIPELINE = Board(
    "fairroll-pipeline",
    "Pipeline",
    "Services, consumer lag, repairs, dead letters, the sink.",
    [],
    [
        Row("Services", _SERVICES),
        Row("Consumer lag and latency", _LAG),
        Row("Repairs, repetitions, drops", _TROUBLE),
        Row("Unreadable messages", _LETTERS),
    ],
    since="now-1h",
)
