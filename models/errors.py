"""Errors that say whose fault they are."""

__all__ = ["ConfigError", "FairrollError", "MalformedMessage", "Undecidable", "first_of"]


class FairrollError(Exception):
    """The base of everything that fairroll raises on purpose: its text is for a person, in one line."""

    exit_code = 1


class MalformedMessage(FairrollError):
    """Theirs: a sender's bytes do not follow the contract. The text is the reason for the dead letter."""


class Undecidable(FairrollError):
    """Ours: the fold fails on an event that can be read. The text is the reason for the dead letter."""


class ConfigError(FairrollError):
    """The operator's fault: a setting or a file is wrong. The text names it and the remedy."""

    exit_code = 2


def first_of(group: BaseExceptionGroup[FairrollError]) -> FairrollError:
    """Return the first error of nested groups: the one to report when several tasks failed for one cause."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
