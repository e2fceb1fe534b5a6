"""Which subscriptions are refused."""

import pytest

from models.process.mqtt_client import MqttRejected
from tests.infra.intruders.fort import Fort
from tests.support.intruder import client

pytestmark = pytest.mark.asyncio(loop_scope="package")
_GATE, _LOBBY = "fairroll/v1/park/gate", "fairroll/v1/park/lobby"

_NOT_READ = [
    ("park.gate", "#"),
    ("park.gate", "+/#"),
    ("park.gate", "fairroll/v1/#"),
    ("park.gate", "fairroll/v1/park/+/command"),
    ("park.gate", "fairroll/v1/+/gate/command"),
    ("park.gate", f"{_LOBBY}/command"),
    ("park.gate", f"{_LOBBY}/request"),
    ("park.gate", f"{_GATE}/request"),
    ("park.gate", "fairroll/v1/hall/control"),
    ("park.gate", "fairroll/v1/+/control"),
    ("park.gate", "fairroll/v1/pipeline"),
    ("park.gate", "$SYS/#"),
    ("park.gate", "$SYS/broker/clients/connected"),
    ("park.gate", "$CONTROL/dynamic-security/v1/response"),
    ("park.gate", "$share/ingress/fairroll/+/+/+/request"),
    ("park.gate", f"$share/ingress/{_LOBBY}/request"),
    ("park.gate", f"$share/mine/{_LOBBY}/command"),
    ("egress-1", "$share/ingress/fairroll/+/+/+/request"),
    ("egress-1", "fairroll/+/+/+/request"),
    ("ingress-1", "fairroll/v1/+/+/command"),
    ("operator", "fairroll/v1/#"),
    ("admin", "fairroll/v1/#"),
    ("park.unlisted", f"{_GATE}/command"),
    ("staging:park.gate", f"{_GATE}/command"),
]


@pytest.mark.parametrize(("name", "topic"), _NOT_READ)
async def test_may_not_subscribe(fort: Fort, name: str, topic: str) -> None:
    async with client(fort.settings, name) as intruder:
        with pytest.raises(MqttRejected, match="0x87 not authorized"):
            await intruder.subscribe(topic, qos=1)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("park.gate", f"{_GATE}/command"),
        ("park.gate", "fairroll/v1/park/control"),
        ("ingress-1", "$share/ingress/fairroll/+/+/+/request"),
        ("ingress-1", "fairroll/v1/pipeline"),
        ("egress-1", "fairroll/v1/+/control"),
        ("operator", "fairroll/v1/+/control"),
    ],
)
async def test_may_subscribe_what_it_needs(fort: Fort, name: str, topic: str) -> None:
    async with client(fort.settings, name) as peer:
        await peer.subscribe(topic, qos=1)
