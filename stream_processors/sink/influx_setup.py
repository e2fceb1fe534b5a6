"""Sets up InfluxDB: creates what `influx_schema` lists and is missing, changes what differs."""

from collections.abc import Iterable

from models.metrics.storage import POINTS, Storage
from models.settings import Settings
from stream_processors.sink.influx_api import InfluxApi, InfluxRefused, open_api
from stream_processors.sink.influx_schema import (
    Resource,
    Statement,
    resources_2,
    shadow_1,
    shadow_2,
    statements_1,
)

__all__ = ["set_up"]

_EXISTS = "already exists"


async def set_up(settings: Settings, policy: str = POINTS) -> str:
    """Set up database or buckets, retention and downsampling; returns InfluxDB's version.

    For the `policy` of a shadow it creates only that policy, which is never the default.
    Raises InfluxRefused, and aiohttp.ClientError or TimeoutError if InfluxDB is unreachable.
    """
    storage, is_shadow = Storage.of(settings), policy != POINTS
    async with open_api(settings) as api:
        version = await api.version()
        if version.lstrip("v").startswith("1."):
            await _run_1(api, shadow_1(storage, policy) if is_shadow else statements_1(storage))
        else:
            await _settle_2(api, shadow_2(storage, policy) if is_shadow else resources_2(storage))
    return version


async def _run_1(api: InfluxApi, statements: Iterable[Statement]) -> None:
    for statement in statements:
        error = await api.query(statement.create)
        if error and _EXISTS in error:
            for instead in statement.instead:
                error = await api.query(instead)
        if error:
            raise InfluxRefused(error)


async def _settle_2(api: InfluxApi, resources: Iterable[Resource]) -> None:
    for resource in resources:
        found = await api.find(resource.kind, resource.name)
        if found is None:
            await api.create(resource.kind, {"orgID": await api.org_id(), **resource.body})
        elif not resource.is_like(found):
            await api.change(resource.kind, found["id"], resource.body)
