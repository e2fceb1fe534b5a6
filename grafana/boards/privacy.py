"""Privacy: what is remembered of people, and proof that it is forgotten, for privacy officers."""

from grafana.annotations import HOLDS, POLICIES
from grafana.panels import Board, Panel, Row
from grafana.queries import Over, Select, each, highest, last, total
from grafana.variables import SITE
from models.metrics.catalogue import ANSWERS, AUDITS, RECEIPTS, SITES

__all__ = ["PRIVACY", "beyond_window"]

_AUDITS = "By `fairroll audit --publish`, which inspects the live system."


def beyond_window(times: str) -> Over:
    """How much older than its site's window the oldest template is; at most 0."""
    oldest = Select(SITES, [each("oldest_s", "oldest"), each("window_s", "window")], by=["site"], times=times)
    return Over(oldest, {"beyond": '"oldest" - "window"'}, by=["site"], alias="$tag_site")


_NOW = [
    Panel(
        "Templates alive",
        "What is remembered of faces at each site now. Each lives one window at most after its capture.",
        "stat",
        [Select(SITES, [last("templates")], by=["site"], alias="$tag_site")],
        width=8,
        height=6,
    ),
    Panel(
        "Oldest template against its window",
        "Age of the oldest live template less the site's window: below 0, or a promise is broken.",
        "gauge",
        [beyond_window("$timeFilter")],
        unit="s",
        width=8,
        height=6,
        steps=[(0, "red")],
    ),
    Panel(
        "Recognition is held",
        "Where an operator has switched recognition off: keys and templates are destroyed, buttons work. No bar: no"
        " tick of the decider came.",
        "states",
        [Select(SITES, [last("held")], by=["site"], every=True, fill="null", alias="$tag_site")],
        words={"true": ("held", "purple"), "false": ("as configured", "green")},
        least_interval="10s",
        width=8,
        height=6,
    ),
]

_LIVES = [
    Panel(
        "Templates",
        "Live templates over time. A hold, a new epoch and the end of a window let it fall.",
        "lines",
        [Select(SITES, [highest("templates")], by=["site"], every=True, fill="null", alias="$tag_site")],
        least_interval="10s",
    ),
    Panel(
        "Oldest template",
        "Age of the oldest live template at each tick. It never passes the window.",
        "lines",
        [
            Select(SITES, [highest("oldest_s", "oldest")], by=["site"], every=True, fill="null", alias="$tag_site"),
            Select(
                SITES,
                [highest("window_s", "window")],
                by=["site"],
                every=True,
                fill="null",
                alias="window of $tag_site",
            ),
        ],
        unit="s",
        least_interval="10s",
    ),
    Panel(
        "Age of the epoch",
        "How long the key of a site's templates has lived. A new epoch makes all older templates useless.",
        "lines",
        [Select(SITES, [highest("epoch_age_s", "age")], by=["site"], every=True, fill="null", alias="$tag_site")],
        unit="s",
        least_interval="10s",
    ),
    Panel(
        "Rows",
        "Accounts of visitors and dispensers that the decider remembers.",
        "lines",
        [Select(SITES, [highest("accounts", "rows")], by=["site"], every=True, fill="null", alias="$tag_site")],
        least_interval="10s",
    ),
    Panel(
        "Epoch",
        "The number of each site's template key.",
        "lines",
        [Select(SITES, [highest("epoch")], by=["site"], every=True, fill="null", alias="$tag_site")],
        unit="none",
        least_interval="10s",
    ),
    Panel(
        "Forgotten on request",
        "Templates erased on request; cells of fewer than k such requests are left out.",
        "bars",
        [
            Select(
                ANSWERS,
                [total("n", "asked"), total("erased")],
                where={"outcome": "forgotten"},
                every=True,
                fill="0",
                alias="$col",
            )
        ],
        least_interval="1m",
    ),
]

_PROOF = [
    Panel(
        "Deletion receipts",
        "What holds, resumes and new epochs did: how many templates were erased and rows removed.",
        "table",
        [
            Select(
                RECEIPTS, [each("templates", "templates erased"), each("accounts", "rows removed")], by=["site", "what"]
            )
        ],
        over="30d",
        width=12,
    ),
    Panel(
        "Audit, last result",
        "Findings of the last audit, and how many places it could not read to the end;"
        f" both should be 0. {_AUDITS} Nothing here: no audit ran in 30 days.",
        "table",
        [Select(AUDITS, [last("findings"), last("unread"), last("places"), last("oldest_s", "oldest template")])],
        over="30d",
        units={"oldest template": "s"},
        width=12,
    ),
    Panel(
        "Audits over time",
        f"What audits found, and what they could not read. {_AUDITS}",
        "bars",
        [Select(AUDITS, [highest("findings"), highest("unread")], every=True, fill="none", alias="$col")],
        width=24,
        height=6,
    ),
]


PRIVACY = Board(
    "fairroll-privacy",
    "Privacy",
    "What is remembered of people, and how it is forgotten.",
    [SITE],
    [Row("Now", _NOW), Row("Lives of templates", _LIVES), Row("Proof", _PROOF)],
    [HOLDS, POLICIES],
)
