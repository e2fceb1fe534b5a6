"""The authority is replaced while dispensers stay connected with certificates of the old one or the new one."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
import pytest_asyncio
from msgspec import structs

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from infra.broker.broker_folder import Listener, write_broker
from infra.ca.authority_folder import AuthorityFolder
from infra.local.ports import LOOPBACK, Ports
from infra.local.secured import authority_of, equip
from infra.local.stack import LocalStack
from models.pki.certificates import read_request
from models.settings import Settings
from tests.support.intruder import client

_NOW = datetime.now(UTC)


class Rollover:
    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.old = authority_of(folder)
        self.new = AuthorityFolder.create(folder / "new", "fairroll local", _NOW, self.old)

    async def restart_with(self, authorities: Sequence[AuthorityFolder]) -> None:
        """`fairroll broker --ca ... --ca ...`, and a restart."""
        port = int(self.stack.settings.mqtt.rpartition(":")[2])
        listener = Listener(address=LOOPBACK, port=port, hosts=(LOOPBACK,), user="root")
        data, place = self.folder / "data/mosquitto", self.folder / "config/mqtt"
        write_broker(place, data, authorities, listener, self.stack.settings.topics, _NOW)
        await self.stack.stop("mosquitto")
        await self.stack["mosquitto"].start()
        await self.stack["mosquitto"].until_ready()

    def enrol(self, name: str) -> Settings:
        """Enrol with the new authority; what the name connects with afterwards."""
        files = IdentityFiles(self.folder / "renewed", name)
        request_certificate(files)
        install_bundle(files, bytes(self.new.sign(read_request(files.request.read_bytes(), name), _NOW)))
        return structs.replace(
            self.stack.settings,
            mqtt_ca=str(files.authorities),
            mqtt_cert=str(files.certificate),
            mqtt_key=str(files.key),
        )


@pytest_asyncio.fixture
async def rollover(tmp_path: Path) -> AsyncIterator[Rollover]:
    stack = LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free(), is_secure=True)
    async with stack:
        equip(tmp_path, ["park.gate", "park.lobby"], _NOW)
        yield Rollover(stack, tmp_path)


async def _connects(settings: Settings, name: str) -> None:
    topic = f"fairroll/v1/{name.replace('.', '/')}/report"
    async with client(settings, name) as connected:
        await connected.publish(topic, b"", qos=1)


async def test_certificates_of_both_authorities_count_until_the_old_one_is_dropped(rollover: Rollover) -> None:
    of_old = rollover.stack.settings
    await rollover.restart_with([rollover.old, rollover.new])
    gate = rollover.enrol("park.gate")
    await _connects(gate, "park.gate")
    await _connects(of_old, "park.gate")
    await _connects(of_old, "park.lobby")
    rollover.enrol("operator")  # with which the stack's own probe connects
    for suffix in ("key", "pem"):
        (rollover.folder / f"secrets/mqtt/operator.{suffix}").write_bytes(
            (rollover.folder / f"renewed/operator.{suffix}").read_bytes()
        )
    (rollover.folder / "secrets/mqtt/ca.pem").write_bytes((rollover.folder / "renewed/ca.pem").read_bytes())
    await rollover.restart_with([rollover.new])
    await _connects(gate, "park.gate")
    with pytest.raises(aiomqtt.MqttError):
        await _connects(of_old, "park.lobby")


async def test_a_revocation_of_either_authority_counts_during_the_rollover(rollover: Rollover) -> None:
    of_old, gate = rollover.stack.settings, rollover.enrol("park.gate")
    rollover.old.revoke("park.lobby", _NOW)
    await rollover.restart_with([rollover.old, rollover.new])
    await _connects(gate, "park.gate")
    with pytest.raises(aiomqtt.MqttError):
        await _connects(of_old, "park.lobby")
    rollover.new.revoke("park.gate", _NOW)
    await rollover.restart_with([rollover.old, rollover.new])
    with pytest.raises(aiomqtt.MqttError):
        await _connects(gate, "park.gate")
    await _connects(of_old, "park.gate")


def test_a_successor_keeps_the_key_of_controls_and_its_bundles_trust_both(tmp_path: Path) -> None:
    old = AuthorityFolder.create(tmp_path / "old", "one", _NOW)
    new = AuthorityFolder.create(tmp_path / "new", "two", _NOW, old)
    assert new.control_key_file.read_bytes() == old.control_key_file.read_bytes()
    files = IdentityFiles(tmp_path / "device", "park.gate")
    request_certificate(files)
    install_bundle(files, bytes(new.sign(read_request(files.request.read_bytes(), "park.gate"), _NOW)))
    assert files.authorities.read_bytes() == new.certificate_file.read_bytes() + old.certificate_file.read_bytes()
    assert files.control_keys.read_bytes() == old.control_public_file.read_bytes()
