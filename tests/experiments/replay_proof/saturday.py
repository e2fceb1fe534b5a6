"""Draw docs/what-if.svg, a simulated Saturday at a park under another limit.

`python -m tests.experiments.replay_proof.saturday`
"""

import os
import time
from pathlib import Path
from random import Random

from infra.replay.bar_chart import picture
from models.contract.messages import Dispensed, FaceSeen
from models.ledger.events import Event, Record, Reported, Requested, SiteConfigured
from models.ledger.rules.policy import Policies, Policy
from models.replay.trial_totals import TrialTotals
from models.replay.what_if import Trial, WhatIf
from tests.experiments.replay_proof.recorded import recorded_events, recording
from tests.support.story import MODEL, SECRET, SITE, template

OPENS = 1_777_708_800_000
"""2 May 2026, 08:00 UTC"""
HOURS, VISITORS = 12.0, 1_200
PICTURE = Path(__file__).parents[3] / "docs" / "what-if.svg"
TRIED = Policy(limit_cm=120)


def saturday(lots: Random, hours: float = HOURS, visitors: int = VISITORS) -> list[Record]:
    """Most come at noon; one of three asks again within minutes, one of nine a third time. All motors run."""
    asked: list[tuple[float, str]] = []
    for number in range(visitors):
        at = hours * 3_600 * lots.betavariate(2.5, 2.5)
        for chance in (1.0, 1 / 3, 1 / 3):
            if lots.random() > chance:
                break
            asked.append((at, f"visitor {number}"))
            at += lots.expovariate(1 / 240)
    events: list[tuple[float, Event]] = [(-1, SiteConfigured(site=SITE, mode="face", policy=Policy()))]
    for number, (at, who) in enumerate(sorted(asked)):
        face = FaceSeen(id=f"request-{number:010}", model=MODEL, template=template(who))
        report = Dispensed(number=number + 1, request=face.id, cm=60)
        events += [(at, Requested(site=SITE, device="gate", request=face))]
        events += [(at + 3, Reported(site=SITE, device="gate", report=report))]
    ordered = sorted(events, key=lambda one: one[0])
    return [Record(offset=n, at=OPENS + round(at * 1000), event=event) for n, (at, event) in enumerate(ordered)]


def main() -> None:
    os.environ["TZ"] = "UTC"
    time.tzset()
    tried, comparison = WhatIf(recording(), SECRET, Trial(policies=Policies(others=TRIED))), TrialTotals()
    for recorded in recorded_events(saturday(Random(5))):
        _, compared = tried.fold(recorded)
        if compared:
            comparison.add(compared)
    total = comparison.total
    print(total)
    note = f"{total.answers:,} answers, {total.not_answerable:,} of them not answerable and on neither side"
    title = f"{total.granted_more:,} more granted, {total.refused_more:,} more refused"
    PICTURE.write_text(picture(title, comparison.by_hour(), note))


if __name__ == "__main__":
    main()
