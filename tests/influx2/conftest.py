"""One InfluxDB 2 for all of these tests. None of them runs without one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.influxd2 import Influxd2, influxd2, program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not program():
        skip = pytest.mark.skip(reason="needs an InfluxDB 2: FAIRROLL_TEST_INFLUXD2=/path/to/influxd")
        for item in items:
            if "influx2" in item.path.parts:
                item.add_marker(skip)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Influxd2]:
    async with influxd2(tmp_path_factory.mktemp("influxd2")) as running:
        yield running
