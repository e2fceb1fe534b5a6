"""What a replay cannot do, read from its code: import-linter forbids MQTT; here, whatever could write to Kafka."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("stream_processors/replay", "infra/replay", "infra/commands/replay")
_SHELLS = [file for folder in _FOLDERS for file in (_ROOT / folder).glob("*.py")]
_WRITERS = {"AIOKafkaAdminClient", "AIOKafkaProducer", "append_events", "commit", "open_producer", "open_session"}


def names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name
            case _:
                pass


@pytest.mark.parametrize("shell", _SHELLS, ids=lambda shell: str(shell.relative_to(_ROOT)))
def test_a_replay_names_nothing_that_writes_to_kafka_or_speaks_mqtt(shell: Path) -> None:
    assert _WRITERS.isdisjoint(names(shell))


def test_the_contract_that_keeps_replay_from_mqtt_stands() -> None:
    assert 'name = "Replay cannot reach MQTT"' in (_ROOT / "pyproject.toml").read_text()
