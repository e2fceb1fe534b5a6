"""A mosquitto with the dynamic security plugin, which answers what it forbids with a reason code."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from infra.local.installation import program
from infra.local.ports import LOOPBACK, Ports

__all__ = ["guarded_mosquitto"]


@asynccontextmanager
async def guarded_mosquitto(folder: Path, *, publish: Iterable[str], subscribe: Iterable[str]) -> AsyncIterator[str]:
    """Start one that allows anonymous clients these topic filters and nothing else; yields host:port."""
    port = Ports.free().mqtt
    config = _configure(folder, port, publish, subscribe)
    broker = await asyncio.create_subprocess_exec(program("mosquitto"), "-c", str(config))
    try:
        async with asyncio.timeout(20):
            await _listens(port)
        yield f"{LOOPBACK}:{port}"
    finally:
        broker.terminate()
        await broker.wait()


def _configure(folder: Path, port: int, publish: Iterable[str], subscribe: Iterable[str]) -> Path:
    [plugin] = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")  # where Debian's package has it
    acls = [{"acltype": "publishClientSend", "topic": topic, "allow": True} for topic in publish]
    acls += [{"acltype": "subscribePattern", "topic": topic, "allow": True} for topic in subscribe]
    rights = {
        "defaultACLAccess": {"publishClientSend": False, "subscribe": False, "publishClientReceive": True},
        "roles": [{"rolename": "some", "acls": acls}],
        "groups": [{"groupname": "anybody", "roles": [{"rolename": "some"}]}],
        "anonymousGroup": "anybody",
    }
    (folder / "rights.json").write_text(json.dumps(rights))
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} {LOOPBACK}\nallow_anonymous true\nuser root\nlog_type error\n"
        f"plugin {plugin}\nplugin_opt_config_file {folder / 'rights.json'}\n"
    )
    return config


async def _listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except ConnectionError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
