"""The checker finds each kind of violation, planted into the evidence of a pipeline that did everything right."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import Dispense, Dispensed, Refuse, Stock
from models.keys.seals import Keyring
from models.ledger.codec import decode_outcome
from models.ledger.decision import Decision
from models.ledger.outcomes import Answered, ReportKept
from models.ledger.rows import PARTITION_KEY
from tests.experiments.chaos.checker import Evidence, Verdict, check
from tests.experiments.chaos.evidence import Books, Kept
from tests.experiments.chaos.probes import PROBE
from tests.experiments.chaos.visitor_log import (
    AnswerShown,
    Entry,
    MotorStarted,
    MotorStopped,
    PowerOff,
    PowerOn,
    RequestSent,
)
from tests.support.story import SECRET, SITE, Story

_ANN, _BOB, _CID = (f"request-of-{name}-0000" for name in ("ann", "bob", "cid"))


class Pipeline:
    """One that does everything right, until a test changes it: what Kafka has, record by record."""

    def __init__(self) -> None:
        story = Story()
        story.face("ann", request=_ANN)
        story.report(Dispensed(number=1, request=_ANN, cm=60))
        story.face("bob", request=_BOB)
        story.report(Dispensed(number=2, request=_BOB, cm=30, fault="jam"))
        story.face("ann", request=_CID)
        story.report(Stock(number=1, cm=0), PROBE)
        story.tick()
        self.events = [Kept(2, r.offset, r.at, b"", encode(r.event)) for r in story.records]
        self.decisions = [
            encode(outcome)
            for decision in story.decisions
            for outcome in decision.outcomes
            if isinstance(outcome, Answered | ReportKept)
        ] + [encode(outcome) for outcome in story.decisions[-1].outcomes]
        self.sent_at = 0
        """when Kafka got the decisions, milliseconds since 1970"""
        self.rows = [row for decision in story.decisions for row in _written(decision)]
        self.visitor_log: list[Entry] = [
            PowerOn(at=0),
            _asked(1, _ANN),
            MotorStarted(at=1.1, request=_ANN, cm=60, commanded=True),
            MotorStopped(at=1.2, request=_ANN, cm=60),
            AnswerShown(at=1.2, request=_ANN, what="dispense", waited_s=0.1),
            _asked(2, _BOB),
            MotorStarted(at=2.1, request=_BOB, cm=60, commanded=True),
            MotorStopped(at=2.2, request=_BOB, cm=30),
            AnswerShown(at=2.2, request=_BOB, what="dispense", waited_s=0.1),
            _asked(3, _CID),
            AnswerShown(at=3.4, request=_CID, what="refuse", waited_s=0.4),
            PowerOff(at=9, unacknowledged=0, went=0),
        ]

    def answer_to(self, request: str) -> int:
        """Where its decision stands."""
        for place, value in enumerate(self.decisions):
            outcome = decode_outcome(value)
            if isinstance(outcome, Answered) and outcome.command.request == request:
                return place
        raise AssertionError

    def kept(self, number: int) -> int:
        """Where it stands that a report of the gate is kept."""
        for place, value in enumerate(self.decisions):
            outcome = decode_outcome(value)
            if isinstance(outcome, ReportKept) and outcome.command.numbers == (number,) and outcome.device != PROBE:
                return place
        raise AssertionError

    def entry(self, kind: type[Entry], request: str) -> int:
        """Where it stands in the visitor_log."""
        return next(
            place
            for place, entry in enumerate(self.visitor_log)
            if isinstance(entry, kind) and getattr(entry, "request", "") == request
        )

    def judged(self, acknowledged: Sequence[tuple[str, int]] = ((SITE, 1),)) -> Verdict:
        books = Books(SECRET, Keyring())
        books.add_events(self.events)
        books.add_decisions(Kept(2, place, self.sent_at, b"", value) for place, value in enumerate(self.decisions))
        books.add_rows(self.rows)
        return check(Evidence(books=books, visitor_logs=[self.visitor_log], acknowledged=acknowledged))


def _written(decision: Decision) -> list[Kept]:
    removed = [Kept(2, 0, 0, f"2/{key}".encode(), None) for key in decision.removed]
    assert decision.row
    return [*removed, Kept(2, 0, 0, f"2/{decision.key}".encode(), encode(decision.row))]


def _asked(at: float, request: str, instead_of: str | None = None) -> RequestSent:
    return RequestSent(at=at, request=request, site=SITE, device="gate", person=1, by="face", instead_of=instead_of)


def _only(verdict: Verdict) -> str:
    [sentence] = verdict.off
    return sentence


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


def test_nothing_is_off_where_all_went_well(pipeline: Pipeline) -> None:
    verdict = pipeline.judged()
    assert verdict.is_ok, verdict.off
    counted = structs.asdict(verdict)
    assert counted == counted | {"asked": 3, "in_kafka": 3, "decided": 3, "in_time": 3, "rations": 0}
    assert verdict.longest_s == 0.4


def test_request_in_kafka_without_a_decision_is_lost(pipeline: Pipeline) -> None:
    del pipeline.decisions[pipeline.answer_to(_BOB)]
    verdict = pipeline.judged()
    assert (verdict.lost, verdict.decided) == (1, 2)
    assert f"1 requests in Kafka without a decision: {_BOB}" in verdict.off


def test_request_that_got_its_answer_only_as_a_repetition_is_lost_too(pipeline: Pipeline) -> None:
    place = pipeline.answer_to(_BOB)
    first = decode_outcome(pipeline.decisions[place])
    assert isinstance(first, Answered)
    pipeline.decisions[place] = encode(structs.replace(first, repeated=True))
    assert pipeline.judged().lost == 1


def test_a_second_decision_for_a_request_is_doubled_and_a_repetition_is_not(pipeline: Pipeline) -> None:
    first = decode_outcome(pipeline.decisions[pipeline.answer_to(_ANN)])
    assert isinstance(first, Answered)
    pipeline.decisions.append(encode(structs.replace(first, repeated=True, at=first.at + 5)))
    pipeline.decisions.append(encode(first))
    assert pipeline.judged().is_ok
    refused = Refuse(request=_ANN, reason="quota", retry_after_s=1)
    pipeline.decisions.append(encode(structs.replace(first, offset=4, command=refused)))
    verdict = pipeline.judged()
    assert verdict.doubled == 1
    assert f"1 doubled: {_ANN} decided 2 times" in verdict.off


def test_motor_that_ran_twice_for_a_request_is_doubled(pipeline: Pipeline) -> None:
    again = MotorStarted(at=1.15, request=_ANN, cm=60, commanded=True)
    pipeline.visitor_log.insert(pipeline.entry(MotorStopped, _ANN), again)
    verdict = pipeline.judged()
    assert (verdict.doubled, _only(verdict)) == (1, f"1 doubled: {_ANN} ran the motor 2 times")


@pytest.mark.parametrize("closed_by", ["word", "power", "patience"])
def test_motor_that_runs_by_command_for_a_closed_request_is_late(pipeline: Pipeline, closed_by: str) -> None:
    place = pipeline.entry(MotorStarted, _ANN)
    started = pipeline.visitor_log[place]
    match closed_by:
        case "word":
            del pipeline.visitor_log[place]
            pipeline.visitor_log.insert(pipeline.entry(AnswerShown, _ANN) + 1, started)
        case "power":
            pipeline.visitor_log.insert(place, PowerOn(at=1.05))
        case _:
            pipeline.visitor_log[place] = structs.replace(started, at=5.5)
    verdict = pipeline.judged()
    assert verdict.late == 1
    assert f"the motor ran for {_ANN}" in _only(verdict)


def test_a_local_ration_after_the_patience_is_not_late(pipeline: Pipeline) -> None:
    pipeline.visitor_log[-1:-1] = [
        _asked(4, "request-of-dan-0000"),
        MotorStarted(at=8.5, request="request-of-dan-0000", cm=60, commanded=False),
    ]
    assert pipeline.judged().late == 0


def test_centimetres_that_no_report_reported_are_missed(pipeline: Pipeline) -> None:
    place = pipeline.entry(MotorStopped, _BOB)
    pipeline.visitor_log[place] = structs.replace(pipeline.visitor_log[place], cm=31)
    assert _only(pipeline.judged()) == "1 ledgers that differ: park/gate gave 91 cm, reported 90"


def test_what_came_out_before_a_power_cut_may_be_unknown(pipeline: Pipeline) -> None:
    pipeline.visitor_log[-1:-1] = [
        _asked(4, "request-of-dan-0000"),
        MotorStarted(at=4.1, request="request-of-dan-0000", cm=60, commanded=False),
        PowerOn(at=5),
    ]
    assert not [sentence for sentence in pipeline.judged().off if "ledger" in sentence]


def test_motor_of_which_kafka_heard_nothing_is_missed(pipeline: Pipeline) -> None:
    pipeline.visitor_log[-1:-1] = [
        _asked(4, "request-of-dan-0000"),
        MotorStarted(at=4.1, request="request-of-dan-0000", cm=60, commanded=False),
        MotorStopped(at=4.2, request="request-of-dan-0000", cm=60),
        AnswerShown(at=4.2, request="request-of-dan-0000", what="ration", waited_s=3.0),
    ]
    off = pipeline.judged().off
    assert "1 ledgers that differ: park/gate gave 150 cm, reported 90" in off
    assert "1 not noted: the motor's run for request-of-dan-0000" in off


def test_reports_that_were_not_noted_at_the_end_are_reported(pipeline: Pipeline) -> None:
    pipeline.visitor_log[-1] = PowerOff(at=9, unacknowledged=2, went=0)
    assert _only(pipeline.judged()) == "1 not noted: crowd 1 has 2 unacknowledged reports"


def test_crowd_that_never_came_back_is_reported(pipeline: Pipeline) -> None:
    del pipeline.visitor_log[-1]
    assert _only(pipeline.judged()) == "1 not noted: crowd 1 died"


def test_person_who_was_reported_nothing_is_reported_of(pipeline: Pipeline) -> None:
    del pipeline.visitor_log[pipeline.entry(AnswerShown, _CID)]
    assert _only(pipeline.judged()) == f"1 people left without an answer: {_CID}"


def test_person_who_asked_again_after_a_power_cut_waited_since_the_first_time(pipeline: Pipeline) -> None:
    place = pipeline.entry(RequestSent, _CID)
    pipeline.visitor_log[place:place] = [_asked(2.5, "request-of-cid-0001"), PowerOn(at=2.8)]
    pipeline.visitor_log[place + 2] = _asked(3, _CID, instead_of="request-of-cid-0001")
    verdict = pipeline.judged()
    assert verdict.is_ok, verdict.off
    assert verdict.longest_s == pytest.approx(0.9)


def test_pause_is_the_longest_time_between_two_answers_of_the_pipeline_at_a_site(pipeline: Pipeline) -> None:
    moments = [entry.at for entry in pipeline.visitor_log if isinstance(entry, AnswerShown)]
    assert pipeline.judged().pause_s == max(later - earlier for earlier, later in pairwise(moments))


def test_decision_other_than_a_plain_fold_gives_is_reported(pipeline: Pipeline) -> None:
    place = pipeline.answer_to(_BOB)
    first = decode_outcome(pipeline.decisions[place])
    assert isinstance(first, Answered)
    assert isinstance(first.command, Dispense)
    pipeline.decisions[place] = encode(structs.replace(first, command=Dispense(request=_BOB, cm=61)))
    assert "events decided otherwise than by a plain fold: 2/3 should send" in _only(pipeline.judged())


def test_a_template_may_be_missed_only_by_a_worker_that_decides_after_a_step_of_the_seal_chain(
    pipeline: Pipeline,
) -> None:
    place = pipeline.answer_to(_BOB)
    first = decode_outcome(pipeline.decisions[place])
    assert isinstance(first, Answered)
    assert first.score
    pipeline.decisions[place] = encode(structs.replace(first, score=first.score - 1))
    pipeline.sent_at = first.at
    assert "1 events decided otherwise than by a plain fold" in _only(pipeline.judged())
    pipeline.sent_at = first.at + 60_000
    assert pipeline.judged().is_ok
    pipeline.decisions[place] = encode(structs.replace(first, score=first.score + 1))
    assert "1 events decided otherwise than by a plain fold" in _only(pipeline.judged())


def test_redelivered_report_that_shows_its_centimetres_to_more_than_were_reported_is_reported(
    pipeline: Pipeline,
) -> None:
    first = decode_outcome(pipeline.decisions[pipeline.kept(2)])
    assert isinstance(first, ReportKept)
    pipeline.decisions.append(encode(structs.replace(first, at=first.at + 1)))
    assert pipeline.judged().is_ok
    pipeline.decisions.append(encode(structs.replace(first, cm=60)))
    assert any("besides" in sentence for sentence in pipeline.judged().off)


@pytest.mark.parametrize("planted", ["older", "missing", "left over"])
def test_changelog_that_ends_with_other_rows_than_a_plain_fold_is_reported(pipeline: Pipeline, planted: str) -> None:
    partition_row = f"2/{PARTITION_KEY}".encode()
    [last] = [row for row in pipeline.rows if row.key == partition_row][-1:]
    match planted:
        case "older":
            pipeline.rows.append(last._replace(value=(last.value or b"").replace(b'"offset":7', b'"offset":6')))
        case "missing":
            pipeline.rows.append(last._replace(value=None))
        case _:
            pipeline.rows.append(last._replace(key=b"2/visitor/park/stranger"))
    sentence = _only(pipeline.judged())
    assert sentence.startswith("1 rows of the changelog differ from a plain fold: 2/")
    assert "stranger" not in sentence


def test_probe_that_the_broker_acknowledged_and_kafka_does_not_have_is_lost(pipeline: Pipeline) -> None:
    verdict = pipeline.judged(acknowledged=[(SITE, 1), (SITE, 2)])
    assert _only(verdict) == f"1 probes acknowledged and lost: {SITE} number 2"
