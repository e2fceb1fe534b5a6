import pytest

from models.contract.topics import Topics
from models.errors import ConfigError
from models.pki.names import DeviceName, ServiceName, parse_name


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("park.gate", DeviceName("park", "gate")),
        ("ingress-1", ServiceName("ingress", "1")),
        ("operator-ana", ServiceName("operator", "ana")),
        ("audit", ServiceName("audit")),
    ],
)
def test_names_of_dispensers_and_services(text: str, parsed: DeviceName | ServiceName) -> None:
    assert parse_name(text, Topics()) == parsed
    assert str(parsed) == text


def test_a_name_belongs_to_one_namespace() -> None:
    assert parse_name("staging:park.gate", Topics("staging")) == DeviceName("park", "gate")
    for name, topics in (("staging:park.gate", Topics()), ("park.gate", Topics("staging"))):
        with pytest.raises(ConfigError, match="no name of the namespace"):
            parse_name(name, topics)


@pytest.mark.parametrize("name", ["", "park", "park.gate.x", "a.+", "#", "ingress-", "egress-A", "a/b", "broker"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        parse_name(name, Topics())
