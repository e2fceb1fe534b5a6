"""What must not be in InfluxDB, planted beside the default retention policy."""

import base64
import time

import aiohttp

from infra.audit.influx import read_influx
from infra.audit.judgement import Known, Suspects, Tally
from infra.audit.report import Place
from models.metrics.storage import bucket_name
from models.settings import Settings

__all__ = ["audited", "plant"]

TEMPLATE = base64.b64encode(bytes(range(100, 164))).decode()


async def plant(settings: Settings, policy: str) -> None:
    """A template in a text, and a tag that metrics do not have, each in a measurement of its own and in one of ours."""
    bucket = bucket_name(settings.influx_bucket, policy)
    lines = [
        f'notes,site=park text="{TEMPLATE}" {time.time_ns()}',
        f"requests,site=park,visitor=a-visitor n=1i {time.time_ns()}",
    ]
    headers = {"Authorization": f"Token {settings.influx_token}"}
    where = {"bucket": bucket, "org": settings.influx_org}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
        http.post(f"{settings.influx_url}/api/v2/write", params=where, data="\n".join(lines)),
    ):
        pass


async def audited(settings: Settings) -> tuple[Place, list[tuple[str, str]]]:
    """The report of an audit of InfluxDB alone, and the kind and place of each finding. Raises Unread."""
    tally = Tally("InfluxDB", Known(now=time.time(), facts=None), Suspects())
    await read_influx(settings, tally)
    return tally.place(), [(finding.kind, finding.where) for finding in tally.examples]
