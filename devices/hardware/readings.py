"""Validate the values that drivers return, before they enter the state machine."""

from typing import TypeVar

import msgspec

__all__ = ["BadReading", "checked"]

_T = TypeVar("_T", bound=msgspec.Struct)


class BadReading(ValueError):
    """A value of a driver that the contract does not allow."""


def checked(reading: _T) -> _T:
    """Return the reading if each field has its type and is within its limits; raises BadReading.

    msgspec validates a Struct when it is decoded, not when it is constructed: without this check the pipeline, or the
    journal at the next start, would reject the value.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(reading), type(reading))
    except (msgspec.ValidationError, TypeError) as error:
        raise BadReading(str(error)) from None
