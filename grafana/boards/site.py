"""Site: one site and its dispensers, for attendants and analysts."""

from grafana.annotations import SITE_ANNOTATIONS
from grafana.panels import CM, Board, Panel, Row
from grafana.queries import SINCE_LAST_WORD, Over, Select, each, highest, last, mean, total
from grafana.variables import DEVICE, ONE_SITE
from models.metrics.catalogue import ANSWERS, DEVICES, FACES, REPORTS, REQUESTS, SITES

__all__ = ["SITE_BOARD"]

_CELLS = "Cells of fewer than k requests are left out."
_STATES = {"true": ("online", "green"), "false": ("offline", "red")}

_DISPENSERS = [
    Panel(
        "Dispensers",
        "The last report of each on itself, its roll and its battery in the last 30 days. Missing reports are numbers"
        " that have not come: they are still on the device, or lost with it.",
        "table",
        [
            Select(DEVICES, [last("online"), last("mode"), last("firmware")], by=["device"]),
            Select(
                REPORTS,
                [last("stock_cm", "stock"), last("battery_percent", "battery"), last("missing", "missing reports")],
                by=["device"],
            ),
        ],
        over="30d",
        words=_STATES,
        units={"stock": CM, "battery": "percent"},
        width=14,
    ),
    Panel(
        "Faults",
        "Motors that stopped: jam, empty roll, power cut while running.",
        "bars",
        [
            Select(
                REPORTS,
                [total("n", "faults")],
                where={"fault": ["jam", "empty", "power"]},
                by=["device", "fault"],
                every=True,
                fill="0",
                alias="$tag_device $tag_fault",
            )
        ],
        width=10,
        least_interval="1m",
    ),
    Panel(
        "Online",
        "The last state of each dispenser, published by itself or its last will. A bar lasts until the next state.",
        "states",
        [Select(DEVICES, [each("online")], by=["device"], alias="$tag_device", times=SINCE_LAST_WORD)],
        words=_STATES,
        width=12,
    ),
    Panel(
        "Mode",
        "face, button or held, as each dispenser published last at any moment.",
        "states",
        [Select(DEVICES, [each("mode")], by=["device"], alias="$tag_device", times=SINCE_LAST_WORD)],
        words={"face": ("face", "blue"), "button": ("button", "green"), "held": ("held", "purple")},
        width=12,
    ),
]

_WAITS = [
    Panel(
        "Latency heatmap",
        "From Kafka's append of a tick to that of its decision: every five seconds a site's tick goes the way of a"
        " request, so it shows the pipeline's latency at night as well and describes no visitor.",
        "heatmap",
        [Select(SITES, [each("decided_ms", "decided")], alias="decided")],
        unit="ms",
        width=12,
    ),
    Panel(
        "People's waits",
        "Half, 95, 99 and all of 100 requests of a period: from Kafka's append of a request to that of its decision."
        " A period with fewer than k requests shows none.",
        "lines",
        [
            Select(
                REQUESTS,
                [
                    highest("p50_ms", "p50"),
                    highest("p95_ms", "p95"),
                    highest("p99_ms", "p99"),
                    highest("max_ms", "longest"),
                ],
                every=True,
                fill="null",
                alias="$col",
            )
        ],
        unit="ms",
        width=12,
        least_interval="1m",
    ),
]

_ANSWERS = [
    Panel(
        "By face, button or staff",
        f"Shares of all requests by how people asked. The button gives an equal portion. {_CELLS}",
        "shares",
        [Select(ANSWERS, [total("n", "requests")], by=["by"], every=True, fill="0", alias="$tag_by")],
        least_interval="1m",
    ),
    Panel(
        "Answers",
        f"Portions, refusals and requests to be forgotten. {_CELLS}",
        "bars",
        [Select(ANSWERS, [total("n", "answers")], by=["outcome"], every=True, fill="0", alias="$tag_outcome")],
        least_interval="1m",
    ),
    Panel(
        "Refusals and why",
        f"quota: the visitor's limit; button_budget and dispenser_limit: the dispenser's. {_CELLS}",
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
        "Doubt rate",
        "Shares of the faces: known again, new, in doubt between the two thresholds (served as someone new), or with a"
        f" template that cannot be read (served as by button). {_CELLS}",
        "shares",
        [Select(FACES, [total("n", "faces")], by=["identity"], every=True, fill="0", alias="$tag_identity")],
        least_interval="1m",
    ),
    Panel(
        "Mean score",
        f"Equal bits, of 512, with the nearest live template. What is known again and what is new should"
        f" stay apart. {_CELLS}",
        "lines",
        [
            Over(
                Select(
                    FACES,
                    [total("score_sum", "bits"), total("scored", "faces")],
                    by=["identity"],
                    every=True,
                    fill="none",
                ),
                {"score": 'last("bits") / last("faces")'},
                where='"faces" > 0',
                by=["identity"],
                every=True,
                alias="$tag_identity",
            )
        ],
        unit="none",
        least_interval="1m",
        most=512,
    ),
    Panel(
        "Expected wrongful refusals",
        "How many of those who are remembered a newcomer is expected to match by chance, at most: the face model's"
        " false match rate, at the threshold for this crowd, times the live templates; wrongful_per_million of the"
        " policy bounds it. Missed is the share of those who return that the same threshold does not recognise."
        " Both are from docs/template-evaluation.md, not counts of people.",
        "lines",
        [
            Select(
                SITES,
                [highest("wrongful", "for each face that asks"), highest("missed", "missed returns")],
                every=True,
                fill="null",
                alias="$col",
            )
        ],
        unit="sci",
        least_interval="10s",
        steps=[(0.01, "yellow"), (0.1, "red")],
    ),
]

_PAPER = [
    Panel(
        "Paper by dispenser",
        "What motors gave, as reported; local rations included.",
        "bars",
        [Select(REPORTS, [total("cm", "came out")], by=["device"], every=True, fill="0", alias="$tag_device")],
        unit=CM,
        least_interval="1m",
    ),
    Panel(
        "Stock",
        "Left on each roll. A rise is a refill, which is marked in every panel over time.",
        "lines",
        [Select(REPORTS, [last("stock_cm", "stock")], by=["device"], every=True, fill="none", alias="$tag_device")],
        unit=CM,
    ),
    Panel(
        "Reports",
        "Reports of dispensers: dispensed, declined (a command that was not obeyed), local (a ration without an"
        " answer), stock, battery.",
        "bars",
        [Select(REPORTS, [total("n", "reports")], by=["what"], every=True, fill="0", alias="$tag_what")],
        least_interval="1m",
    ),
    Panel(
        "Battery",
        "What is left in each, as last reported in an interval.",
        "lines",
        [
            Select(
                REPORTS,
                [mean("battery_percent", "battery")],
                by=["device"],
                every=True,
                fill="none",
                alias="$tag_device",
            )
        ],
        unit="percent",
        most=100,
    ),
]

SITE_BOARD = Board(
    "fairroll-site",
    "Site",
    "One site: its dispensers, how people asked and were answered, its paper.",
    [ONE_SITE, DEVICE],
    [
        Row("Devices", _DISPENSERS),
        Row("Waits", _WAITS),
        Row("How people were answered", _ANSWERS),
        Row("Paper", _PAPER),
    ],
    SITE_ANNOTATIONS,
)
