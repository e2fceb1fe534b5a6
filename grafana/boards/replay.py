"""Replay: live decisions next to those of a trial policy, for analysts."""

from collections.abc import Sequence

from grafana.panels import CM, Board, Panel, Row, Variable
from grafana.queries import POINTS, Column, Select, highest, total
from grafana.variables import SITE
from models.metrics.catalogue import FACES, SHADOW, SITES
from models.metrics.schema import Measurement

__all__ = ["REPLAY"]

_POLICY = Variable(
    "shadow",
    "Shadow",
    None,
    default="shadow",
    about="The retention policy, or second half of the bucket's name, that a replay's points are in",
)
_SAME = (
    "Both numbers are of the same requests: those that the shadow has decided as well, in the range at the top. Pairs"
    " of answers that fewer than k requests share are left out of both."
)


def _beside(name: str, *, every: bool = False) -> Select:
    """Select a number of the requests that were decided twice: live, and by the trial."""
    columns = [total(f"live_{name}", "live"), total(f"tried_{name}", "trial")]
    return Select(
        SHADOW,
        columns,
        every=every,
        fill="null" if every else "",
        policy=f"${_POLICY.name}",
        alias="$col",
    )


def _both(source: Measurement, column: Column, *, by: Sequence[str] = ()) -> list[Select]:
    """Select the same from the live points and from the shadow's, over time."""
    named = " ".join(f"$tag_{tag}" for tag in by)
    return [
        Select(source, [column], by=by, every=True, fill="null", policy=policy, alias=f"{who} {named}".strip())
        for who, policy in (("live", POINTS), ("trial", f"${_POLICY.name}"))
    ]


_TOTALS = [
    Panel("Portions", f"Granted requests. {_SAME}", "stat", [_beside("granted")], width=6, height=5),
    Panel("Refusals", f"Refused requests. {_SAME}", "stat", [_beside("refused")], width=6, height=5),
    Panel(
        "Paper granted",
        "Centimetres of the portions. Visitors do not react to a trial: one who would have been refused does not come"
        f" back, and no motor runs. {_SAME}",
        "stat",
        [_beside("cm")],
        unit=CM,
        width=6,
        height=5,
    ),
    Panel(
        "Requests",
        "compared: decided twice. not answerable: of these, without a trial answer, so not in the other numbers."
        " left out: in pairs of fewer than k.",
        "stat",
        [
            Select(
                SHADOW,
                [total("n", "compared"), total("unanswerable", "not answerable"), total("suppressed", "left out")],
                policy=f"${_POLICY.name}",
                alias="$col",
            )
        ],
        width=6,
        height=5,
    ),
]

_OVER_TIME = [
    Panel(
        "Portions over time",
        f"Granted requests. {_SAME}",
        "lines",
        [_beside("granted", every=True)],
        width=12,
        least_interval="1m",
    ),
    Panel(
        "Refusals over time",
        f"Refused requests. {_SAME}",
        "lines",
        [_beside("refused", every=True)],
        width=12,
        least_interval="1m",
    ),
    Panel(
        "Pairs of answers",
        "Live and trial answers, and the number of requests: `dispense`, or the reason of a refusal. Pairs of"
        " different words are the changes by the trial.",
        "table",
        [Select(SHADOW, [total("n", "requests")], by=["live", "tried"], policy=f"${_POLICY.name}")],
        width=8,
    ),
    Panel(
        "Faces known again, new, in doubt",
        "Of all requests of each, so that the lines differ in length. A replay reads a template only while its key"
        " lives; later a face is unreadable there and decided like a button.",
        "lines",
        _both(FACES, total("n", "faces"), by=["identity"]),
        width=8,
        least_interval="1m",
    ),
    Panel(
        "Templates alive",
        "Templates in memory of each of the two.",
        "lines",
        _both(SITES, highest("templates")),
        width=8,
        least_interval="10s",
    ),
]

REPLAY = Board(
    "fairroll-replay",
    "Replay",
    "Live decisions next to those of a replay of the same events: a check that both are equal, or a what-if.",
    [SITE, _POLICY],
    [Row("Of the same requests", _TOTALS), Row("Over time", _OVER_TIME)],
)
