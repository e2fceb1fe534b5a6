"""Rate limits of what dispensers send, so that one that floods delays no other. Pure; `now` is monotonic seconds.

Each source has a token bucket: a message takes a token, the bucket refills at a rate, and a full one is a burst.

| source | rate in messages/s | burst |
|---|---|---|
| a channel of a known dispenser | a setting | 10 s of the rate |
| dead letters of a known dispenser | 1 | 50 |
| all unknown senders together | 5 | 2,000 |
"""

from collections.abc import Mapping
from typing import Final

from models.contract.topics import Channel, DeviceTopic

__all__ = ["RateLimits", "TokenBucket"]

_BURST_S: Final = 10.0
_LETTERS: Final = (1.0, 50.0)
_UNKNOWN: Final = (5.0, 2_000.0)
"""One bucket for all, since there is no bound on their names. Its burst covers a site that is not configured yet."""


class TokenBucket:
    """At most `burst` tokens, refilled at `rate` a second; full at first."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, now

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._at))
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class RateLimits:
    """The buckets of one ingress. Known dispensers bound their number."""

    def __init__(self, rates: Mapping[Channel, float]) -> None:
        """`rates`: messages per second of one dispenser."""
        self._rates = rates
        self._buckets: dict[DeviceTopic | tuple[str, str] | None, TokenBucket] = {}

    def admit(self, source: DeviceTopic | None, now: float) -> bool:
        """Whether a message may pass; None is an unknown sender."""
        if source is None:
            return self._bucket(None, *_UNKNOWN, now).take(now)
        rate = self._rates[source.channel]
        return self._bucket(source, rate, max(1.0, rate * _BURST_S), now).take(now)

    def admit_letter(self, source: DeviceTopic | None, now: float) -> bool:
        """Whether a dead letter of an admitted message may pass; those of unknown senders were counted by `admit`."""
        return source is None or self._bucket((source.site, source.device), *_LETTERS, now).take(now)

    def _bucket(self, key: DeviceTopic | tuple[str, str] | None, rate: float, burst: float, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(rate, burst, now)
        return bucket
