"""What is shown of the whole, and what of it is not well."""

import pytest
from msgspec import structs
from rich.console import Console

from infra.readable_records import DatedState
from infra.status.report import (
    Broker,
    Dispenser,
    KafkaSeen,
    Service,
    Status,
    dispensers,
    last_faults,
    problems,
    rates,
)
from infra.status.screen import screen, span
from models.contract.messages import DeviceState
from models.keys.seal_chain import SiteFacts, SitesReply
from models.ledger.rules.policy import Sites, SiteSpec
from stream_processors.runtime.consumer_lag import ConsumerLag
from stream_processors.runtime.health import Fault, Vitals

NOTHING = KafkaSeen(backlogs=[], rates={}, dispensers=[], dead_letters={})
MQTT = Broker(name="MQTT", address="127.0.0.1:1883", hint="FAIRROLL_MQTT names it")
LOST = Fault(ago_s=75, text="broker lost: [Errno 104]")


def service(part: str, *, alive: bool = True, ready: bool = True, fault: Fault | None = None) -> Service:
    counts = {"messages": 12, "dead_letters": 1}
    vitals = Vitals(service=part, instance="1", alive=alive, ready=ready, up_s=7_500, counts=counts, last_fault=fault)
    return Service(address="127.0.0.1:9101", vitals=vitals)


SILENT = Service(address="127.0.0.1:9104", vitals=None)


def test_all_is_well_where_everything_is_ready() -> None:
    assert problems([service("ingress"), service("sink", fault=LOST)], [MQTT], NOTHING) == []


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (service("egress", ready=False), "egress 1 is not ready"),
        (service("egress", alive=False), "egress 1 is stuck"),
        (service("egress", alive=False, ready=False), "egress 1 is stuck"),
        (SILENT, "no service answers at 127.0.0.1:9104 (FAIRROLL_SERVICES)"),
    ],
)
def test_a_service_that_is_not_ready_is_not_well(received: Service, problem: str) -> None:
    assert problems([service("ingress"), received], [MQTT], NOTHING) == [problem]


def test_a_broker_that_is_away_is_not_well() -> None:
    kafka = Broker(name="Kafka", address="127.0.0.1:9092", hint="FAIRROLL_KAFKA names it", fault="refused")
    assert problems([], [MQTT, kafka], "no Kafka") == [
        "Kafka does not answer at 127.0.0.1:9092: refused (FAIRROLL_KAFKA names it)"
    ]


def test_topics_that_cannot_be_read_are_not_well_with_the_reason() -> None:
    assert problems([], [MQTT], "no right to read") == ["the topics cannot be read: no right to read"]


def test_a_service_that_is_not_ready_is_named_with_its_last_fault() -> None:
    refused = Fault(ago_s=2, text="influxdb refuses: 401 unauthorized")
    assert problems([service("sink", ready=False, fault=refused)], [MQTT], NOTHING) == [
        "sink 1 is not ready: influxdb refuses: 401 unauthorized"
    ]


def test_records_that_kafka_deleted_unread_are_a_problem_until_they_are_committed_past() -> None:
    lost = ConsumerLag(group="fairroll.decider", topic="fairroll.events", records=0, lost=3)
    seen = structs.replace(NOTHING, backlogs=[lost])
    assert problems([], [MQTT], seen) == [
        "fairroll.decider has lost 3 records of fairroll.events: Kafka deleted them before they were read"
    ]


def test_a_rate_is_of_all_partitions_in_a_second() -> None:
    before = {("events", 0): 10, ("events", 1): 0, ("decisions", 0): 5}
    after = {("events", 0): 13, ("events", 1): 2, ("decisions", 0): 5}
    assert rates(["events", "decisions"], before, after, apart_s=2.0) == {"events": 2.5, "decisions": 0.0}


def test_every_dispenser_of_the_sites_file_is_reported_and_no_other() -> None:
    sites = Sites(sites={"park": SiteSpec(devices=("gate", "door", "wall"))})
    states = {
        "park/gate": DatedState(DeviceState(online=True), 940.0),
        "park/door": DatedState(DeviceState(online=False), 995.0),
        "moon/base": DatedState(DeviceState(online=True), 999.0),
    }
    assert dispensers(sites, states, now=1000.0) == [
        Dispenser(site="park", device="gate", is_online=True, since_s=60.0),
        Dispenser(site="park", device="door", is_online=False, since_s=5.0),
        Dispenser(site="park", device="wall", is_online=None, since_s=None),
    ]


def test_the_newest_fault_comes_first() -> None:
    received = [service("ingress", fault=LOST), service("decider"), SILENT]
    received.append(service("sink", fault=Fault(ago_s=3, text="influxdb away")))
    assert last_faults(received) == [(3, "sink 1", "influxdb away"), (75, "ingress 1", "broker lost: [Errno 104]")]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (7_500, "2 h 5 min"), (90_061, "1 d 1 h")],
)
def test_a_time_is_reported_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_screen_shows_everything_in_eighty_columns() -> None:
    many = [Dispenser(site="park", device=f"d{number}", is_online=False, since_s=90) for number in range(20)]
    kafka = KafkaSeen(
        backlogs=[ConsumerLag(group="fairroll.decider", topic="fairroll.events", records=1234)],
        rates={"fairroll.events": 17.5},
        dispensers=[*many, Dispenser(site="hall", device="gate", is_online=True, since_s=1)],
        dead_letters={"unknown site or device": 3, "[odd] `reason`": 1},
    )
    services = [service("ingress", fault=LOST), service("decider", ready=False), service("egress", alive=False), SILENT]
    held = SiteFacts(mode="held", window_s=540, chain=None, oldest=None, since=1_000_000, destroyed=1)
    alive = SiteFacts(mode="face", window_s=540, chain="0123456789abcdef", oldest=11, since=400_000, destroyed=0)
    status = Status(
        services=services,
        brokers=[MQTT],
        kafka=kafka,
        seals=SitesReply(at=1_215_000, sites={"park": alive, "hall": held}),
        problems=problems(services, [MQTT], kafka),
    )
    lines = _shown(status)
    text = " ".join(" ".join(lines).split())
    for words in (
        "ingress 1 127.0.0.1:9101 ready 2 h 5 min 12 messages, 1 dead_letters",
        "decider 1 127.0.0.1:9101 not ready",
        "egress 1 127.0.0.1:9101 stuck",
        "? 127.0.0.1:9104 does not answer",
        "decider events 1234 17.5",
        "park 20 0 d0 for 1 min 30 s, d1 for 1 min 30 s",
        "hall 1 1",
        "hall none: held 3 min 35 s 1",
        "park 0123456789abcdef 13 min 35 s 9 min 15 s ago 0",
        "3 unknown site or device",
        "1 [odd] `reason`",
        "1 min 15 s ago ingress 1 broker lost: [Errno 104]",
        "not well: decider 1 is not ready not well: egress 1 is stuck not well: no service answers at 127.0.0.1:9104",
    ):
        assert words in text
    assert max(map(len, lines)) <= 80


def test_the_screen_says_in_its_last_line_that_all_is_well() -> None:
    status = Status(services=[service("ingress")], brokers=[MQTT], kafka=NOTHING)
    assert _shown(status)[-1] == "all is well"


def _shown(status: Status) -> list[str]:
    console = Console(width=80, force_terminal=False)
    with console.capture() as shown:
        console.print(screen(status))
    return [line.rstrip() for line in shown.get().splitlines()]
