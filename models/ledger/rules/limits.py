"""Whether a portion fits: the wait that each limit requires."""

from typing import NamedTuple

from models.contract.messages import RefusedBy
from models.ledger.decision import Moment
from models.ledger.rows import Entry
from models.ledger.rules.bounds import MOST_GRANTS
from models.ledger.rules.quota import Charge, WindowSum, wait_ms
from models.ledger.state.site import Site

__all__ = ["Limit", "button_budget", "dispenser_limit", "quota"]


class Limit(NamedTuple):
    """How long until a limit has room for a portion; 0: it has room now."""

    reason: RefusedBy
    wait_ms: int


def quota(site: Site, moment: Moment, grants: tuple[Entry, ...]) -> Limit:
    """The limit of a visitor: the sum of the grants, without the paper that reports gave back.

    The number of grants is bounded too, and never given back: otherwise a visitor at a dispenser that always jams would
    be granted without end.
    """
    policy = site.policy
    window = {"now": moment.at, "window_ms": policy.window_ms, "horizon": moment.horizon}
    charges = site.charges(grants, moment.horizon)
    wait = wait_ms(charges, **window, limit_cm=policy.limit_cm, portion_cm=policy.portion_cm)
    if len(grants) >= MOST_GRANTS:
        each = [Charge(grant.at, 1) for grant in grants]
        wait = max(wait, wait_ms(each, **window, limit_cm=MOST_GRANTS, portion_cm=1))
    return Limit("quota", wait)


def button_budget(site: Site, moment: Moment, device: str) -> Limit:
    """The limit of a dispenser's portions without an identity."""
    spent = site.requests.sums(device).buttons
    return Limit("button_budget", _wait_ms(site, moment, spent, site.policy.button_budget_cm))


def dispenser_limit(site: Site, moment: Moment, device: str) -> Limit:
    """The limit of all portions of a dispenser, staff excluded."""
    spent = site.requests.sums(device).given
    return Limit("dispenser_limit", _wait_ms(site, moment, spent, site.policy.dispenser_limit_cm))


def _wait_ms(site: Site, moment: Moment, spent: WindowSum, limit_cm: int) -> int:
    return spent.wait_ms(
        now=moment.at,
        window_ms=site.policy.window_ms,
        horizon=moment.horizon,
        limit=limit_cm,
        portion=site.policy.portion_cm,
    )
