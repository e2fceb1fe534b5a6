"""What the key holder knows of each site: how it works, and its seal chain. Pure; time and randomness are arguments.

A site that works with faces has a chain, one that is held or works by buttons has none. A chain's key is that of the
oldest minute that a live template needs: what was sealed in minute m is noise from the end of minute m and one window.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from models.contract.messages import Control, Mode
from models.contract.topics import Name
from models.keys.seals import ENTROPY_BYTES, FARTHEST, SealKey

__all__ = [
    "MINUTE_MS",
    "Entropy",
    "KeysTold",
    "SiteChain",
    "SiteFacts",
    "SiteKey",
    "SitesTold",
    "facts_of",
    "minute_of",
    "oldest_needed",
    "stepped",
    "told",
]

MINUTE_MS = 60_000

Entropy = Callable[[int], bytes]
"""So many random bytes; `secrets.token_bytes`."""


class SiteChain(Struct, frozen=True, kw_only=True):
    """One site, as the holder knows it."""

    mode: Mode
    window_s: int
    appended: int
    """when Kafka appended the control that this is known from, milliseconds since 1970"""
    offset: int
    """of that control"""
    key: SealKey | None
    """None: the site has no chain"""
    since: int
    """since when it has this chain, or none; milliseconds since 1970"""
    destroyed: int = 0
    """how many chains of this site were destroyed"""


class SiteFacts(Struct, frozen=True, kw_only=True):
    """What everybody may know of a site's chain."""

    mode: Mode
    window_s: int
    chain: str | None
    """its id; None: it has no chain, and what was sealed for it before is noise"""
    oldest: int | None
    """the minute since which what was sealed can be read"""
    since: int
    """since when it has this chain, or none, at least; milliseconds since 1970"""
    destroyed: int
    """how many chains were destroyed since the holder's memory began: at the boot of its host, if not later"""


class SitesTold(Struct, frozen=True, kw_only=True):
    """The answer to everybody."""

    at: int
    """milliseconds since 1970, by the holder's clock"""
    sites: dict[Name, SiteFacts]


class SiteKey(Struct, frozen=True, kw_only=True):
    """What a process gets for a site: of its role's minute."""

    window_s: int
    key: SealKey | None


class KeysTold(Struct, frozen=True, kw_only=True):
    """The answer to ingress and decider: all sites, or the one that was asked for, if the holder knows it."""

    at: int
    """milliseconds since 1970, by the holder's clock"""
    sites: dict[Name, SiteKey]


def minute_of(at: int) -> int:
    """The minute of a time in milliseconds since 1970."""
    return at // MINUTE_MS


def oldest_needed(now: int, window_s: int) -> int:
    """The minute of the oldest template that is live now, `now` in milliseconds since 1970."""
    return minute_of(now - 1000 * window_s)


def told(known: SiteChain | None, control: Control, appended: int, offset: int, now: int) -> SiteChain:
    """The site after a record of `fairroll.controls`; the same object where it tells nothing new.

    Another mode than faces destroys the chain at once. Faces want one: `stepped` begins it.
    """
    if known and appended <= known.appended and offset <= known.offset:
        return known
    key = known.key if known and control.mode == "face" else None
    is_destroyed = known is not None and known.key is not key
    return SiteChain(
        mode=control.mode,
        window_s=control.window_s,
        appended=appended,
        offset=offset,
        key=key,
        since=known.since if known and not is_destroyed else now,
        destroyed=(known.destroyed if known else 0) + is_destroyed,
    )


def stepped(known: SiteChain, now: int, entropy: Entropy) -> SiteChain:
    """The site as it should be now; the same object where it is: no key that no live template needs, none missing."""
    if known.mode != "face":
        return known
    if known.key is None:
        return replace(known, key=_new(now, entropy), since=now)
    behind = oldest_needed(now, known.window_s) - known.key.minute
    if behind <= 0:
        return known
    if behind > FARTHEST:  # nothing that it sealed is live
        return replace(known, key=_new(now, entropy), since=now, destroyed=known.destroyed + 1)
    return replace(known, key=known.key.at(known.key.minute + behind))


def facts_of(known: SiteChain) -> SiteFacts:
    """The site without its key."""
    return SiteFacts(
        mode=known.mode,
        window_s=known.window_s,
        chain=known.key.chain if known.key else None,
        oldest=known.key.minute if known.key else None,
        since=known.since,
        destroyed=known.destroyed,
    )


def _new(now: int, entropy: Entropy) -> SealKey:
    return SealKey.first(minute_of(now), entropy(ENTROPY_BYTES))
