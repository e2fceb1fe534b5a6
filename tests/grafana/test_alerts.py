"""What alerts would say of the scene: Grafana's reduce and threshold, done here over the answers of a real InfluxDB."""

import operator
from collections import defaultdict
from collections.abc import Callable

import pytest

from grafana.alerts import ALERTS, Alert
from tests.grafana.influx import ask
from tests.grafana.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PASSES = {"gt": operator.gt, "lt": operator.lt}
REDUCERS: dict[str, Callable[[list[float]], float]] = {"last": operator.itemgetter(-1), "max": max}


async def firing(scene: Scene, uid: str) -> set[str]:
    """The tags of the series that are past the threshold; of alerts without mathematics, or with a plain sum.

    Where an alert has to last as long as its buckets, the one before is past it too: a value in that, just before the
    hour was full, began the waiting anew.
    """
    [alert] = [alert for alert in ALERTS if alert.uid == uid]
    assert alert.math in ("", "$RA + $RB")
    [buckets] = {1 + (getattr(query, "every", None) == alert.lasting) for query in alert.queries}
    past = [await past_threshold(scene, alert, passed) for passed in range(buckets)]
    return set.intersection(*past)


async def past_threshold(scene: Scene, alert: Alert, passed: int) -> set[str]:
    """What is past it without the newest `passed` buckets."""
    kind, bound = alert.fires
    reduced = defaultdict[str, float](float)
    for query in alert.queries:
        for series in await ask(scene.settings, query.text()):
            [column] = {*series.columns} - {"time"}
            reduced[" ".join(series.tags[tag] for tag in query.by)] += REDUCERS[alert.reducer](
                series.of(column)[: -passed or None]
            )
    return {tags for tags, value in reduced.items() if PASSES[kind](value, bound)}


async def test_what_is_broken_fires(scene: Scene) -> None:
    assert await firing(scene, "audit-failed") == {""}


@pytest.mark.parametrize("uid", ["silent-site", "jam", "lag", "dead-letters", "sink-drops", "old-template"])
async def test_what_is_well_is_silent(scene: Scene, uid: str) -> None:
    assert await firing(scene, uid) == set()
