"""All measurements: the one table from which docs, sink, downsampling and dashboards take their names.

No tag and no field can carry a visitor. Answers are published as sums of closed periods, in cells
of `metrics_k` requests or more; only events of machines have points of their own: a motor run, a roll, a tick.
"""

from models.metrics.pipeline_measurements import AUDITS, DEAD_LETTERS, LAG, SERVICES, ServiceState
from models.metrics.site_measurements import (
    ANSWERS,
    CONTROLS,
    DEVICES,
    FACES,
    RECEIPTS,
    REPORTS,
    REQUESTS,
    SHADOW,
    SITES,
    UNKNOWN,
)

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
    "ServiceState",
]

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
