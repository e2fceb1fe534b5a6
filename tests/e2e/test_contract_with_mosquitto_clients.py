"""A dispenser built from the contract alone: mosquitto_pub, mosquitto_sub, and the words of docs/contract.md."""

import asyncio
import base64
import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from infra.local.stack import LocalStack
from tests.e2e.pipeline_client import MosquittoDispenser, listen

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def gate(pipeline: LocalStack) -> AsyncIterator[MosquittoDispenser]:
    async with listen(pipeline, "park", "door") as talk:
        yield talk


def request(kind: str, person: str = "") -> dict[str, Any]:
    face = base64.b64encode(hashlib.sha512(person.encode()).digest()).decode()
    seen = {"model": "synthetic/1", "template": face} if person else {}
    return {"kind": kind, "id": uuid.uuid4().hex, **seen}


async def test_a_late_subscriber_finds_how_the_site_works(pipeline: LocalStack) -> None:
    for site, mode in (("park", "face"), ("hall", "button")):
        async with listen(pipeline, site, "gate") as late:
            control = late.found
        assert (control["site"], control["mode"], control["ration_cm"], control["epoch"]) == (site, mode, 60, 0)
        assert len(control["policy"]) == 12


async def test_the_button_gets_a_portion_and_a_repetition_the_same_answer(gate: MosquittoDispenser) -> None:
    button = request("button")
    answer = await gate.ask(button, "-D", "PUBLISH", "message-expiry-interval", "3")
    assert answer == {"kind": "dispense", "request": button["id"], "cm": 60}
    assert await gate.ask(button, "-D", "PUBLISH", "message-expiry-interval", "2") == answer
    assert await gate.ask(button | {"more": "of tomorrow"}) == answer


async def test_a_face_gets_a_portion_once_in_a_window(gate: MosquittoDispenser) -> None:
    granted = await gate.ask(request("face", "ann"))
    assert (granted["kind"], granted["cm"]) == ("dispense", 60)
    refused = await gate.ask(request("face", "ann"))
    assert (refused["kind"], refused["reason"]) == ("refuse", "quota")
    assert 110 <= refused["retry_after_s"] <= 120  # until the grant without a report is given back
    assert (await gate.ask(request("face", "bob")))["kind"] == "dispense"


async def test_a_site_remembers_a_visitor_at_all_its_dispensers(pipeline: LocalStack, gate: MosquittoDispenser) -> None:
    assert (await gate.ask(request("face", "cid")))["kind"] == "dispense"
    async with listen(pipeline, "park", "window") as window:
        assert (await window.ask(request("face", "cid")))["kind"] == "refuse"
    async with listen(pipeline, "hall", "gate") as elsewhere:
        for _ in range(2):
            assert (await elsewhere.ask(request("face", "cid")))["kind"] == "dispense"


async def test_staff_is_always_served(gate: MosquittoDispenser) -> None:
    for _ in range(3):
        assert (await gate.ask(request("staff")))["kind"] == "dispense"


async def test_who_asks_to_be_forgotten_gets_a_receipt_and_is_someone_new(gate: MosquittoDispenser) -> None:
    assert (await gate.ask(request("face", "dot")))["kind"] == "dispense"
    forget = request("forget", "dot")
    receipt = {"kind": "forgotten", "request": forget["id"], "erased": 1}
    assert await gate.ask(forget) == receipt
    assert await gate.ask(forget) == receipt
    assert (await gate.ask(request("forget", "dot")))["erased"] == 0
    assert (await gate.ask(request("face", "dot")))["kind"] == "dispense"


async def test_a_report_is_noted_as_often_as_it_is_reported(gate: MosquittoDispenser) -> None:
    report = {"kind": "dispensed", "number": 1, "request": uuid.uuid4().hex, "cm": 22, "ago_ms": 4500, "fault": "jam"}
    for _ in range(2):
        await gate.send("report", report)
        assert await gate.receive() == {"kind": "noted", "numbers": [1]}


async def test_a_report_that_breaks_the_contract_is_noted_with_the_reason(gate: MosquittoDispenser) -> None:
    await gate.send("report", {"kind": "battery", "number": 3, "percent": 255})
    assert await gate.receive() == {"kind": "noted", "numbers": [3], "reason": "Expected `int` <= 100 - at `$.percent`"}


async def test_what_a_jam_held_back_can_be_asked_for_again(gate: MosquittoDispenser) -> None:
    granted = await gate.ask(request("face", "eve"))
    await gate.send(
        "report", {"kind": "dispensed", "number": 2, "request": granted["request"], "cm": 0, "fault": "jam"}
    )
    assert await gate.receive() == {"kind": "noted", "numbers": [2]}
    assert (await gate.ask(request("face", "eve")))["kind"] == "dispense"


async def test_a_command_is_never_retained(pipeline: LocalStack, gate: MosquittoDispenser) -> None:
    await gate.ask(request("button"))
    async with listen(pipeline, "park", "door") as late:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late.receive(), 0.5)
