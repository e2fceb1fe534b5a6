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
    """Ours, the operator's: a setting or a file is wrong. The text says which one and what to do."""

    exit_code = 2


def first_of(group: BaseExceptionGroup[FairrollError]) -> FairrollError:
    """The first error in a group of groups: what to tell when several tasks failed of one cause."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
