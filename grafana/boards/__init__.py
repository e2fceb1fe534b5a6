"""One module for each dashboard."""

from grafana.boards.city import CITY
from grafana.boards.pipeline import PIPELINE
from grafana.boards.privacy import PRIVACY
from grafana.boards.replay import REPLAY
from grafana.boards.site import SITE_BOARD

__all__ = ["BOARDS"]

BOARDS = (CITY, SITE_BOARD, PIPELINE, PRIVACY, REPLAY)
