"""Parses and prints local times without ambiguity, with their offset from UTC."""

from datetime import datetime

__all__ = ["AmbiguousTime", "iso_hour", "iso_local", "parse_moment"]


class AmbiguousTime(ValueError):
    """A local time that the clocks show twice or never; the text names what to write instead."""


def iso_local(at_s: float) -> str:
    """Return ISO 8601 in local time with its offset: `2026-05-01T09:30:00+02:00`; `at_s`: seconds since 1970."""
    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")


def iso_hour(at_s: float) -> str:
    """Return the same without seconds: `2026-05-01T09:30+02:00`."""
    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="minutes")


def parse_moment(text: str) -> float:
    """Return the seconds since 1970 of an ISO 8601 time; without an offset it is local.

    Raises ValueError for an invalid time, AmbiguousTime if the clocks are put forward or back at that time.
    """
    given = datetime.fromisoformat(text)
    if given.tzinfo is not None:
        return given.timestamp()
    try:
        earlier, later = sorted(given.replace(fold=fold).astimezone() for fold in (0, 1))
    except OverflowError:
        raise ValueError(f"{text} is out of range") from None
    if earlier == later:
        return earlier.timestamp()
    if earlier.replace(tzinfo=None) == given.replace(fold=0):
        raise AmbiguousTime(f"{text} is shown twice by the clocks here: write {_iso(earlier)} or {_iso(later)}")
    raise AmbiguousTime(
        f"{text} does not exist here, the clocks are put forward: write {_iso(earlier)} or {_iso(later)}"
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")
