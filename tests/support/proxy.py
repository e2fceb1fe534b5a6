"""A reverse proxy before InfluxDB: it serves it below a path, and takes no body beyond its limit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from models.settings import Settings

__all__ = ["proxied"]

_PREFIX = "/influx"


@asynccontextmanager
async def proxied(settings: Settings, *, most_bytes: int) -> AsyncIterator[str]:
    """The URL under which InfluxDB is found; a larger body is answered with 413, as nginx does."""
    async with aiohttp.ClientSession() as http:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            if len(body) > most_bytes:
                return web.Response(status=413, text="<html>413 Request Entity Too Large</html>")
            url = settings.influx_url + request.path_qs.removeprefix(_PREFIX)
            headers = {name: text for name, text in request.headers.items() if name not in {"Host", "Content-Length"}}
            async with http.request(request.method, url, data=body, headers=headers) as answer:
                kept = {name: text for name, text in answer.headers.items() if name.startswith(("X-", "Content-Type"))}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        application = web.Application(client_max_size=1 << 26, handler_args={"auto_decompress": False})
        application.router.add_route("*", f"{_PREFIX}/{{rest:.*}}", forward)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}{_PREFIX}/"
        finally:
            await runner.cleanup()
