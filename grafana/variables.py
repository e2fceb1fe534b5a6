"""The template variables that several dashboards share."""

from grafana.panels import Variable
from grafana.queries import tag_values
from models.metrics.catalogue import REPORTS, SITES

__all__ = ["DEVICE", "ONE_SITE", "SITE"]

SITE = Variable("site", "Site", tag_values(SITES, "site"))
ONE_SITE = Variable("site", "Site", tag_values(SITES, "site"), multiple=False)
DEVICE = Variable("device", "Dispenser", tag_values(REPORTS, "device", scope=("site",)))
