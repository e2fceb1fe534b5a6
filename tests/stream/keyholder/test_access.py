"""On a Kafka with TLS, users and an authorizer: each service does its work with the rights of the docs, and no more."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs

from devices.hardware.motor import SimulatedMotor
from devices.session.session import Dispenser, Identity, new_id
from infra.kafka_records import KafkaAway, read_records
from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import read_topic_settings
from models.contract.messages import ButtonPressed, Dispense
from models.contract.topics import Topics
from models.errors import ConfigError
from models.settings import Settings
from stream_processors.runtime.consumer_lag import read_consumer_lag
from tests.support.certificates import Authority
from tests.support.rights import REFUSED, guarded, write
from tests.support.services import Service, running

TOPICS = Topics()
pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("ingress", "decider", "egress", "sink")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Settings]]:
    """Each service's."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "sites.toml").write_text('[sites.park]\nmode = "face"\ndevices = ["gate"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml"), "FAIRROLL_METRICS_PERIOD_S": "1"}
    async with LocalStack(folder, programs=(*BROKERS, "keyholder"), ports=Ports.free(), environ=environ) as stack:
        yield await guarded(stack, folder, *SERVICES, "keyholder")


async def test_the_documented_rights_are_enough(settings: Mapping[str, Settings]) -> None:
    services = {role: Service(role, settings[role]) for role in SERVICES}
    gate = Dispenser(Identity(site="park", device="gate"), SimulatedMotor(cm_per_s=1000), settings["ingress"].mqtt)
    async with running(*services.values()):
        running_gate = asyncio.create_task(gate.run())
        async with asyncio.timeout(30):
            await gate.permission_changed.wait()
            closed = await gate.ask(ButtonPressed(id=new_id()))
        assert closed
        assert isinstance(closed.answer, Dispense)
        await services["sink"].until_count("points", 10)
        assert await read_consumer_lag(settings["sink"])
        running_gate.cancel()
        await asyncio.gather(running_gate, return_exceptions=True)


async def test_the_key_holder_may_read_what_it_follows(settings: Mapping[str, Settings]) -> None:
    for topic in (TOPICS.controls, TOPICS.pipeline):
        await read_records(settings["keyholder"], topic)


async def test_nobody_reads_what_is_not_theirs(settings: Mapping[str, Settings]) -> None:
    with pytest.raises(KafkaAway, match="TopicAuthorizationFailedError"):
        await read_records(settings["ingress"], TOPICS.events)


@pytest.mark.parametrize(
    ("role", "topic"),
    [("ingress", TOPICS.controls), ("egress", TOPICS.events), ("sink", TOPICS.events)],
)
async def test_nobody_writes_what_is_not_theirs(settings: Mapping[str, Settings], role: str, topic: str) -> None:
    with pytest.raises(REFUSED):
        await write(settings[role], topic)


async def test_a_wrong_password_is_among_what_may_be_wrong(settings: Mapping[str, Settings]) -> None:
    wrong = structs.replace(settings["sink"], kafka_password="guessed")  # noqa: S106 - opens nothing
    with pytest.raises(KafkaAway, match=r"as sink .*FAIRROLL_KAFKA_PASSWORD"):
        await read_records(wrong, TOPICS.decisions)
    with pytest.raises(ConfigError, match=r"as sink .*FAIRROLL_KAFKA_PASSWORD"):
        await read_topic_settings(wrong, [TOPICS.decisions])


async def test_a_broker_of_another_authority_is_not_spoken_to(settings: Mapping[str, Settings], tmp_path: Path) -> None:
    other = Authority().equip(tmp_path / "other", "kafka") / "ca.pem"
    with pytest.raises(KafkaAway, match=f"by TLS .*{other}"):
        await read_records(structs.replace(settings["sink"], kafka_ca=str(other)), TOPICS.decisions)


async def test_a_file_without_certificates_is_named(settings: Mapping[str, Settings], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    wrong = structs.replace(settings["sink"], kafka_ca=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match=r"FAIRROLL_KAFKA_CA=.*ca.pem is no file of certificates"):
        await read_records(wrong, TOPICS.decisions)
