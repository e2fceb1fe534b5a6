"""What a driver returns, checked where it comes in: inside, only values that the contract allows are passed on."""

from typing import TypeVar

import msgspec

__all__ = ["BadReading", "checked"]

_T = TypeVar("_T", bound=msgspec.Struct)


class BadReading(ValueError):
    """A driver's value that the contract does not allow."""


def checked(reading: _T) -> _T:
    """Return the reading if each of its fields has its type and keeps its limits; raises BadReading.

    A Struct checks nothing when it is made, only when it is decoded: without this the pipeline, or the journal at the
    next start, would be the first to notice.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(reading), type(reading))
    except (msgspec.ValidationError, TypeError) as error:
        raise BadReading(str(error)) from None
