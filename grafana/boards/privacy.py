"""Privacy: the templates and accounts in memory, and evidence of their deletion, for privacy officers."""

from grafana.annotations import HOLDS, POLICIES
from grafana.panels import Board, Panel, Row
from grafana.queries import Over, Select, each, highest, last, total
from grafana.variables import SITE
from models.metrics.catalogue import ANSWERS, AUDITS, RECEIPTS, SITES

__all__ = ["PRIVACY", "beyond_window"]

_AUDITS = "By `fairroll audit --publish`, which inspects the live system."


def beyond_window(times: str) -> Over:
    """Return the age of the oldest template less its site's window; it must be below 0."""
    oldest = Select(SITES, [each("oldest_s", "oldest"), each("window_s", "window")], by=["site"], times=times)
    return Over(oldest, {"beyond": '"oldest" - "window"'}, by=["site"], alias="$tag_site")


_NOW = [
    Panel(
        "Templates alive",
        "Live templates of each site now. Each lives one window at most after its capture.",
        "stat",
        [Select(SITES, [last("templates")], by=["site"], alias="$tag_site")],
        width=8,
        height=6,
    ),
    Panel(
        "Oldest template against its window",
        "Age of the oldest live template less the site's window. It must be below 0.",
        "gauge",
        [beyond_window("$timeFilter")],
        unit="s",
        width=8,
        height=6,
        steps=[(0, "red")],
    ),
    Panel(
        "Recognition is held",
        "Sites where an operator has switched recognition off: keys and templates are destroyed, buttons work. No bar:"
        " no tick of the decider came.",
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
        "Live templates over time. A hold, a new epoch and the end of a window reduce them.",
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
        "Age of the key of a site's templates. Templates of an earlier epoch match nothing.",
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
        "Holds, resumes and new epochs, with the numbers of erased templates and removed rows.",
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
        f"Findings and unread places of audits. {_AUDITS}",
        "bars",
        [Select(AUDITS, [highest("findings"), highest("unread")], every=True, fill="none", alias="$col")],
        width=24,
        height=6,
    ),
]


PRIVACY = Board(
    "fairroll-privacy",
    "Privacy",
    "Templates and accounts in memory, and evidence of their deletion.",
    [SITE],
    [Row("Now", _NOW), Row("Lives of templates", _LIVES), Row("Proof", _PROOF)],
    [HOLDS, POLICIES],
)
