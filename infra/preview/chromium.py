"""A page in headless Chromium: its console errors, its content, its picture.

Chromium is controlled with the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), over a socket
on loopback. Only pictures and tests need it.
"""

import asyncio
import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from models.errors import ConfigError

__all__ = ["Page", "chromium", "open_page"]

_NAMES = ("chromium", "google-chrome")
_WIDTH, _MARGIN = 1440, 14
_PATIENCE_S = 60.0
_COMPLAINTS = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


def chromium() -> str | None:
    """Return the path of Chromium, if it is installed."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """A rendered page. `complaints`: its console errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self.complaints: list[str] = []

    async def evaluate(self, script: str) -> Any:
        """Evaluate and await an expression; raises ConfigError if it throws."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ConfigError(f"the page fails: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    async def picture(self, selector: str) -> bytes:
        """Return an element as PNG, with a margin."""
        script = f"JSON.stringify(document.querySelector({selector!r}).getBoundingClientRect())"
        box = json.loads(await self.evaluate(script))
        clip = {"x": 0, "y": box["y"], "width": _WIDTH, "height": box["height"] + _MARGIN, "scale": 1}
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(taken["data"])

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result; console errors in between are collected."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                message = await self._socket.receive_json()
                if message.get("method") in _COMPLAINTS:
                    self.complaints.append(str(message["params"]))
                if message.get("id") == number:
                    if "error" in message:
                        raise ConfigError(f"Chromium refuses {method}: {message['error']['message']}")
                    result: dict[str, Any] = message["result"]
                    return result


@asynccontextmanager
async def open_page(path: Path) -> AsyncIterator[Page]:
    """Open a file by its absolute path, once its promise `drawn` is resolved; raises ConfigError without Chromium."""
    program = chromium()
    if program is None:
        raise ConfigError("chromium is missing: a picture needs it; install the package chromium")
    with tempfile.TemporaryDirectory(prefix="fairroll-chromium-", ignore_cleanup_errors=True) as profile:
        async with _running(program, profile) as address, aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as response:
                [tab] = [one for one in await response.json() if one["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield await _drawn(Page(socket), path)


async def _drawn(page: Page, path: Path) -> Page:
    for domain in ("Page", "Runtime", "Log"):
        await page.call(f"{domain}.enable")
    await page.call("Page.navigate", url=path.as_uri())
    await page.evaluate("new Promise(done => document.readyState == 'complete' ? done() : onload = done)")
    await page.evaluate("window.drawn")
    return page


@asynccontextmanager
async def _running(program: str, profile: str) -> AsyncIterator[str]:
    """Run Chromium and yield its address. As root it has no sandbox; the page is our own."""
    process = await asyncio.create_subprocess_exec(
        *(program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"),
        *("--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-extensions"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        *(f"--window-size={_WIDTH},1000", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr, "it is a pipe"  # noqa: S101 - for the type checker
    try:
        async with asyncio.timeout(_PATIENCE_S):
            address = await _address(process.stderr)
        rest = asyncio.create_task(process.stderr.read(), name="chromium's log")
        yield address
        rest.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _address(log: asyncio.StreamReader) -> str:
    """Return the DevTools address that Chromium prints."""
    output = []
    async for line in log:
        output.append(line.decode(errors="replace").strip())
        if found := re.match(r"DevTools listening on ws://([^/]+)/", output[-1]):
            return found[1]
    raise ConfigError(f"chromium does not start: {' '.join(output[-3:])}")
