"""What happened to sites, as marks in every panel over time."""

from grafana.panels import Annotation
from grafana.queries import Over, Select, each, rise
from models.measurements import CONTROLS, RECEIPTS, REPORTS

__all__ = ["HOLDS", "POLICIES", "REFILLS", "SITE_ANNOTATIONS"]

HOLDS = Annotation(
    "Holds, resumes, epochs",
    Select(RECEIPTS, [each("templates", "templates erased")], by=["site", "what"]),
    text="templates erased",
    colour="purple",
)
POLICIES = Annotation(
    "Policies and modes",
    Select(CONTROLS, [each("policy"), each("mode")], by=["site"]),
    text="policy",
    colour="blue",
)
REFILLS = Annotation(
    "Refills",
    Over(
        Select(REPORTS, [rise("stock_cm", "cm")], by=["site", "device"]),
        {"refilled cm": '"cm"'},
        where='"cm" > 0',
        by=["site", "device"],
    ),
    text="refilled cm",
    colour="green",
)
SITE_ANNOTATIONS = (HOLDS, POLICIES, REFILLS)
