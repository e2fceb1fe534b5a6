"""Write the JVM's archive of the classes that Kafka loads: `python -m infra.local.class_archive`, a set-up step."""

import asyncio
import os
import tempfile
from pathlib import Path

from infra.local.installation import KAFKA_CLASSES
from infra.local.ports import Ports
from infra.local.stack import LocalStack

__all__: list[str] = []


async def _write() -> None:
    """Start a broker and stop it: the JVM writes the archive at its exit (class data sharing, JEP 350)."""
    KAFKA_CLASSES.unlink(missing_ok=True)
    os.environ["JAVA_TOOL_OPTIONS"] = f"-XX:ArchiveClassesAtExit={KAFKA_CLASSES}"
    with tempfile.TemporaryDirectory() as folder:
        async with LocalStack(Path(folder), programs=["kafka"], ports=Ports.free()):
            pass


if __name__ == "__main__":
    asyncio.run(_write())
