"""Every measurement that there is: the one table from which docs, sink, downsampling and dashboards take their names.

No tag and no field can carry a visitor. What says how people were answered is told as sums of closed periods, in cells
of `metrics_k` requests or more; what is told event by event is a machine's: a motor that ran, a roll, a tick.
"""

from typing import Any, get_args

from models.contract.face_models import FACE_MODELS
from models.contract.messages import Answer, DeclinedBecause, Fault, RefusedBy, Report
from models.ledger.outcomes import By, Identity, Receipt
from models.metrics.schema import Field, Measurement, Tag

__all__ = [
    "ANSWERS",
    "AUDITS",
    "CONTROLS",
    "DEAD_LETTERS",
    "DEVICES",
    "FACES",
    "LAG",
    "MEASUREMENTS",
    "RECEIPTS",
    "REPORTS",
    "REQUESTS",
    "SERVICES",
    "SHADOW",
    "SITES",
    "UNKNOWN",
]


def _kinds(union: Any) -> frozenset[str]:
    """What the messages of a union call themselves."""
    return frozenset(str(message.__struct_config__.tag) for message in get_args(union))


_SITE = Tag(name="site", meaning="the site, as in the sites file")
_DEVICE = Tag(name="device", meaning="the dispenser, as in the sites file")
_BY = Tag(name="by", meaning="how somebody asked", values=frozenset(get_args(By)))
_OUTCOME = Tag(name="outcome", meaning="the answer", values=_kinds(Answer))
_REFUSED = Tag(name="reason", meaning="why it was refused", values=frozenset(get_args(RefusedBy)))
_DECLINED = Tag(
    name="reason", meaning="why the dispenser did not obey a command", values=frozenset(get_args(DeclinedBecause))
)
_IDENTITY = Tag(name="identity", meaning="what the search said of a face", values=frozenset(get_args(Identity)))
_MODEL = Tag(name="model", meaning="the face model", values=frozenset(FACE_MODELS))
_WHAT = Tag(name="what", meaning="the report's kind", values=_kinds(Report) | {"unreadable"})
_FAULT = Tag(name="fault", meaning="what stopped the motor", values=frozenset(get_args(Fault)))
_RECEIPT = Tag(name="what", meaning="what was done to the site", values=_kinds(Receipt))
_ADDRESS = Tag(name="address", meaning="host:port, as in FAIRROLL_SERVICES")
_PART = Tag(name="part", meaning="which service, as it tells")
_INSTANCE = Tag(name="instance", meaning="its FAIRROLL_INSTANCE")
_GROUP = Tag(name="group", meaning="the consumer group", values=frozenset({"decider", "egress", "sink"}))
_TOPIC = Tag(
    name="topic",
    meaning="the Kafka topic that it reads",
    values=frozenset({"events", "decisions", "states", "controls", "receipts", "dead-letters"}),
)

_ANSWERED = frozenset({"dispense", *get_args(RefusedBy)})
UNKNOWN = "unknown"
"""An answer on trial that is not answerable."""

_N = Field(name="n", kind="integer", meaning="how many", hourly="sum")


def _count(name: str, meaning: str) -> Field:
    """A counter of a service: it grows from the start of the process, and begins at 0 again."""
    return Field(name=name, kind="integer", meaning=meaning, hourly="max")


def _wait(name: str, meaning: str) -> Field:
    return Field(name=name, kind="integer", unit="ms", meaning=meaning, hourly="mean" if name == "p50_ms" else "max")


REQUESTS = Measurement(
    name="requests",
    kept="period",
    meaning="Everybody who asked at a site in a period.",
    readers=("analyst", "operator"),
    tags=(_SITE,),
    fields=(
        Field(name="n", kind="integer", meaning="requests, each counted once", hourly="sum"),
        Field(name="suppressed", kind="integer", meaning="of these, in no cell of `answers`", hourly="sum"),
        Field(name="suppressed_faces", kind="integer", meaning="faces in no cell of `faces`", hourly="sum"),
        Field(name="repeats", kind="integer", meaning="times that a dispenser asked again", hourly="sum"),
        _wait("p50_ms", "wait from Kafka's append of the event to that of its decision; only with k requests or more"),
        _wait("p95_ms", "the same"),
        _wait("p99_ms", "the same"),
        _wait("max_ms", "the longest"),
    ),
)

ANSWERS = Measurement(
    name="answers",
    kept="period",
    meaning="How those were answered; a cell of fewer than k is left out.",
    readers=("analyst", "privacy officer"),
    tags=(_SITE, _BY, _OUTCOME, _REFUSED),
    fields=(
        Field(name="n", kind="integer", meaning="requests", hourly="sum"),
        Field(name="cm", kind="integer", unit="cm", meaning="what was granted", hourly="sum"),
        Field(name="erased", kind="integer", meaning="templates erased on request", hourly="sum"),
    ),
)

FACES = Measurement(
    name="faces",
    kept="period",
    meaning="What the search said of faces; a cell of fewer than k is left out.",
    readers=("analyst", "privacy officer"),
    tags=(_SITE, _MODEL, _IDENTITY),
    fields=(
        Field(name="n", kind="integer", meaning="faces", hourly="sum"),
        Field(name="scored", kind="integer", meaning="of these, with a live template to compare", hourly="sum"),
        Field(
            name="score_sum",
            kind="integer",
            unit="bits",
            meaning="sum of their scores, 0 to 512 each: divide by `scored`",
            hourly="sum",
        ),
    ),
)

REPORTS = Measurement(
    name="reports",
    kept="event",
    meaning="What a motor, a roll or a battery did, as its dispenser reports.",
    readers=("analyst", "attendant", "operator"),
    tags=(_SITE, _DEVICE, _WHAT, _DECLINED, _FAULT),
    fields=(
        Field(name="n", kind="integer", meaning="1", hourly="sum"),
        Field(name="number", kind="integer", meaning="the report's: a repeated report has the same"),
        Field(name="cm", kind="integer", unit="cm", meaning="what came out, and no report had told yet", hourly="sum"),
        Field(
            name="excess_cm",
            kind="integer",
            unit="cm",
            meaning="what the report says beyond what was granted: the dispenser measures or reports wrongly",
            hourly="sum",
        ),
        Field(name="missing", kind="integer", meaning="the dispenser's reports that have not come", hourly="max"),
        Field(
            name="stock_cm", kind="integer", unit="cm", meaning="left on the roll; it rises at a refill", hourly="mean"
        ),
        Field(name="battery_percent", kind="integer", unit="percent", meaning="left in the battery", hourly="mean"),
    ),
)

SITES = Measurement(
    name="sites",
    kept="event",
    meaning="What a site remembers, at each tick of the decider (5 s).",
    readers=("privacy officer", "analyst", "operator"),
    tags=(_SITE,),
    fields=(
        Field(name="templates", kind="integer", meaning="live templates", hourly="max"),
        Field(name="accounts", kind="integer", meaning="rows", hourly="max"),
        Field(name="oldest_s", kind="float", unit="s", meaning="age of the oldest template, else 0", hourly="max"),
        Field(
            name="decided_ms",
            kind="integer",
            unit="ms",
            meaning="from Kafka's append of the tick to that of its decision: the pipeline's wait where nobody asks",
            hourly="max",
        ),
        Field(name="window_s", kind="integer", unit="s", meaning="the longest that a template may live", hourly="max"),
        Field(name="mode", kind="string", meaning="face, button or held"),
        Field(name="held", kind="boolean", meaning="whether an operator has switched its faces off"),
        Field(name="epoch", kind="integer", meaning="of the site's template key", hourly="max"),
        Field(name="epoch_age_s", kind="float", unit="s", meaning="since the epoch began", hourly="max"),
        Field(
            name="wrongful",
            kind="float",
            meaning="how many of those who are remembered a newcomer is expected to match: wrongful refusals of a face",
            hourly="mean",
        ),
    ),
)

DEVICES = Measurement(
    name="devices",
    kept="event",
    meaning="A dispenser came, went, or works in another mode.",
    readers=("attendant", "operator"),
    tags=(_SITE, _DEVICE),
    fields=(
        Field(name="online", kind="boolean", meaning="false by its own word or by the broker's last will"),
        Field(name="mode", kind="string", meaning="face, button or held"),
        Field(name="firmware", kind="string", meaning="as it tells"),
    ),
)

CONTROLS = Measurement(
    name="controls",
    kept="event",
    meaning="A site works in another way from here on: an annotation.",
    readers=("analyst", "operator", "privacy officer"),
    tags=(_SITE,),
    fields=(
        Field(name="mode", kind="string", meaning="face, button or held"),
        Field(name="policy", kind="string", meaning="the policy's version"),
        Field(name="epoch", kind="integer", meaning="of the site's template key"),
    ),
)

RECEIPTS = Measurement(
    name="receipts",
    kept="event",
    meaning="An operator held or resumed a site, or its key began anew: an annotation.",
    readers=("operator", "privacy officer"),
    tags=(_SITE, _RECEIPT),
    fields=(
        Field(name="templates", kind="integer", meaning="erased by it"),
        Field(name="accounts", kind="integer", meaning="removed by it"),
        Field(name="epoch", kind="integer", meaning="from here on"),
    ),
)

DEAD_LETTERS = Measurement(
    name="dead_letters",
    kept="event",
    meaning="A message that nobody could read.",
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
    kept="look",
    meaning="A process of the pipeline, asked every 10 s; counts are since its start.",
    readers=("operator",),
    tags=(_ADDRESS, _PART, _INSTANCE),
    fields=(
        Field(name="answers", kind="boolean", meaning="false where nothing answers; then there is no other field"),
        Field(name="alive", kind="boolean", meaning="as its /healthz says"),
        Field(name="ready", kind="boolean", meaning="as its /readyz says"),
        Field(name="up_s", kind="float", unit="s", meaning="since its start"),
        _count("sent", "ingress: messages given to Kafka"),
        _count("kept", "ingress: kept by Kafka and acknowledged to the broker"),
        _count("dead_letters", "ingress: of these dead letters"),
        _count("decided", "decider: events decided"),
        _count("redelivered", "events that came to it again: decider from Kafka, sink from the decider"),
        _count("repaired", "decider: events that Faust had left out, read from Kafka"),
        _count("lost", "records that Kafka deleted before they were read, of decider, egress, sink"),
        _count("rebalances", "times that its partitions changed hands"),
        _count("commands", "egress: commands acknowledged by the broker"),
        _count("controls", "egress: controls published"),
        _count("unreadable", "records that it passed over"),
        _count("unsealed", "ingress: templates that came when no key was there to seal them"),
        _count("keys_away", "times that the key holder did not answer"),
        _count("unreadable_templates", "decider: templates whose key is gone"),
        _count("destroyed", "key holder: chains destroyed"),
        _count("told", "key holder: keys told"),
        _count("refused", "key holder: keys refused"),
        _count("points", "sink: points that InfluxDB has"),
        _count("rejected", "sink: points that InfluxDB will never take"),
        _count("looks_dropped", "sink: points of `services` and `lag` that InfluxDB did not take at once"),
    ),
)

LAG = Measurement(
    name="lag",
    kept="look",
    meaning="What a consumer group has still to do, every 10 s. The sink's is its queue, an open period included.",
    readers=("operator",),
    tags=(_GROUP, _TOPIC),
    fields=(
        Field(name="records", kind="integer", meaning="appended and not committed", hourly="max"),
        Field(name="seconds", kind="float", unit="s", meaning="age of the oldest of these, else 0", hourly="max"),
    ),
)

SHADOW = Measurement(
    name="shadow",
    kept="period",
    meaning="In a shadow's place: answers as they were beside those on trial; a pair of fewer than k is left out.",
    readers=("analyst", "operator"),
    tags=(
        _SITE,
        Tag(name="live", meaning="`dispense`, or why it was refused", values=_ANSWERED),
        Tag(name="tried", meaning="the same on trial, if it is answerable", values=_ANSWERED | {UNKNOWN}),
    ),
    fields=(Field(name="n", kind="integer", meaning="requests"),),
)

AUDITS = Measurement(
    name="audits",
    kept="look",
    meaning="An audit of the whole (`fairroll audit --publish`): what can be read and should not.",
    readers=("privacy officer",),
    tags=(),
    fields=(
        Field(name="findings", kind="integer", meaning="what was found; any is a violation", hourly="max"),
        Field(name="unread", kind="integer", meaning="places that were not read to their end", hourly="max"),
        Field(name="places", kind="integer", meaning="that were to be looked at", hourly="max"),
        Field(
            name="oldest_s",
            kind="float",
            unit="s",
            meaning="age of the oldest sealed template that can be read",
            hourly="max",
        ),
    ),
)

MEASUREMENTS = (
    REQUESTS,
    ANSWERS,
    FACES,
    REPORTS,
    SITES,
    DEVICES,
    CONTROLS,
    RECEIPTS,
    DEAD_LETTERS,
    SERVICES,
    LAG,
    SHADOW,
    AUDITS,
)
