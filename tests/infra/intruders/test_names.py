"""A name is that of the certificate, as long as it is valid."""

import asyncio
import os
import signal
from datetime import UTC, datetime

import aiomqtt
import pytest

from infra.broker.broker_folder import permitted
from infra.broker.live import update
from infra.local.secured import equip, write_local_broker
from models.process.mqtt_client import MqttRejected
from tests.infra.intruders.fort import Fort
from tests.support.intruder import client, connack, connected, is_closed, is_refused, witness

pytestmark = pytest.mark.asyncio(loop_scope="package")
_LOBBY = "fairroll/v1/park/lobby"


@pytest.mark.parametrize("client_id", ["park.lobby", "ingress-1", ""])
async def test_the_client_id_of_another_disturbs_nobody(fort: Fort, client_id: str) -> None:
    async with client(fort.settings, "park.lobby") as lobby, client(fort.settings, "ingress-1") as ingress:
        async with client(fort.settings, "park.gate", client_id=client_id) as gate:
            with pytest.raises(MqttRejected, match="0x87 not authorized"):
                await gate.subscribe(f"{_LOBBY}/command", qos=1)
        for undisturbed in (lobby, ingress):
            async with asyncio.timeout(20):
                await undisturbed.unsubscribe("answered")  # raises where the connection is lost


async def test_one_certificate_has_one_connection(fort: Fort) -> None:
    context = fort.files("park.gate").context()
    ids = [f"flood-{number}" for number in range(20)]
    lines = [await asyncio.to_thread(connected, fort.settings, context, client_id) for client_id in ids]
    closed = [await asyncio.to_thread(is_closed, line) for line in lines[:-1]]
    for line in lines:
        line.close()
    assert all(closed)


async def test_a_user_name_does_not_replace_that_of_the_certificate(fort: Fort) -> None:
    async with client(fort.settings, "park.gate", username="egress-1") as gate:
        with pytest.raises(MqttRejected, match="0x87 not authorized"):
            await gate.subscribe("fairroll/v1/+/control", qos=1)


async def test_a_revoked_dispenser_is_disconnected_and_not_let_in_again(fort: Fort) -> None:
    now = datetime.now(UTC)
    with pytest.raises(aiomqtt.MqttError):
        await _revoke_while_connected(fort, now)
    await _reload(fort, now)
    assert is_refused(await asyncio.to_thread(connack, fort.settings, fort.files("park.thief").context()))
    with pytest.raises(aiomqtt.MqttError):  # immediately, though in TLS 1.3 the client's handshake succeeds
        async with asyncio.timeout(20), client(fort.settings, "park.thief"):
            pass
    assert not is_refused(await asyncio.to_thread(connack, fort.settings, fort.files("park.gate").context()))


async def test_a_dispenser_that_is_enrolled_later_works_without_a_restart(fort: Fort) -> None:
    now, topic = datetime.now(UTC), "fairroll/v1/park/new/report"
    equip(fort.folder, ["park.new"], now)
    change = await update(fort.settings, permitted([fort.authority], fort.settings.topics, now))
    assert "park.new" in change.added
    async with witness(fort.settings) as reader, client(fort.settings, "park.new") as new:
        await new.publish(topic, b"here", qos=1)
        assert await reader.seen_before(b"here") == []
    assert not (await update(fort.settings, permitted([fort.authority], fort.settings.topics, now))).added


async def _revoke_while_connected(fort: Fort, now: datetime) -> None:
    """Returns only with the error of the lost connection."""
    async with client(fort.settings, "park.thief") as thief:
        fort.authority.revoke("park.thief", now)
        change = await update(fort.settings, permitted([fort.authority], fort.settings.topics, now))
        assert "park.thief" in change.removed
        await asyncio.wait_for(anext(aiter(thief.messages)), 20)


async def _reload(fort: Fort, now: datetime) -> None:
    port = int(fort.settings.mqtt.rpartition(":")[2])
    write_local_broker(fort.folder, fort.settings, port, fort.folder / "data" / "mosquitto", now)
    os.kill(fort.pid, signal.SIGHUP)
    thief = fort.files("park.thief").context()
    async with asyncio.timeout(20):
        while not is_refused(await asyncio.to_thread(connack, fort.settings, thief)):
            await asyncio.sleep(0.1)
