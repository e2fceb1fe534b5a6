"""Transport to the key holder. The client's role is a property of the connection, not of the request.

On one host: a folder with a Unix socket for each role, for processes of the holder's user and root. Between hosts: TLS
1.3 with certificates on both sides; the common name is the role, and the CA signs nothing else.
"""

import fcntl
import os
import socket
import ssl
import stat
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import aiohttp
from aiohttp import web

from models.errors import ConfigError
from models.settings import Settings, host_and_port

__all__ = ["Role", "boot_ms", "calling", "listening", "only_holder", "role_of"]

Role = Literal["ingress", "decider", "auditor"]
"""Ingress gets the key of the current minute, a decider the oldest; an auditor gets facts without keys."""

_ROLES = get_args(Role)
_PEER: Final = struct.Struct("3i")
"""SO_PEERCRED (unix(7)): process, user, group"""
_ROOT: Final = 0


def boot_ms() -> int:
    """Return milliseconds since boot, including suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@contextmanager
def only_holder(settings: Settings) -> Iterator[None]:
    """Create and lock the socket folders. Raises ConfigError if it cannot, or if another holder has one."""
    folders = [folder for address in settings.key_addresses if (folder := _folder(address))]
    with ExitStack() as locks:
        for folder in folders:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _refuse_others(folder)
                lock = locks.enter_context((folder / "lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"FAIRROLL_KEYS: another key holder has locked {folder}; stop it first") from None
            except OSError as error:
                raise ConfigError(f"FAIRROLL_KEYS: {folder}: {error.strerror or error}") from None
        yield


@asynccontextmanager
async def listening(settings: Settings, application: web.Application) -> AsyncIterator[None]:
    """Serve the application at each address of FAIRROLL_KEYS; raises ConfigError naming the address."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        for address in settings.key_addresses:
            await _listen(runner, address, settings.keys_cert)
        yield
    finally:
        await runner.cleanup()


def calling(settings: Settings, role: Role, timeout_s: float) -> aiohttp.ClientSession:
    """Open an HTTP session with the key holder. Raises ConfigError for unusable certificates."""
    address = settings.key_addresses[0]
    connector: aiohttp.BaseConnector
    if folder := _folder(address):
        base, connector = "http://keys", aiohttp.UnixConnector(path=str(_socket(folder, role)))
    else:
        base = f"https://{_host(address)}"
        connector = aiohttp.TCPConnector(ssl=_context(ssl.Purpose.SERVER_AUTH, settings.keys_cert))
    return aiohttp.ClientSession(base, connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))


def role_of(request: web.Request) -> Role | None:
    """Return the role of the request's connection, if it has one."""
    if request.transport is None:
        return None
    certificate = request.transport.get_extra_info("peercert")
    connection = request.transport.get_extra_info("socket")
    name = _common_name(certificate) if certificate else _socket_name(connection)
    return cast("Role", name) if name in _ROLES else None


async def _listen(runner: web.AppRunner, address: str, certificates: Path) -> None:
    try:
        if folder := _folder(address):
            for role in _ROLES:
                place = _socket(folder, role)
                await web.UnixSite(runner, place).start()
                place.chmod(0o600)
        else:
            context = _context(ssl.Purpose.CLIENT_AUTH, certificates)
            await web.TCPSite(runner, *host_and_port(_host(address)), ssl_context=context).start()
    except OSError as error:
        raise ConfigError(f"FAIRROLL_KEYS={address!r}: cannot listen there: {error.strerror or error}") from None


def _refuse_others(folder: Path) -> None:
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"FAIRROLL_KEYS: {folder} is another user's or open to others: chmod go= {folder}")


def _context(purpose: ssl.Purpose, folder: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigError(f"FAIRROLL_KEYS_CERT={str(folder)!r}: no ca.pem, cert.pem and key.pem: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _common_name(certificate: dict[str, Any]) -> str:
    names = [value for attributes in certificate["subject"] for kind, value in attributes if kind == "commonName"]
    return names[0] if len(names) == 1 else ""


def _socket_name(connection: socket.socket) -> str:
    """Return the role of the socket; empty if the peer is another user."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, user, _ = _PEER.unpack(peer)
    return Path(connection.getsockname()).stem if user in {os.geteuid(), _ROOT} else ""


def _folder(address: str) -> Path | None:
    """Return the socket folder of a `unix:` address."""
    kind, _, place = address.partition(":")
    return Path(place) if kind == "unix" else None


def _socket(folder: Path, role: Role) -> Path:
    return folder / f"{role}.sock"


def _host(address: str) -> str:
    return address.removeprefix("tls://")
