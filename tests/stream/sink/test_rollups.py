"""Sums of closed periods: no visitor is named, each is counted, and a second reader makes the same points."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.contract.messages import Ack, Dispense, Forgotten, Refuse
from models.ledger.outcomes import Answered, By, Identity, Outcome, ReportKept, SiteCounted
from models.ledger.pseudonyms import pseudonym
from stream_processors.sink.rollups import Periods

AT = 1_700_000_040_000
"""a full minute"""
PERIOD_S, K = 60, 5
TAIL = SiteCounted(site="park", offset=1_000_000, at=AT + 3_600_000, templates=0, accounts=0, oldest_s=0.0)


class Kept(NamedTuple):
    """A record of decisions."""

    outcome: Outcome
    appended: int


class Line(NamedTuple):
    measurement: str
    tags: dict[str, str]
    fields: dict[str, str]
    at: int


def answered(
    offset: int, by: By = "face", identity: Identity | None = None, *, refused: bool = False, repeated: bool = False
) -> Answered:
    request = f"request-{offset:010}"
    return Answered(
        site="park",
        device="gate",
        offset=offset,
        at=AT + offset,
        by=by,
        command=Refuse(request=request, reason="quota", retry_after_s=9)
        if refused
        else Dispense(request=request, cm=60),
        repeated=repeated,
        identity=identity,
        visitor=pseudonym(b"s" * 32, "gate", request, offset),
        score=300 + offset if identity == "same" else None,
        model="synthetic/1",
    )


def received(outcomes: Sequence[Outcome], k: int = K, wait_ms: int = 17) -> list[Line]:
    """The points of sums, once the period is closed."""
    periods, lines = Periods(PERIOD_S, k), []
    for number, outcome in enumerate([*outcomes, TAIL]):
        lines += periods.take(number, outcome, outcome.at + wait_ms)
    return [line for line in map(read, lines) if line.measurement in {"requests", "answers", "faces"}]


def read(line: str) -> Line:
    head, body, at = line.split(" ")
    measurement, *tags = head.split(",")
    fields = dict(field.split("=") for field in body.split(","))
    return Line(measurement, dict(tag.split("=") for tag in tags), fields, int(at))


def test_a_period_is_reported_when_a_later_decision_closes_it_and_not_before() -> None:
    periods = Periods(PERIOD_S, K)
    for offset in range(9):
        assert periods.take(offset, answered(offset), AT) == []
    requests, answers, tick = map(read, periods.take(9, TAIL, TAIL.at + 3))
    assert (requests.at, answers.at) == (AT * 1_000_000, AT * 1_000_000)
    assert requests.fields["n"] == "9i"
    assert answers.tags == {"site": "park", "by": "face", "outcome": "dispense"}
    assert answers.fields == {"n": "9i", "cm": "540i"}
    assert (tick.measurement, tick.fields["decided_ms"]) == ("sites", "3i")


def test_a_clock_that_is_set_back_closes_the_period_of_the_future() -> None:
    periods, ahead = Periods(PERIOD_S, K), structs.replace(TAIL, offset=1)
    periods.take(0, answered(0), AT)
    periods.take(1, ahead, ahead.at)
    told_at = [
        line.at // 1_000_000
        for offset, at in ((2, AT + 60_000), (3, AT + 120_000))
        for line in map(read, periods.take(offset, structs.replace(TAIL, offset=offset, at=at), at))
        if line.measurement == "requests"
    ]
    assert told_at == [TAIL.at - TAIL.at % (1000 * PERIOD_S), AT + 60_000 - (AT + 60_000) % (1000 * PERIOD_S)]


def test_a_cell_of_fewer_than_k_is_only_a_number_of_the_suppressed() -> None:
    few = [answered(offset) for offset in range(5)] + [answered(offset, refused=True) for offset in range(5, 9)]
    requests, cell = received(few)
    assert (requests.fields["n"], requests.fields["suppressed"]) == ("9i", "4i")
    assert cell.tags["outcome"] == "dispense"
    _, _, refused = received([*few, answered(9, refused=True)])
    assert refused.tags == {"site": "park", "by": "face", "outcome": "refuse", "reason": "quota"}
    assert refused.fields["n"] == "5i"


def test_a_site_where_nobody_came_and_nothing_was_reported_is_reported_as_such() -> None:
    ticks = [SiteCounted(site=site, offset=7, at=AT, templates=0, accounts=0, oldest_s=0.0) for site in ("a", "b")]
    report = ReportKept(
        site="b", device="gate", offset=8, at=AT + 8, command=Ack(numbers=(1,)), what="dispensed", cm=60
    )
    silent, reporting = received([*ticks, report])
    assert (silent.tags, silent.fields["n"], silent.fields["reports"]) == ({"site": "a"}, "0i", "0i")
    assert (reporting.tags, reporting.fields["n"], reporting.fields["reports"]) == ({"site": "b"}, "0i", "1i")


def test_with_k_of_one_nothing_is_suppressed() -> None:
    requests, answers, faces = received([answered(0, identity="same")], k=1)
    assert (requests.fields["suppressed"], requests.fields["suppressed_faces"]) == ("0i", "0i")
    assert requests.fields["p99_ms"] == "17i"
    assert answers.fields == {"n": "1i", "cm": "60i"}
    assert (faces.tags["identity"], faces.fields["score_sum"]) == ("same", "300i")


def test_faces_are_reported_by_identity_and_model() -> None:
    looks: list[Identity] = ["same"] * 5 + ["new"] * 6 + ["doubt"] * 4  # type: ignore[assignment]
    requests, _, *faces = received([answered(offset, identity=identity) for offset, identity in enumerate(looks)])
    assert requests.fields["suppressed_faces"] == "4i"
    assert [(face.tags["identity"], face.fields) for face in faces] == [
        ("same", {"n": "5i", "scored": "5i", "score_sum": "1510i"}),
        ("new", {"n": "6i", "scored": "0i", "score_sum": "0i"}),
    ]


def test_those_who_were_forgotten_are_reported_with_what_was_erased() -> None:
    receipts = [
        Answered(
            site="park", device="gate", offset=n, at=AT, by="forget", command=Forgotten(request="r" * 16, erased=2)
        )
        for n in range(5)
    ]
    _, answers = received(receipts)
    assert (answers.tags["outcome"], answers.fields["erased"], answers.fields["cm"]) == ("forgotten", "10i", "0i")


def test_waits_are_reported_by_percentile_from_k_requests_on() -> None:
    periods = Periods(PERIOD_S, K)
    for offset in range(100):
        periods.take(offset, answered(offset), AT + offset + offset + 1)
    fields = read(periods.take(100, TAIL, TAIL.at)[0]).fields
    assert [fields[name] for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")] == ["50i", "95i", "99i", "100i"]
    assert "p50_ms" not in received([answered(offset) for offset in range(4)])[0].fields


def test_a_clock_that_goes_back_makes_no_negative_wait() -> None:
    assert received([answered(offset) for offset in range(5)], wait_ms=-4)[0].fields["p50_ms"] == "0i"


def test_a_repeated_request_is_a_repeat_and_no_second_request() -> None:
    requests, *_ = received([*(answered(offset) for offset in range(5)), answered(5, repeated=True)])
    assert (requests.fields["n"], requests.fields["repeats"]) == ("5i", "1i")


def test_what_the_decider_says_again_after_a_crash_counts_once() -> None:
    first, second, third = (answered(offset) for offset in range(3))
    report = ReportKept(
        site="park", device="gate", offset=3, at=AT + 3, command=Ack(numbers=(1,)), what="dispensed", cm=60
    )
    assert received([first, second, third, report, second, third, report]) == received([first, second, third, report])
    periods = Periods(PERIOD_S, K)
    assert len(periods.take(0, report, AT)) == 1
    assert periods.take(1, report, AT + 9) == []


def test_all_sites_of_a_tick_are_reported() -> None:
    periods = Periods(PERIOD_S, K)
    ticks = [SiteCounted(site=site, offset=7, at=AT, templates=0, accounts=0, oldest_s=0.0) for site in ("a", "b", "c")]
    assert [len(periods.take(number, tick, AT)) for number, tick in enumerate(ticks)] == [1, 1, 1]


def test_what_may_be_committed_is_where_the_open_period_began() -> None:
    periods = Periods(PERIOD_S, K)
    for number, offset in enumerate((0, 10_000, 59_999, 60_000, 70_000, 120_000)):
        periods.take(40 + number, answered(offset), AT + offset)
        assert periods.begun == 40 + (0, 0, 0, 3, 3, 5)[number]


@st.composite
def streams(draw: st.DrawFn) -> list[Kept]:
    """Decisions of one partition as a decider that crashes at times writes them."""
    kept: list[Kept] = []
    at = AT
    for offset in range(draw(st.integers(1, 60))):
        at += draw(st.integers(0, 20_000))
        site = draw(st.sampled_from(["park", "hall"]))
        kind = draw(st.sampled_from(["tick", "report", "face", "button", "again"]))
        outcomes = list(_outcomes(kind, site, offset, at, refused=draw(st.booleans())))
        wait = draw(st.integers(0, 30_000))
        kept += [Kept(outcome, at + wait) for outcome in outcomes]
        if draw(st.integers(0, 5)) == 0:  # killed before it had committed
            again = kept[-draw(st.integers(1, 8)) :]
            kept += [Kept(outcome, at + wait + 9_000) for outcome, _ in again]
    return kept


def _outcomes(kind: str, site: str, offset: int, at: int, *, refused: bool) -> Iterator[Outcome]:
    request = f"request-{offset:010}"
    match kind:
        case "tick":
            for name in ("hall", "park"):
                yield SiteCounted(site=name, offset=offset, at=at, templates=offset, accounts=0, oldest_s=0.0)
        case "report":
            noted = Ack(numbers=(offset + 1,))
            yield ReportKept(site=site, device="gate", offset=offset, at=at, command=noted, what="dispensed", cm=60)
        case _:
            command = (
                Refuse(request=request, reason="quota", retry_after_s=9)
                if refused
                else Dispense(request=request, cm=60)
            )
            by: By = "button" if kind == "button" else "face"
            yield Answered(
                site=site, device="gate", offset=offset, at=at, by=by, command=command, repeated=kind == "again"
            )


def stored(stream: Sequence[Kept], restarts: frozenset[int], batch: int, k: int) -> dict[tuple[str, int], str]:
    """What InfluxDB holds in the end, where a sink writes and commits by batches and is killed after some records."""
    database: dict[tuple[str, int], str] = {}
    committed, read_once = 0, set[int]()
    periods, pending = Periods(PERIOD_S, k), list[str]()
    number = 0
    while number < len(stream):
        pending += periods.take(number, stream[number].outcome, stream[number].appended)
        if number in restarts - read_once:
            read_once.add(number)
            number, periods = committed, Periods(PERIOD_S, k)
            pending.clear()
            continue
        number += 1
        if number % batch == 0 or number == len(stream):
            for line in pending:
                head, body, at = line.rsplit(" ", 2)
                database[head, int(at)] = body
            pending.clear()
            committed = periods.begun
    return database


@given(streams(), st.frozensets(st.integers(0, 200), max_size=6), st.integers(1, 20), st.sampled_from([1, 3]))
def test_any_batches_and_restarts_give_the_same_points(
    stream: list[Kept], restarts: frozenset[int], batch: int, k: int
) -> None:
    stream = [*stream, Kept(TAIL, TAIL.at)]
    assert stored(stream, restarts, batch, k) == stored(stream, frozenset(), 1, k)


@given(streams(), st.sampled_from([1, 3]))
def test_every_request_is_counted_once_and_every_other_event_is_one_point(stream: list[Kept], k: int) -> None:
    points = stored([*stream, Kept(TAIL, TAIL.at)], frozenset(), 1, k)
    lines = [read(" ".join((head, body, str(at)))) for (head, at), body in points.items()]
    asked = {o.offset for o, _ in stream if isinstance(o, Answered) and not o.repeated}
    counted = [line for line in lines if line.measurement == "requests"]
    assert sum(int(line.fields["n"][:-1]) for line in counted) == len(asked)
    cells = sum(int(line.fields["n"][:-1]) for line in lines if line.measurement == "answers")
    assert cells + sum(int(line.fields["suppressed"][:-1]) for line in counted) == len(asked)
    reports = {o.offset for o, _ in stream if isinstance(o, ReportKept)}
    assert sum(line.measurement == "reports" for line in lines) == len(reports)


@given(streams())
def test_no_cell_is_smaller_than_k(stream: list[Kept]) -> None:
    points = stored([*stream, Kept(TAIL, TAIL.at)], frozenset(), 1, K)
    for head, at in points:
        if head.startswith(("answers", "faces")):
            assert int(read(f"{head} {points[head, at]} {at}").fields["n"][:-1]) >= K


@given(streams())
def test_what_may_be_committed_never_goes_back(stream: list[Kept]) -> None:
    periods, begun = Periods(PERIOD_S, K), []
    for number, (outcome, appended) in enumerate(stream):
        periods.take(number, outcome, appended)
        begun.append(periods.begun)
    assert all(one <= other for one, other in pairwise(begun))
