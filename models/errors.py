"""Errors by whose fault they are: the sender's, ours, or the operator's."""

__all__ = ["ConfigError", "FairrollError", "MalformedMessage", "Undecidable", "first_of"]


class FairrollError(Exception):
    """Base class of the errors of fairroll; the text is one line for a person."""

    exit_code = 1


class MalformedMessage(FairrollError):
    """The sender's fault: its bytes violate the contract. The text is the reason in the dead letter."""


class Undecidable(FairrollError):
    """Our fault: the fold fails on a valid event. The text is the reason in the dead letter."""


class ConfigError(FairrollError):
    """The operator's fault: a setting or a file is wrong. The text names it and the remedy."""

    exit_code = 2


def first_of(group: BaseExceptionGroup[FairrollError]) -> FairrollError:
    """Return the first error of nested groups: the one to report when several tasks failed for one cause."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
