"""`fairroll hold`, `resume` and `receipts`, as an operator types them."""

import json

import pytest

from infra.local.stack import LocalStack
from tests.e2e.pipeline_client import listen
from tests.support.processes import FAIRROLL, environ_of, ran

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def typed(pipeline: LocalStack, *arguments: str, without: str = "") -> tuple[int, str]:
    """Exit code, standard output and standard error of `fairroll`. `without`: a variable to unset."""
    environ = environ_of(pipeline.settings)
    environ.pop(without, None)
    ended = await ran(*FAIRROLL, *arguments, env=environ)
    return ended.code, ended.out + ended.err


async def test_a_site_is_held_and_resumed_and_the_audit_log_shows_of_both(pipeline: LocalStack) -> None:
    async with listen(pipeline, "hall", "gate") as gate:
        code, received = await typed(pipeline, "hold", "hall", "--why", "a complaint", "--by", "ann")
        assert code == 0, received
        assert "hall: held; 0 templates and 0 accounts are deleted" in received
        assert "keys: destroyed" in received
        assert (await gate.receive())["mode"] == "held"
        code, received = await typed(pipeline, "resume", "hall", "--by", "bob", "--json")
        assert code == 0, received
        assert json.loads(received)["receipt"]["mode"] == "button"
        assert (await gate.receive())["mode"] == "button"
    code, received = await typed(pipeline, "receipts", "--json")
    mine = [receipt for receipt in map(json.loads, received.splitlines()) if receipt["site"] == "hall"]
    assert [(receipt["kind"], receipt["by"]) for receipt in mine] == [("held", "ann"), ("resumed", "bob")]
    code, received = await typed(pipeline, "receipts", "--since", "1h")
    assert "a complaint" in received


async def test_a_key_holder_that_does_not_answer_is_named_with_what_to_do(pipeline: LocalStack) -> None:
    code, received = await typed(pipeline, "resume", "hall", without="FAIRROLL_KEYS")
    assert code == 1
    assert (
        "  keys: NOT CONFIRMED: no key holder answers at unix:/run/fairroll-keys; FAIRROLL_KEYS is not set: export it,"
        " or type this in the folder in which `fairroll up` runs\n"
    ) in received


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("hold", "mars", "--why", "x"), 2, "no site 'mars': Kafka has no control or receipt of it; there are"),
        (("hold", "hall"), 2, "Missing option '--why'"),
        (("hold", "--why", "x"), 2, "name one site, or use --all"),
        (("hold", "hall", "--all", "--why", "x"), 2, "name one site, or use --all"),
        (("hold", "hall", "--why", "x" * 201), 2, "--why has 201 characters, at most 200 are kept"),
    ],
)
async def test_a_mistake_holds_nothing_and_is_reported(
    pipeline: LocalStack, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, received = await typed(pipeline, *arguments)
    assert ended == code
    assert words in received
