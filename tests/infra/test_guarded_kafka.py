"""Operators' commands on a Kafka with TLS, users and an authorizer: they ask as the services do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs

from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.probes import kafka_fault
from infra.setup.provision import provision
from infra.status.probe import read_status
from models.settings import Settings
from tests.support.certificates import Authority
from tests.support.rights import guarded

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sink(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "sites.toml").write_text('[sites.park]\ndevices = ["gate"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    async with LocalStack(folder, programs=["kafka"], ports=Ports.free(), environ=environ) as stack:
        await provision(stack.settings)
        yield (await guarded(stack, folder, "sink"))["sink"]


async def test_status_reads_all_of_it_with_the_rights_of_the_sink(sink: Settings) -> None:
    seen = await read_status(sink)
    assert [broker.fault for broker in seen.brokers if broker.name == "Kafka"] == [""]
    assert seen.kafka
    assert len(seen.kafka.backlogs) == 7


async def test_a_kafka_that_refuses_is_named_with_its_reason(sink: Settings, tmp_path: Path) -> None:
    assert "invalid credentials" in await kafka_fault(structs.replace(sink, kafka_password="x" * 9))
    strange = Authority().equip(tmp_path / "strange", "kafka") / "ca.pem"
    assert "certificate verify failed" in await kafka_fault(structs.replace(sink, kafka_ca=str(strange)))
    assert "closed" in await kafka_fault(structs.replace(sink, kafka_ca=""))
