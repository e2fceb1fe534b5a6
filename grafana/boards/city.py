"""City: every site at a glance, for those who pay for the paper and are accountable for it."""

from grafana.annotations import SITE_ANNOTATIONS
from grafana.panels import CM, Board, Panel, Row, Variable
from grafana.queries import Over, Select, highest, last, total
from grafana.variables import SITE
from models.metrics.catalogue import ANSWERS, DEVICES, REPORTS, REQUESTS

__all__ = ["CITY", "STOCK_HOURS", "hours_left"]

_ALL = "Of closed periods; cells of fewer than k requests are left out, and counted in Left out for privacy."
_PORTION = Variable(
    "portion",
    "Portion, cm",
    None,
    default="60",
    about="What a refused person would have got, for Paper saved: the policy's portion_cm",
)
STOCK_HOURS = 3
"""Range of consumption that the forecast uses."""


def hours_left(times: str) -> Over:
    """How long each roll lasts if what came out in the last hours goes on; rolls that gave nothing are left out."""
    stock = Select(REPORTS, [last("stock_cm", "stock"), total("cm", "used")], by=["site", "device"], times=times)
    forecast = {"hours left": f'"stock" / ("used" / {STOCK_HOURS})'}
    return Over(stock, forecast, where='"used" > 0', by=["site", "device"], alias="$tag_site $tag_device")


_NUMBERS = [
    Panel(
        "Portions",
        f"Requests that were granted, by face, button or staff. {_ALL}",
        "stat",
        [Select(ANSWERS, [total("n", "portions")], where={"outcome": "dispense"})],
        width=4,
        height=4,
    ),
    Panel(
        "Paper granted",
        f"What those portions hold together. What really came out is in Paper by site. {_ALL}",
        "stat",
        [Select(ANSWERS, [total("cm", "granted")], where={"outcome": "dispense"})],
        unit=CM,
        width=4,
        height=4,
    ),
    Panel(
        "Refusals",
        f"Requests that were refused with a time to come back. Button and staff remain available. {_ALL}",
        "stat",
        [Select(ANSWERS, [total("n", "refusals")], where={"outcome": "refuse"})],
        width=4,
        height=4,
    ),
    Panel(
        "Paper saved, at most",
        "Against a baseline without limits in which every refused visitor would have got one more portion of the"
        " length at the top. An upper bound: some would not have asked again without a limit to run into, and"
        f" a refused visitor may get paper later. {_ALL}",
        "stat",
        [
            Over(
                Select(ANSWERS, [total("n", "refusals")], where={"outcome": "refuse"}),
                {"saved": '"refusals" * $portion'},
            )
        ],
        unit=CM,
        width=4,
        height=4,
    ),
    Panel(
        "Longest p99 wait",
        "From Kafka's append of a request to that of its decision: the worst site and period. A site's period with"
        " fewer than k requests shows none.",
        "stat",
        [Select(REQUESTS, [highest("p99_ms", "p99")])],
        unit="ms",
        width=4,
        height=4,
        steps=[(500, "yellow"), (1000, "red")],
    ),
    Panel(
        "Left out for privacy",
        "Requests in cells of fewer than k, which no other panel counts by kind, outcome or reason.",
        "stat",
        [Select(REQUESTS, [total("suppressed", "left out")])],
        width=4,
        height=4,
    ),
]

_SITES = [
    Panel(
        "Sites at a glance",
        f"A row for each site; its name leads to the site's own dashboard. {_ALL}",
        "table",
        [
            Select(REQUESTS, [total("n", "requests"), highest("p99_ms", "p99")], by=["site"]),
            Select(
                ANSWERS, [total("n", "portions"), total("cm", "granted")], where={"outcome": "dispense"}, by=["site"]
            ),
            Select(ANSWERS, [total("n", "refusals")], where={"outcome": "refuse"}, by=["site"]),
            Select(REPORTS, [total("cm", "came out"), highest("missing", "missing reports")], by=["site"]),
        ],
        units={"p99": "ms", "granted": CM, "came out": CM},
        width=14,
    ),
    Panel(
        "Dispensers offline or back",
        "The last that each dispenser, or the broker in its place, reported in the last 30 days.",
        "table",
        [Select(DEVICES, [last("online"), last("mode")], by=["site", "device"])],
        over="30d",
        words={"true": ("online", "green"), "false": ("offline", "red")},
        width=10,
    ),
]

_OVER_TIME = [
    Panel(
        "Requests by site",
        "Each request counted once, however often a dispenser repeated it; none is left out here.",
        "bars",
        [Select(REQUESTS, [total("n", "requests")], by=["site"], every=True, fill="0", alias="$tag_site")],
        least_interval="1m",
    ),
    Panel(
        "Refusals and why",
        "quota: the visitor's limit; button_budget: what a dispenser gives without a face in a window;"
        f" dispenser_limit: all that it gives. {_ALL}",
        "bars",
        [
            Select(
                ANSWERS,
                [total("n", "refusals")],
                where={"outcome": "refuse"},
                by=["reason"],
                every=True,
                fill="0",
                alias="$tag_reason",
            )
        ],
        least_interval="1m",
    ),
    Panel(
        "Waits",
        "The worst site's half, 95 and 99 of 100 requests: from Kafka's append of a request to that of its decision."
        " The way over MQTT is not in it.",
        "lines",
        [
            Select(
                REQUESTS,
                [highest("p50_ms", "p50"), highest("p95_ms", "p95"), highest("p99_ms", "p99")],
                every=True,
                fill="null",
                alias="$col",
            )
        ],
        unit="ms",
        least_interval="1m",
    ),
]

_PAPER = [
    Panel(
        "Paper by site",
        "What motors gave, local rations included, as dispensers reported it. Each report counts once.",
        "bars",
        [Select(REPORTS, [total("cm", "came out")], by=["site"], every=True, fill="0", alias="$tag_site")],
        unit=CM,
        least_interval="1m",
    ),
    Panel(
        "Stock",
        "What each dispenser last reported of its roll, in the last 24 hours.",
        "gauge",
        [Select(REPORTS, [last("stock_cm", "stock")], by=["site", "device"], alias="$tag_site $tag_device")],
        unit=CM,
        over="24h",
    ),
    Panel(
        "Hours until a roll ends",
        f"Stock divided by what came out an hour in the last {STOCK_HOURS} hours, as if that went on: no day, no rush,"
        " no refill is foreseen. Rolls that gave nothing in that time are not shown.",
        "gauge",
        [hours_left("$timeFilter")],
        unit="h",
        over=f"{STOCK_HOURS}h",
    ),
]

CITY = Board(
    "fairroll-city",
    "City",
    "All sites: portions, refusals and why, waits, paper, stock.",
    [SITE, _PORTION],
    [
        Row("Numbers", _NUMBERS),
        Row("Sites", _SITES),
        Row("Over time", _OVER_TIME),
        Row("Paper", _PAPER),
    ],
    SITE_ANNOTATIONS,
)
