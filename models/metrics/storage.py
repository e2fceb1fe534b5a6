"""Where metrics are stored: one database, with a retention policy for each purpose. Pure.

InfluxDB 2 has buckets instead. It serves the bucket `fairroll` to InfluxQL as the policy `autogen` of the database
`fairroll`, and `fairroll/hours` as its policy `hours`, so that versions 1 and 2 are read alike.
"""

from typing import NamedTuple

from models.settings import Settings

__all__ = ["HOURS", "POINTS", "SHADOW", "Storage", "bucket_name"]

POINTS = "autogen"
"""Points as they came."""
HOURS = "hours"
"""Their hourly sums."""
SHADOW = "shadow"
"""The answers of a trial policy; a named shadow has a retention policy of its own, `shadow-NAME`."""


class Storage(NamedTuple):
    """The database, and for how many days it keeps points and their hourly sums."""

    database: str
    days: int
    hours_days: int

    @classmethod
    def of(cls, settings: Settings) -> "Storage":
        """Read it from the settings."""
        return cls(settings.influx_bucket, settings.metrics_days, settings.metrics_hours_days)


def bucket_name(database: str, policy: str) -> str:
    """Return the InfluxDB 2 bucket that is this policy in InfluxQL; version 1 accepts it in its write API."""
    return database if policy == POINTS else f"{database}/{policy}"
