"""What the decider remembers, as rows: each event writes one, and every row tells the offset that wrote it."""

from msgspec import Struct

from models.messages import Answer, Dispense, Mode
from models.outcomes import By
from models.policy import Policy

__all__ = [
    "PARTITION_KEY",
    "Account",
    "DispenserAccount",
    "Entry",
    "PartitionRow",
    "Row",
    "SiteRow",
    "VisitorAccount",
    "dispenser_key",
    "site_key",
    "site_of",
    "visitor_key",
    "visitor_of",
]


class Entry(Struct, frozen=True, array_like=True):
    """One request, or one report without a known request, and what became of it."""

    device: str
    id: str
    """the request's id; `#{request}` for a report whose request was not known"""
    at: int
    by: By
    command: Answer | None
    """the answer, given again to a repetition; None for a report"""
    dispensed_cm: int | None = None
    """what the motor gave, None until a report tells"""

    @property
    def charged_cm(self) -> int:
        """What counts against a limit: what came out, before a report what was granted."""
        if self.dispensed_cm is not None:
            return self.dispensed_cm
        return self.command.cm if isinstance(self.command, Dispense) else 0


class _Row(Struct, frozen=True, kw_only=True, tag_field="kind"):
    offset: int
    """of the event that wrote the row; the highest in a partition is what was folded last"""
    at: int
    """the partition's time then, milliseconds since 1970"""


class VisitorAccount(_Row, tag="visitor", frozen=True, kw_only=True):
    """Someone whom the site remembers: the template of the last grant, and the grants of the window."""

    model: str
    epoch: int
    template: bytes | None
    """None once forgotten: from then on the entries count against their dispensers' budgets."""
    entries: tuple[Entry, ...]


class DispenserAccount(_Row, tag="dispenser", frozen=True, kw_only=True):
    """What a dispenser did without an identity, and its refusals. Capped: a busy dispenser has several rows."""

    entries: tuple[Entry, ...]


class SiteRow(_Row, tag="site", frozen=True, kw_only=True):
    """How a site works."""

    mode: Mode
    policy: Policy
    floor: int
    """Nothing up to this moment counts again, even if a later policy has a longer window."""


class PartitionRow(_Row, tag="partition", frozen=True, kw_only=True):
    """The partition's own row: for ticks, repetitions, measurements."""


Account = VisitorAccount | DispenserAccount
Row = VisitorAccount | DispenserAccount | SiteRow | PartitionRow

PARTITION_KEY = "partition"


def visitor_key(site: str, visitor: str) -> str:
    """Give the row of a visitor; nowhere but in these keys does the state carry the pseudonym."""
    return f"visitor/{site}/{visitor}"


def visitor_of(key: str) -> str:
    """Tell the pseudonym in a visitor's key."""
    return key.rsplit("/", 1)[1]


def dispenser_key(site: str, device: str, part: int) -> str:
    """Give one of a dispenser's rows."""
    return f"dispenser/{site}/{device}/{part}"


def site_key(site: str) -> str:
    """Give the row of a site's settings."""
    return f"site/{site}"


def site_of(key: str) -> str:
    """Tell the site of a row's key; empty for the partition's own."""
    return key.split("/")[1] if "/" in key else ""
