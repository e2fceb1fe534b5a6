"""What waits is written in one call and read together; what stands alone waits for nothing."""

import asyncio
from collections import deque
from typing import Any

from models.settings import Settings
from stream_processors.runtime.mqtt import open_session
from stream_processors.runtime.mqtt_batching import merge_packets

PUBLISH_QOS_0, PUBLISH_QOS_1, PUBACK, DISCONNECT = 0x30, 0x32, 0x40, 0xE0


def packet(command: int, data: bytes, *, qos: int = 1, pos: int = 0) -> dict[str, Any]:
    return {"command": command, "packet": data, "pos": pos, "to_process": len(data) - pos, "qos": qos, "mid": 1}


def merged(*packets: dict[str, Any]) -> list[bytes]:
    waiting = deque(packets)
    merge_packets(waiting)
    assert all(item["to_process"] == len(item["packet"]) - item["pos"] for item in waiting)
    return [bytes(item["packet"][item["pos"] :]) for item in waiting]


def test_acknowledgements_and_publications_become_one_packet_in_their_order() -> None:
    assert merged(packet(PUBACK, b"a"), packet(PUBLISH_QOS_1, b"b"), packet(PUBACK, b"c")) == [b"abc"]


def test_a_packet_that_was_sent_in_part_goes_on_where_it_stopped() -> None:
    assert merged(packet(PUBACK, b"1234", pos=3), packet(PUBACK, b"5")) == [b"45"]


def test_packets_after_which_paho_has_something_to_do_stay_apart() -> None:
    assert merged(packet(PUBACK, b"a"), packet(PUBACK, b"b"), packet(DISCONNECT, b"d", qos=0)) == [b"ab", b"d"]
    assert merged(packet(PUBLISH_QOS_0, b"q", qos=0), packet(PUBACK, b"a"), packet(PUBACK, b"b")) == [b"q", b"a", b"b"]


def test_one_call_writes_no_more_than_64_kibibytes_and_a_packet() -> None:
    assert [len(data) for data in merged(*(packet(PUBLISH_QOS_1, bytes(4_096)) for _ in range(40)))][:2] == [
        65_536,
        4_096,
    ]


def test_nothing_to_write_is_nothing() -> None:
    assert merged() == []
    assert merged(packet(PUBACK, b"a")) == [b"a"]


async def test_batches_are_what_has_come_in_its_order(brokers: Settings) -> None:
    payloads = [b"%d" % number for number in range(250)]
    async with open_session(brokers, "batches", 500) as reader, open_session(brokers, "writer", 10) as writer:
        await reader.subscribe("batches")
        await writer.publish_all([("batches", payload, None) for payload in payloads])
        await reader.publish("behind", b"them")  # its PUBACK comes behind what waits
        batches: list[list[bytes]] = []
        async with asyncio.timeout(20):
            async for messages in reader.batches():
                batches.append([message.payload for message in messages])
                for message in messages:
                    reader.acknowledge(message)
                if sum(map(len, batches)) == len(payloads):
                    break
    assert [payload for batch in batches for payload in batch] == payloads
    assert [len(batch) for batch in batches] == [100, 100, 50]


async def test_a_single_message_is_a_batch(brokers: Settings) -> None:
    async with open_session(brokers, "single", 10) as session:
        await session.subscribe("single")
        await session.publish("single", b"paper")
        [message] = await asyncio.wait_for(anext(aiter(session.batches())), 10)
        session.acknowledge(message)
    assert message.payload == b"paper"
