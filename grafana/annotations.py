"""What happened to sites, as marks in every panel over time."""

from grafana.panels import Annotation
from grafana.queries import Over, Select, each, rise
from models.metrics.catalogue import CONTROLS, RECEIPTS, REPORTS

__all__ = ["HOLDS", "POLICIES", "REFILLS", "SITE_ANNOTATIONS"]

HOLDS = Annotation(
    "Holds, resumes, epochs",
    Select(RECEIPTS, [each("templates", "templates erased"), each("what"), each("site")]),
    text="what",
    tags=("site", "templates erased"),
    colour="purple",
)
POLICIES = Annotation(
    "Policies and modes",
    Select(CONTROLS, [each("policy"), each("mode"), each("site")]),
    text="policy",
    tags=("site", "mode"),
    colour="blue",
)
REFILLS = Annotation(
    "Refills",
    Over(
        Select(REPORTS, [rise("stock_cm", "cm")], by=["site", "device"]),
        {"refilled cm": '"cm"', "site": '"site"', "device": '"device"'},
        where='"cm" > 0',
    ),
    text="refilled cm",
    tags=("site", "device"),
    colour="green",
)
SITE_ANNOTATIONS = (HOLDS, POLICIES, REFILLS)
