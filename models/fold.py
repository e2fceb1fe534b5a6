"""The one pure fold: what becomes of an event. No clock, no randomness, no I/O.

`decide` reads a site and says what to answer and which row to write; it changes nothing. The live decider,
replay, what-if and the property tests all call it.
"""

from typing import assert_never

from models.accounts import SiteRow, site_key
from models.decision import Decision, Moment
from models.events import Reported, Requested, SiteConfigured
from models.granting import Asked, answer
from models.messages import Control
from models.outcomes import ControlChanged
from models.settling import settle
from models.site import Site

__all__ = ["SiteEvent", "control_changed", "decide"]

SiteEvent = Requested | Reported | SiteConfigured


def decide(site: Site, event: SiteEvent, *, at: int, offset: int) -> Decision:
    """Decide an event of a site at the partition's time `at`, milliseconds since 1970.

    The policy is the site's own, from its last SiteConfigured. An event that was decided before gets the
    same answer again and is charged to nobody.
    """
    moment = Moment(at, offset, site.horizon(at))
    match event:
        case Requested():
            return answer(Asked(site, event, moment))
        case Reported():
            return settle(site, event, moment)
        case SiteConfigured():
            return _configure(site, event, moment)
        case _:
            assert_never(event)


def _configure(site: Site, event: SiteConfigured, moment: Moment) -> Decision:
    row = SiteRow(offset=moment.offset, at=moment.at, mode=event.mode, policy=event.policy, floor=moment.horizon)
    return Decision(outcomes=(control_changed(site.name, row),), key=site_key(site.name), row=row)


def control_changed(site: str, row: SiteRow) -> ControlChanged:
    """Tell a site's dispensers how it works by its row."""
    policy = row.policy
    control = Control(
        site=site,
        mode=row.mode,
        policy=policy.version,
        epoch=0,
        ration_cm=policy.portion_cm,
        ration_budget_cm=policy.ration_budget_cm,
        window_s=policy.window_s,
    )
    return ControlChanged(site=site, offset=row.offset, at=row.at, control=control)
