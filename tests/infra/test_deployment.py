"""docs/security.md, "Set up a deployment" and "When something is stolen", typed as written."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from infra.local.ports import LOOPBACK, Ports
from models.settings import Settings, host_and_port
from tests.support.intruder import client, connack, is_refused
from tests.support.processes import DISPENSER, FAIRROLL, beside, ran

_WITHIN_S = 30.0


class Typed:
    """Commands in one folder: authority, broker, services and a dispenser are on one machine here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(
            mqtt=f"{LOOPBACK}:{Ports.free().mqtt}",
            mqtt_ca=str(folder / "services/ca.pem"),
            mqtt_cert=str(folder / "services/{name}.pem"),
            mqtt_key=str(folder / "services/{name}.key"),
            secrets=folder / "device",
        )

    async def fairroll(self, *words: str) -> list[str]:
        return (await ran(*FAIRROLL, *words, env=os.environ | self.settings.to_environ(), cwd=self.folder)).lines

    async def dispenser(self, *words: str) -> list[str]:
        return (await ran(*DISPENSER, *words, env=os.environ | self.settings.to_environ(), cwd=self.folder)).lines

    async def equip(self, name: str) -> None:
        """Step 2, for one service."""
        await self.fairroll("ca", "request", name, "--folder", "services")
        await self.fairroll("ca", "sign", name, f"services/{name}.csr", "--out", f"services/{name}.pem")
        (self.folder / "services/ca.pem").write_bytes((self.folder / ".local/ca/ca.pem").read_bytes())

    async def write_broker(self) -> None:
        """Step 3."""
        (self.folder / "data").mkdir(exist_ok=True)
        place = ["--folder", "mqtt-broker", "--data", "data", "--listen", self.settings.mqtt]
        await self.fairroll("broker", "--host", "127.0.0.1", *place)

    @asynccontextmanager
    async def mosquitto(self) -> AsyncIterator[int]:
        config = self.folder / "mqtt-broker/mosquitto.conf"
        config.write_text(f"user root\n{config.read_text()}")  # for tests that are run by root
        async with beside("mosquitto", "-c", str(config), stderr=asyncio.subprocess.DEVNULL) as process:
            await _until_listening(self.settings)
            yield process.pid


async def test_a_deployment_works_as_documented(tmp_path: Path) -> None:
    typed = Typed(tmp_path)
    await typed.fairroll("ca", "init")
    for name in ("ingress-1", "admin"):
        await typed.equip(name)
    await typed.write_broker()
    async with typed.mosquitto() as pid:
        async with client(typed.settings, "ingress-1") as ingress:
            await ingress.subscribe("$share/ingress/fairroll/+/+/+/request", qos=1)
            await _enrol(typed)
            settings = typed.settings.from_environ(typed.settings.to_environ() | await _installed(typed))
            async with client(settings, "park.gate") as gate:
                await gate.publish("fairroll/v1/park/gate/request", b"asked", qos=1)
            message = await asyncio.wait_for(anext(aiter(ingress.messages)), _WITHIN_S)
            assert message.payload == b"asked"
        with pytest.raises(aiomqtt.MqttError):
            await _steal(typed, settings)
        await typed.write_broker()
        os.kill(pid, signal.SIGHUP)
        files = settings.mqtt_tls("park.gate")
        assert files
        async with asyncio.timeout(_WITHIN_S):
            while not is_refused(await asyncio.to_thread(connack, settings, files.context())):
                await asyncio.sleep(0.1)


async def _enrol(typed: Typed) -> None:
    """Step 4, up to the permission."""
    shown = await typed.dispenser("enroll", "park", "gate")
    fingerprint = shown[1].removeprefix("fingerprint: ")
    await typed.fairroll("ca", "sign", "park.gate", "device/mqtt/park.gate.csr", "--fingerprint", fingerprint)
    assert (await typed.fairroll("broker", "--live"))[0] == "added: park.gate"


async def _installed(typed: Typed) -> dict[str, str]:
    """The rest of step 4, and the settings that it prints."""
    lines = await typed.dispenser("enroll", "park", "gate", "--bundle", "park.gate.bundle.pem")
    return dict(line.split("=", 1) for line in lines)


async def _steal(typed: Typed, settings: Settings) -> None:
    """Revoke it while it is connected; ends with the error of the lost connection."""
    async with client(settings, "park.gate") as gate:
        await typed.fairroll("ca", "revoke", "park.gate")
        assert (await typed.fairroll("broker", "--live"))[1] == "removed and disconnected: park.gate"
        await asyncio.wait_for(anext(aiter(gate.messages)), _WITHIN_S)


async def _until_listening(settings: Settings) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(*host_and_port(settings.mqtt))
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
