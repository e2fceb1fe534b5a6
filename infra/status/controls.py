"""Whether the MQTT broker retains the controls that Kafka holds; egress keeps it so."""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka import ConsumerRecord
from aiomqtt import MqttError

from infra.kafka_records import stream_records
from infra.readable_records import readable
from infra.retained import read_retained
from models.contract.site_records import Controls
from models.pki.control_signatures import without_signature
from models.settings import Settings

__all__ = ["control_differences", "differences", "newest_values"]

_SETTLES_S = 2.5
"""Egress publishes a control within a second of Kafka, and repairs a foreign one every two."""


async def control_differences(settings: Settings) -> list[str]:
    """Return a sentence for each site whose controls differ now and a little later; none without an MQTT broker."""
    first = await _differences(settings)
    if not first:
        return []
    await asyncio.sleep(_SETTLES_S)
    second = await _differences(settings)
    return [second[site] for site in sorted(first.keys() & second.keys())]


async def _differences(settings: Settings) -> dict[str, str]:
    try:
        retained = await read_retained(settings, settings.topics.control("+"))
    except (MqttError, TimeoutError):
        return {}
    records = [record async for record in stream_records(settings, settings.topics.controls)]
    there = {topic.split("/")[-2]: without_signature(payload) for topic, payload in retained.items()}
    return differences(newest_values(records), there)


def newest_values(records: Iterable[ConsumerRecord]) -> dict[str, bytes | None]:
    """Return by site the bytes of the newest control: empty for a removed site, None for one that cannot be read."""
    controls, values = Controls(), dict[str, bytes | None]()
    for record in records:
        unreadable: list[str] = []
        for site in readable([record], lambda one: controls.take(one.key, one.value, one.headers), unreadable):
            if site is not None:
                values[site] = record.value or b""
        if unreadable:
            values[(record.key or b"").decode(errors="replace")] = None
    return values


def differences(kafka: Mapping[str, bytes | None], retained: Mapping[str, bytes]) -> dict[str, str]:
    """Compare the controls of Kafka and of the broker, by site; returns a sentence for each site that differs."""
    found = {}
    for site in kafka.keys() | retained.keys():
        wanted, there = kafka.get(site, b""), retained.get(site, b"")
        if wanted is None or wanted == there:
            continue
        what = "no control" if not there else "another control" if wanted else "a control, which Kafka does not have,"
        found[site] = f"the MQTT broker retains {what} of {site}: egress puts it right, so see whether egress works"
    return found
