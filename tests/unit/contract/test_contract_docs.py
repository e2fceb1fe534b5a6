"""The contract documents, for people and for programs, equal the code."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from msgspec import Struct

from models.contract.codec import (
    MAX_PAYLOAD_BYTES,
    decode_command,
    decode_control,
    decode_report,
    decode_request,
    decode_state,
    encode,
)
from models.contract.messages import Command, Control, DeviceState, Report, Request
from models.contract.topics import Topics
from models.errors import MalformedMessage

TOPICS = Topics()

_DOCS = Path(__file__).parents[3] / "docs"
_CONTRACT = (_DOCS / "contract.md").read_text()
_ASYNCAPI: dict[str, Any] = msgspec.yaml.decode((_DOCS / "asyncapi.yaml").read_bytes())

_DECODERS: dict[str, Callable[[bytes], Struct]] = {
    "request": decode_request,
    "command": decode_command,
    "report": decode_report,
    "state": decode_state,
    "control": decode_control,
}
_STRUCTS: dict[str, tuple[type[Struct], ...]] = {
    "request": get_args(Request),
    "command": get_args(Command),
    "report": get_args(Report),
    "state": (DeviceState,),
    "control": (Control,),
}
_FROM_DEVICES = ("request", "report", "state")
_NOTES = ("title", "description", "examples")
"""The keys of a schema that are prose; everything else must equal the code."""


class _Kind(NamedTuple):
    channel: str
    name: str
    """the tag; the channel where messages have none"""
    struct: type[Struct]

    @property
    def fields(self) -> dict[str, bool]:
        """Each field of its JSON, and whether it is required."""
        received = {"kind": True} if self.struct.__struct_config__.tag else {}
        return received | {field.encode_name: field.required for field in msgspec.structs.fields(self.struct)}


_KINDS = [
    _Kind(channel, str(struct.__struct_config__.tag or channel), struct)
    for channel, structs in _STRUCTS.items()
    for struct in structs
]


class _Example(NamedTuple):
    channel: str
    kind: str
    payload: bytes


def _examples_of_contract() -> list[_Example]:
    """A fenced json block after a line `<!-- example: channel kind -->`; state and control have no kind."""
    found = re.findall(r"<!-- example: (\w+) ?(\w*) -->\n```json\n(.+?)\n```", _CONTRACT, re.DOTALL)
    return [_Example(channel, kind or channel, payload.encode()) for channel, kind, payload in found]


def _examples_of_asyncapi() -> Iterator[_Example]:
    for channel, description in _ASYNCAPI["channels"].items():
        for kind in description["messages"]:
            for example in _ASYNCAPI["components"]["messages"][kind]["examples"]:
                yield _Example(channel, kind, msgspec.json.encode(example["payload"]))


_IN_CONTRACT = _examples_of_contract()
_IN_ASYNCAPI = list(_examples_of_asyncapi())
_every_kind = pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: f"{kind.channel}-{kind.name}")


def test_every_json_block_of_the_contract_is_a_marked_example() -> None:
    assert _CONTRACT.count("```json") == len(_IN_CONTRACT)


@pytest.mark.parametrize(
    "example", _IN_CONTRACT + _IN_ASYNCAPI, ids=lambda example: f"{example.channel}-{example.kind}"
)
def test_an_example_decodes_as_its_kind(example: _Example) -> None:
    message = _DECODERS[example.channel](example.payload)
    assert _Kind(example.channel, example.kind, type(message)) in _KINDS


@pytest.mark.parametrize("example", _IN_CONTRACT, ids=lambda example: f"{example.channel}-{example.kind}")
def test_an_example_of_the_contract_equals_the_encoder_output(example: _Example) -> None:
    assert encode(_DECODERS[example.channel](example.payload)) == example.payload


def test_the_contract_shows_an_example_of_every_kind() -> None:
    assert {(e.channel, e.kind) for e in _IN_CONTRACT} == {(k.channel, k.name) for k in _KINDS}


def test_the_contract_describes_every_kind_and_no_other() -> None:
    assert sorted(_tables()) == sorted(kind.name for kind in _KINDS)


@_every_kind
def test_the_contract_shows_every_field_and_whether_it_is_required(kind: _Kind) -> None:
    assert _tables()[kind.name] == kind.fields


def test_asyncapi_describes_every_kind_and_no_other() -> None:
    described = {
        (channel, kind) for channel, received in _ASYNCAPI["channels"].items() for kind in received["messages"]
    }
    assert described == {(kind.channel, kind.name) for kind in _KINDS}
    assert _ASYNCAPI["components"]["messages"].keys() == {kind.name for kind in _KINDS}


@_every_kind
def test_asyncapi_shows_every_field_with_its_limits(kind: _Kind) -> None:
    payload = _ASYNCAPI["components"]["messages"][kind.name]["payload"]
    assert payload == {"$ref": f"#/components/schemas/{kind.struct.__name__}"}
    assert _ordered(_resolved(payload)) == _ordered(_schema(kind.struct))


def test_asyncapi_shows_an_example_of_every_kind() -> None:
    assert {(e.channel, e.kind) for e in _IN_ASYNCAPI} == {(k.channel, k.name) for k in _KINDS}


@pytest.mark.parametrize("channel", _DECODERS)
def test_addresses_are_those_of_the_code(channel: Any) -> None:
    address = TOPICS.control("{site}") if channel == "control" else TOPICS.device("{site}", "{device}", channel)
    assert _ASYNCAPI["channels"][channel]["address"] == address
    assert f"| `{address}` |" in _CONTRACT


def test_the_payload_limit_is_the_one_that_the_documents_tell() -> None:
    assert f"at most {MAX_PAYLOAD_BYTES} bytes" in _CONTRACT
    assert f"at most {MAX_PAYLOAD_BYTES} bytes" in _ASYNCAPI["info"]["description"]


@pytest.mark.parametrize("channel", _FROM_DEVICES)
def test_an_unknown_field_is_tolerated(channel: str) -> None:
    example = next(e for e in _IN_CONTRACT if e.channel == channel)
    later = msgspec.json.decode(example.payload) | {"from_a_later_version": [1, {"a": None}]}
    assert _DECODERS[channel](msgspec.json.encode(later)) == _DECODERS[channel](example.payload)


@pytest.mark.parametrize("channel", ["request", "command", "report"])
def test_an_unknown_kind_is_refused(channel: str) -> None:
    with pytest.raises(MalformedMessage):
        _DECODERS[channel](b'{"kind":"of_a_later_version"}')


def _tables() -> dict[str, dict[str, bool]]:
    """Field and whether it is required, of the table under each heading "### `kind`"."""
    sections = re.findall(r"^### `(\w+)`$(.+?)(?=^##)", _CONTRACT, re.DOTALL | re.MULTILINE)
    return {
        kind: {
            field: received == "yes" for field, received in re.findall(r"^\| `(\w+)` \| (yes|no)\b", text, re.MULTILINE)
        }
        for kind, text in sections
    }


def _schema(struct: type[Struct]) -> Any:
    """What the code reads, less the null of a template: only the pipeline itself writes that."""
    _, definitions = msgspec.json.schema_components([struct])
    schema = _resolved(definitions[struct.__name__], definitions)
    if "template" in schema["properties"]:
        schema["properties"]["template"] = schema["properties"]["template"]["anyOf"][0]
    return _in_javascript(schema)


def _in_javascript(schema: Any) -> Any:
    """Python's \\Z, the end and nothing after it, is $ in JSON Schema's regular expressions."""
    match schema:
        case dict():
            return {word: _in_javascript(value) for word, value in schema.items()}
        case list():
            return [_in_javascript(one) for one in schema]
        case str():
            return schema.replace(r"\Z", "$")
        case _:
            return schema


def _resolved(schema: Any, definitions: dict[str, Any] = _ASYNCAPI["components"]["schemas"]) -> Any:
    """The same schema with each reference replaced by what it names, with its neighbours kept."""
    if isinstance(schema, dict) and "$ref" in schema:
        beside = {word: value for word, value in schema.items() if word != "$ref"}
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]] | beside, definitions)
    match _without_notes(schema):
        case dict() as received:
            return {word: _resolved(value, definitions) for word, value in received.items()}
        case list() | tuple() as several:
            return [_resolved(one, definitions) for one in several]
        case value:
            return value


def _without_notes(schema: Any) -> Any:
    """Drop the prose; no field of the contract is called `description`."""
    match schema:
        case dict():
            return {word: _without_notes(value) for word, value in schema.items() if word not in _NOTES}
        case list():
            return [_without_notes(one) for one in schema]
        case _:
            return schema


def _ordered(schema: Any) -> Any:
    """The same schema, its lists of names sorted: their order means nothing."""
    match schema:
        case dict():
            return {word: _ordered(value) for word, value in schema.items()}
        case [str(), *_]:
            return sorted(schema)
        case list():
            return [_ordered(one) for one in schema]
        case _:
            return schema
