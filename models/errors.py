"""Errors that say whose fault they are."""

__all__ = ["ConfigError", "FairrollError", "MalformedMessage"]


class FairrollError(Exception):
    """The base of everything that fairroll raises on purpose."""


class MalformedMessage(FairrollError):
    """Theirs: a sender's bytes do not follow the contract. The text is the reason for the dead letter."""


class ConfigError(FairrollError):
    """Ours, the operator's: a setting or a file is wrong. The text says which one and what to do."""
