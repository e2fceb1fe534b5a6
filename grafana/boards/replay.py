"""Replay: what was decided beside what would have been, for analysts who think about a policy."""

from collections.abc import Sequence

from grafana.panels import CM, Board, Panel, Row, Variable
from grafana.queries import POINTS, Column, Select, highest, total
from grafana.variables import SITE
from models.metrics.catalogue import ANSWERS, FACES, REQUESTS, SITES
from models.metrics.schema import Measurement

__all__ = ["REPLAY", "SHADOW"]

SHADOW = Variable(
    "shadow",
    "Shadow",
    None,
    default="shadow",
    about="The retention policy, or second half of the bucket's name, that a replay's points are in",
)
_SIDE_BY_SIDE = (
    "The shadow's points are in a place of their own, with the times of the live events, so that a replay of the same"
    " events under the same policies shows two equal lines."
)


def _pair(
    source: Measurement,
    columns: Sequence[Column],
    where: dict[str, str] | None = None,
    *,
    by: Sequence[str] = (),
    every: bool = True,
) -> list[Select]:
    """The same question to what happened and to its shadow."""
    named = " ".join(["$col" if len(columns) > 1 else "", *(f"$tag_{tag}" for tag in by)]).strip()
    return [
        Select(
            source,
            columns,
            where=where or {},
            by=by,
            every=every,
            fill="none" if every else "",
            policy=policy,
            alias=f"{who} {named}".strip(),
        )
        for who, policy in (("live", POINTS), ("shadow", f"${SHADOW.name}"))
    ]


_TOTALS = [
    Panel(
        "Portions",
        f"Granted requests, live and in the shadow. {_SIDE_BY_SIDE}",
        "stat",
        _pair(ANSWERS, [total("n", "portions")], {"outcome": "dispense"}, every=False),
        width=6,
        height=5,
    ),
    Panel(
        "Refusals",
        f"Refused requests, live and in the shadow. {_SIDE_BY_SIDE}",
        "stat",
        _pair(ANSWERS, [total("n", "refusals")], {"outcome": "refuse"}, every=False),
        width=6,
        height=5,
    ),
    Panel(
        "Paper granted",
        "What the portions hold. In the shadow nobody reacts: whoever would have been refused does not come back, and"
        " no motor runs.",
        "stat",
        _pair(ANSWERS, [total("cm", "granted")], {"outcome": "dispense"}, every=False),
        unit=CM,
        width=6,
        height=5,
    ),
    Panel(
        "Left out for privacy",
        "Requests in cells of fewer than k, in neither of the other numbers.",
        "stat",
        _pair(REQUESTS, [total("suppressed", "left out")], every=False),
        width=6,
        height=5,
    ),
]

_BESIDE = [
    Panel(
        "Portions over time",
        f"Granted requests. {_SIDE_BY_SIDE}",
        "lines",
        _pair(ANSWERS, [total("n", "portions")], {"outcome": "dispense"}),
        width=12,
        least_interval="1m",
    ),
    Panel(
        "Refusals and why",
        f"Refused requests by reason. {_SIDE_BY_SIDE}",
        "lines",
        _pair(ANSWERS, [total("n", "refusals")], {"outcome": "refuse"}, by=["reason"]),
        width=12,
        least_interval="1m",
    ),
    Panel(
        "Faces known again, new, in doubt",
        "A replay reads a template only while its key lives; later a face is unreadable there and decided like a"
        " button.",
        "lines",
        _pair(FACES, [total("n", "faces")], by=["identity"]),
        width=12,
        least_interval="1m",
    ),
    Panel(
        "Templates alive",
        "What each of the two remembers.",
        "lines",
        _pair(SITES, [highest("templates")]),
        width=12,
    ),
]

REPLAY = Board(
    "fairroll-replay",
    "Replay",
    "Live decisions beside those of a replay of the same events: a check that both are one, or a what-if.",
    [SITE, SHADOW],
    [Row("Sums", _TOTALS), Row("Side by side", _BESIDE)],
)
