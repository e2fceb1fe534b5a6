"""Measurements of sites: how people were answered, what machines did, what a site remembers. Pure."""

from typing import Any, get_args

from models.contract.face_models import FACE_MODELS
from models.contract.messages import Answer, DeclinedBecause, Fault, RefusedBy, Report
from models.ledger.outcomes import By, Identity, Receipt
from models.metrics.schema import Field, Measurement, Tag, Unit

__all__ = [
    "ANSWERS",
    "CONTROLS",
    "DEVICES",
    "FACES",
    "RECEIPTS",
    "REPORTS",
    "REQUESTS",
    "SHADOW",
    "SITES",
    "UNKNOWN",
]


def _kinds(union: Any) -> frozenset[str]:
    """Return the kinds of the messages of a union."""
    return frozenset(str(message.__struct_config__.tag) for message in get_args(union))


_SITE = Tag(name="site", meaning="the site, as in the sites file")
_DEVICE = Tag(name="device", meaning="the dispenser, as in the sites file")
_BY = Tag(name="by", meaning="how the visitor asked", values=frozenset(get_args(By)))
_OUTCOME = Tag(name="outcome", meaning="the answer", values=_kinds(Answer))
_REFUSED = Tag(name="reason", meaning="why it was refused", values=frozenset(get_args(RefusedBy)))
_DECLINED = Tag(
    name="reason", meaning="why the dispenser did not obey a command", values=frozenset(get_args(DeclinedBecause))
)
_IDENTITY = Tag(name="identity", meaning="result of the search for a face", values=frozenset(get_args(Identity)))
_MODEL = Tag(name="model", meaning="the face model", values=frozenset(FACE_MODELS))
_WHAT = Tag(name="what", meaning="the report's kind", values=_kinds(Report) | {"unreadable"})
_FAULT = Tag(name="fault", meaning="what stopped the motor", values=frozenset(get_args(Fault)))
_RECEIPT = Tag(name="what", meaning="what was done to the site", values=_kinds(Receipt))

_ANSWERED = frozenset({"dispense", *get_args(RefusedBy)})
UNKNOWN = "unknown"
"""A trial answer that is not answerable."""


def _wait(name: str, meaning: str) -> Field:
    return Field(name=name, kind="integer", unit="ms", meaning=meaning, hourly="mean" if name == "p50_ms" else "max")


def _pair(name: str, meaning: str, unit: Unit = "") -> tuple[Field, Field]:
    """The live and the trial value of a number, over the same requests."""
    return (
        Field(name=f"live_{name}", kind="integer", unit=unit, meaning=meaning),
        Field(name=f"tried_{name}", kind="integer", unit=unit, meaning="the same by the trial"),
    )


REQUESTS = Measurement(
    name="requests",
    kept="period",
    meaning="Requests at a site in a period; a site without any has a point as well.",
    readers=("analyst", "operator"),
    tags=(_SITE,),
    fields=(
        Field(name="n", kind="integer", meaning="requests, each counted once", hourly="sum"),
        Field(name="suppressed", kind="integer", meaning="of these, in no cell of `answers`", hourly="sum"),
        Field(name="suppressed_faces", kind="integer", meaning="faces in no cell of `faces`", hourly="sum"),
        Field(name="repeats", kind="integer", meaning="times that a dispenser asked again", hourly="sum"),
        Field(
            name="reports", kind="integer", meaning="reports of its dispensers; 0 where all are silent", hourly="sum"
        ),
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
    meaning="Results of the search for faces; cells below k are left out.",
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
        Field(
            name="cm",
            kind="integer",
            unit="cm",
            meaning="dispensed, as far as no earlier report stated it",
            hourly="sum",
        ),
        Field(
            name="excess_cm",
            kind="integer",
            unit="cm",
            meaning="reported beyond the grant: the dispenser measures or reports wrongly",
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
            meaning="from Kafka's append of the tick to that of its decision: latency without a visitor",
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
        Field(
            name="missed",
            kind="float",
            meaning="share of those who return that is expected not to be recognised, at the threshold of this crowd",
            hourly="mean",
        ),
        Field(
            name="clock_corrections",
            kind="integer",
            meaning="how often the partition's clock was set back, since a broker's was ahead by more than a minute",
            hourly="max",
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
        Field(name="firmware", kind="string", meaning="as the dispenser reports it"),
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
    meaning="An operator held or resumed a site, or a new epoch began: an annotation.",
    readers=("operator", "privacy officer"),
    tags=(_SITE, _RECEIPT),
    fields=(
        Field(name="templates", kind="integer", meaning="erased by it"),
        Field(name="accounts", kind="integer", meaning="removed by it"),
        Field(name="epoch", kind="integer", meaning="from here on"),
    ),
)

SHADOW = Measurement(
    name="shadow",
    kept="period",
    meaning="In a shadow's policy: requests by pairs of their live and their trial answer.",
    readers=("analyst", "operator"),
    tags=(
        _SITE,
        Tag(name="live", meaning="`dispense`, or why it was refused", values=_ANSWERED),
        Tag(name="tried", meaning="the trial answer, if it is answerable", values=_ANSWERED | {UNKNOWN}),
    ),
    fields=(
        Field(name="n", kind="integer", meaning="requests; a pair of fewer than k is left out"),
        Field(name="unanswerable", kind="integer", meaning="of these, without a trial answer; in no field below"),
        *_pair("granted", "requests that were granted"),
        *_pair("refused", "requests that were refused"),
        *_pair("cm", "what was granted", unit="cm"),
        Field(
            name="suppressed", kind="integer", meaning="requests of pairs that were left out; in a point of the site"
        ),
    ),
)
