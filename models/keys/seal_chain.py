"""The key holder's state of each site: its mode and its seal chain. Pure; time and randomness are arguments.

A site in face mode has a chain; one that is held, in button mode or removed has none. The chain keeps the key of the
oldest minute that a live template needs: what was sealed in minute m cannot be read one window after the end of it.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from models.contract.messages import Control, Mode, Revision
from models.contract.topics import Name
from models.keys.seals import ENTROPY_BYTES, MOST_STEPS, SealKey

__all__ = [
    "MINUTE_MS",
    "ChainMode",
    "Entropy",
    "KeysReply",
    "SiteChain",
    "SiteFacts",
    "SiteSealKey",
    "SitesReply",
    "facts_of",
    "minute_of",
    "oldest_needed",
    "step_chain",
    "with_control",
    "without_control",
]

MINUTE_MS = 60_000

Entropy = Callable[[int], bytes]
"""Returns the given number of random bytes, as `secrets.token_bytes` does."""


ChainMode = Mode | Literal["removed"]


class SiteChain(Struct, frozen=True, kw_only=True):
    """State of one site in the key holder."""

    mode: ChainMode
    window_s: int
    revision: Revision
    """of the control, or the removal, that this state comes from"""
    key: SealKey | None
    """None: the site has no chain"""
    since: int
    """when the present chain began, or the last one was destroyed; milliseconds since 1970"""
    destroyed: int = 0
    """chains of this site that were destroyed"""


class SiteFacts(Struct, frozen=True, kw_only=True):
    """The public facts of a site's chain."""

    mode: ChainMode
    window_s: int
    chain: str | None
    """its id; None: no chain, so nothing that was sealed before can be read"""
    oldest: int | None
    """oldest minute whose seals can be read"""
    since: int
    """when the present chain began, or the last one was destroyed; milliseconds since 1970"""
    destroyed: int
    """chains destroyed since the holder's memory began: the boot of its host, or later"""


class SitesReply(Struct, frozen=True, kw_only=True):
    """The reply with facts, for every role."""

    at: int
    """milliseconds since 1970, by the holder's clock"""
    sites: dict[Name, SiteFacts]


class SiteSealKey(Struct, frozen=True, kw_only=True):
    """A site's key as a role gets it."""

    window_s: int
    key: SealKey | None


class KeysReply(Struct, frozen=True, kw_only=True):
    """The reply with keys, for ingress and decider: all sites, or the requested one if it is known."""

    at: int
    """milliseconds since 1970, by the holder's clock"""
    sites: dict[Name, SiteSealKey]


def minute_of(at: int) -> int:
    """Return the minute of a time in milliseconds since 1970."""
    return at // MINUTE_MS


def oldest_needed(now: int, window_s: int) -> int:
    """Return the minute of the oldest live template; `now` in milliseconds since 1970."""
    return minute_of(now - 1000 * window_s)


def with_control(known: SiteChain | None, control: Control, now: int) -> SiteChain:
    """Apply a control; return the same object if it is not newer.

    Any mode but `face` destroys the chain immediately. In face mode `step_chain` begins one.
    """
    if known and control.revision <= known.revision:
        return known
    return _changed(known, control.mode, control.window_s, control.revision, now)


def without_control(known: SiteChain, revision: Revision, now: int) -> SiteChain:
    """Apply the removal of a site, which destroys its chain; return the same object if the site has come back since."""
    if revision < known.revision:
        return known
    return _changed(known, "removed", known.window_s, revision, now)


def _changed(known: SiteChain | None, mode: ChainMode, window_s: int, revision: Revision, now: int) -> SiteChain:
    key = known.key if known and mode == "face" else None
    is_destroyed = known is not None and known.key is not key
    return SiteChain(
        mode=mode,
        window_s=window_s,
        revision=revision,
        key=key,
        since=known.since if known and not is_destroyed else now,
        destroyed=(known.destroyed if known else 0) + is_destroyed,
    )


def step_chain(known: SiteChain, now: int, entropy: Entropy) -> SiteChain:
    """Begin a missing chain and step past minutes that no live template needs; return the same object if unchanged."""
    if known.mode != "face":
        return known
    if known.key is None:
        return replace(known, key=_new(now, entropy), since=now)
    behind = oldest_needed(now, known.window_s) - known.key.minute
    if behind <= 0:
        return known
    if behind > MOST_STEPS:  # nothing that it sealed is live
        return replace(known, key=_new(now, entropy), since=now, destroyed=known.destroyed + 1)
    return replace(known, key=known.key.at(known.key.minute + behind))


def facts_of(known: SiteChain) -> SiteFacts:
    """Return the site without its key."""
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
