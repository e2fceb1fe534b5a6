"""The interface of the readers of places."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from infra.audit.judgement import Tally
from models.errors import FairrollError

__all__ = ["PlaceReader", "Unread"]


class Unread(FairrollError):
    """A place that cannot be read to the end; the text is the reason, in one line."""


class PlaceReader(NamedTuple):
    """A place and how to read it."""

    name: str
    group: str
    """its name for `--skip`"""
    read: Callable[[Tally], Awaitable[None]]
    """reads the place into a tally; raises Unread"""
