"""The audit of InfluxDB: every retention policy is looked at, and every bucket that should be."""

from pathlib import Path

from infra.audit.influx import hidden_buckets
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from stream_processors.sink.influx_setup import set_up
from tests.support.influx_leak import audited, plant


async def test_what_leaks_into_any_retention_policy_is_found(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=("influxd", "gateway"), ports=Ports.free()) as stack:
        settings = stack.settings
        await set_up(settings)
        await set_up(settings, "leak")
        place, found = await audited(settings)
        assert (place.verdict, found) == ("clean", [])
        await plant(settings, "leak")
        place, found = await audited(settings)
    assert place.verdict == "violated"
    assert found == [("template", "leak.notes, field text"), ("unknown", "leak.requests, tag visitor")]


def test_a_bucket_that_no_retention_policy_shows_is_named() -> None:
    buckets = {"fairroll": "1", "fairroll/hours": "2", "fairroll/leak": "3", "fairroll-east": "4", "_tasks": "5"}
    assert hidden_buckets("fairroll", buckets, {"autogen": "1", "hours": "2", "leak": "3"}) == []
    assert hidden_buckets("fairroll", buckets, {"autogen": "3", "hours": "2", "leak": "3"}) == ["fairroll"]
    assert hidden_buckets("fairroll", {"fairroll": "1"}, {"autogen": "1"}) == ["fairroll/hours"]
