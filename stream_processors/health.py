"""How a service is: what `/healthz` and `/readyz` tell, and `fairroll status` shows."""

from msgspec import Struct

__all__ = ["Fault", "Vitals"]


class Fault(Struct, frozen=True, kw_only=True):
    """What went wrong last, in words without a person."""

    ago_s: float
    text: str


class Vitals(Struct, frozen=True, kw_only=True):
    """The body of both answers, as JSON."""

    part: str
    """ingress, decider, egress or sink"""
    instance: str
    alive: bool
    """False: it does not move any more and should be restarted; `/healthz` answers 503"""
    ready: bool
    """False: it does no work now, for want of a broker or of its state; `/readyz` answers 503"""
    up_s: float
    counts: dict[str, int]
    """since the start, by name: messages, dead_letters, ..."""
    last_fault: Fault | None = None
