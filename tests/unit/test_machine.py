import ast
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from devices import machine
from devices.machine import State, step
from devices.moves import (
    Action,
    Asked,
    Closed,
    Commanded,
    Connected,
    Controlled,
    Event,
    Measured,
    Ran,
    RunMotor,
    SendReport,
    SendRequest,
    TimePassed,
)
from models.messages import (
    ButtonPressed,
    Control,
    Declined,
    Dispense,
    Dispensed,
    ForgetAsked,
    Forgotten,
    LocalRation,
    Noted,
    Refuse,
    Report,
    Stock,
)

PATIENCE_S = 3.0
ANN, BOB = (ButtonPressed(id=f"request-of-{name}-001") for name in ("ann", "bob"))
FORGET = ForgetAsked(id="request-forget-01", model="synthetic/1", template=bytes(64))


class Gate:
    """A dispenser and its monotonic clock."""

    def __init__(self) -> None:
        self.state = State()
        self.now = 100.0

    def happens(self, event: Event, after: float = 0.0) -> list[Action]:
        self.now += after
        self.state, actions = step(self.state, event, self.now)
        return list(actions)

    def asks(self, request: ButtonPressed | ForgetAsked = ANN) -> list[Action]:
        return self.happens(Asked(request, PATIENCE_S))

    def is_told(self, request: str = ANN.id, cm: int = 60, *, retained: bool = False) -> list[Action]:
        return self.happens(Commanded(Dispense(request=request, cm=cm), retained))

    def reports(self) -> list[Report]:
        return [kept.report for kept in self.state.reports]


def served() -> Gate:
    gate = Gate()
    gate.asks()
    gate.is_told()
    gate.happens(Ran(60))
    return gate


def declined(request: str, reason: Any, number: int) -> list[Action]:
    return [SendReport(Declined(number=number, request=request, reason=reason))]


def test_an_answer_runs_the_motor_once_and_what_came_out_is_told_and_reported() -> None:
    gate = Gate()
    assert gate.asks() == [SendRequest(ANN, 3)]
    gate.now += 0.25
    assert gate.is_told(cm=45) == [RunMotor(45)]
    sent, closed = gate.happens(Ran(22, "jam"), after=2)
    assert sent == SendReport(Dispensed(number=1, request=ANN.id, cm=22, fault="jam"))
    assert closed == Closed(ANN.id, Dispense(request=ANN.id, cm=45), 0.25, 22)
    assert gate.state.is_free


def test_a_command_that_comes_twice_is_not_obeyed_again_whether_or_not_the_motor_still_runs() -> None:
    gate = Gate()
    gate.asks()
    gate.is_told()
    assert gate.is_told() == []
    gate.happens(Ran(60))
    assert gate.is_told() == []
    gate.asks(BOB)
    assert gate.is_told() == []


def test_a_command_for_a_request_that_nobody_made_is_declined_as_unknown() -> None:
    gate = Gate()
    gate.asks()
    assert gate.is_told(BOB.id) == declined(BOB.id, "unknown", 1)
    assert gate.state.open


def test_a_retained_command_is_never_obeyed() -> None:
    gate = Gate()
    gate.asks()
    assert gate.is_told(retained=True) == declined(ANN.id, "retained", 1)
    assert gate.is_told() == [RunMotor(60)]


def test_at_the_deadline_the_local_ration_runs_and_a_late_command_is_declined_as_closed() -> None:
    gate = Gate()
    gate.happens(
        Controlled(
            Control(
                site="park",
                mode="face",
                policy="0123456789ab",
                epoch=0,
                ration_cm=40,
                ration_budget_cm=6000,
                window_s=540,
            )
        )
    )
    gate.asks()
    assert gate.state.wakes_at <= gate.now + PATIENCE_S
    assert gate.happens(TimePassed(), after=PATIENCE_S) == [RunMotor(40)]
    assert gate.is_told() == declined(ANN.id, "closed", 1)
    sent, closed = gate.happens(Ran(40))
    assert sent == SendReport(LocalRation(number=2, request=ANN.id, cm=40))
    assert closed == Closed(ANN.id, None, PATIENCE_S, 40)


def test_a_command_that_comes_at_the_deadline_finds_the_ration_even_before_time_is_told() -> None:
    gate = Gate()
    gate.asks()
    gate.now += PATIENCE_S
    assert gate.is_told(cm=45) == [RunMotor(machine.DEFAULT_RATION_CM)]
    assert gate.is_told(cm=45) == declined(ANN.id, "closed", 1)


def test_a_refusal_that_comes_after_the_deadline_is_too_late_to_refuse() -> None:
    gate = Gate()
    gate.asks()
    refusal = Refuse(request=ANN.id, reason="quota", retry_after_s=400)
    assert gate.happens(Commanded(refusal), after=PATIENCE_S) == [RunMotor(60)]
    sent, closed = gate.happens(Ran(60))
    assert sent == SendReport(LocalRation(number=1, request=ANN.id, cm=60))
    assert closed == Closed(ANN.id, None, PATIENCE_S, 60)


def test_a_refusal_closes_and_tells_when_to_come_again() -> None:
    gate = Gate()
    gate.asks()
    refusal = Refuse(request=ANN.id, reason="quota", retry_after_s=400)
    assert gate.happens(Commanded(refusal), after=0.5) == [Closed(ANN.id, refusal, 0.5)]
    assert gate.happens(Commanded(refusal)) == []
    assert gate.is_told() == declined(ANN.id, "closed", 1)


def test_a_retained_refusal_closes_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(Commanded(Refuse(request=ANN.id, reason="quota", retry_after_s=400), retained=True)) == []
    assert gate.is_told() == [RunMotor(60)]


def test_a_refusal_of_another_request_closes_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(Commanded(Refuse(request=BOB.id, reason="quota", retry_after_s=400))) == []
    assert gate.is_told() == [RunMotor(60)]


def test_whoever_asks_while_somebody_else_is_served_starts_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.asks(BOB) == []
    gate.is_told()
    assert gate.asks(BOB) == []
    gate.happens(Ran(60))
    assert gate.asks(BOB) == [SendRequest(BOB, 3)]


def test_a_request_is_repeated_under_its_id_with_what_is_left_of_the_patience() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(TimePassed(), after=0.9) == []
    assert gate.happens(TimePassed(), after=0.2) == [SendRequest(ANN, 2)]
    assert gate.happens(Connected(), after=0.1) == [SendRequest(ANN, 2)]
    assert gate.happens(TimePassed(), after=1.0) == [SendRequest(ANN, 1)]
    gate.is_told()
    assert gate.happens(Connected()) == []


def test_reports_are_numbered_one_after_another_from_one() -> None:
    gate = served()
    gate.happens(Measured(Stock(number=99, cm=12_000)))
    gate.is_told(BOB.id)
    assert [report.number for report in gate.reports()] == [1, 2, 3]


def test_a_report_is_repeated_with_its_growing_age_until_it_is_noted() -> None:
    gate = served()
    ages = [gate.happens(TimePassed(), after=5.0) for _ in range(3)]
    assert ages == [[SendReport(Dispensed(number=1, request=ANN.id, cm=60, ago_s=age))] for age in (5.0, 10.0, 15.0)]
    gate.happens(Commanded(Noted(numbers=(2,))))
    assert gate.happens(TimePassed(), after=5.0) != []
    gate.happens(Commanded(Noted(numbers=(1, 7))))
    assert gate.happens(TimePassed(), after=60.0) == []
    assert gate.state.wakes_at == float("inf")


def test_a_new_connection_brings_everything_again_that_is_without_an_answer() -> None:
    gate = served()
    gate.asks(FORGET)
    gate.asks(BOB)
    sent = gate.happens(Connected(), after=0.125)
    report = Dispensed(number=1, request=ANN.id, cm=60, ago_s=0.125)
    assert sent == [SendReport(report), SendRequest(FORGET, None), SendRequest(BOB, 3)]


def test_to_be_forgotten_can_be_asked_at_any_time_and_is_repeated_until_it_is_answered() -> None:
    gate = Gate()
    gate.asks()
    assert gate.asks(FORGET) == [SendRequest(FORGET, None)]
    gate.is_told()
    gate.happens(Ran(60))
    gate.happens(Commanded(Noted(numbers=(1,))))
    for _ in range(3):
        assert gate.happens(TimePassed(), after=1000.0) == [SendRequest(FORGET, None)]
    receipt = Forgotten(request=FORGET.id, erased=1)
    assert gate.happens(Commanded(receipt)) == [Closed(FORGET.id, receipt, 3000.0)]
    assert gate.happens(Commanded(receipt)) == []
    assert gate.happens(TimePassed(), after=1000.0) == []


def test_a_motor_that_stops_without_having_run_means_nothing() -> None:
    assert Gate().happens(Ran(60)) == []


@pytest.mark.parametrize("forbidden", ["time", "datetime", "random", "asyncio", "socket", "os"])
def test_no_clock_and_no_network_is_ever_imported(forbidden: str) -> None:
    tree = ast.parse(Path(machine.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in imports for name in _imported(node)}
    assert forbidden not in names


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
    return [name.split(".")[0] for name in names]


class AnyOrder(RuleBasedStateMachine):
    """Whatever comes in whatever order: at most one run a request, none after its end, no report lost."""

    made = Bundle("made")
    forgets = Bundle("forgets")

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.ids = count()
        self.open: str | None = None
        self.running = False
        self.obeyed: set[str] = set()
        self.runs: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.unnoted: set[int] = set()
        self.numbered = 0

    def happens(self, event: Event, after: float = 0.0) -> list[Action]:
        actions = self.gate.happens(event, after)
        for action in actions:
            self.check(action)
        return actions

    def check(self, action: Action) -> None:
        match action:
            case RunMotor():
                assert self.open
                assert not self.running
                self.runs[self.open] += 1
                self.open, self.running = None, True
            case Closed():
                self.told[action.request] += 1
                if self.open == action.request:
                    self.open = None
            case SendReport(report=report) if report.number > self.numbered:
                assert report.number == self.numbered + 1
                self.numbered += 1
                self.unnoted.add(report.number)

    @rule(target=made)
    def ask(self) -> str:
        request = ButtonPressed(id=f"request-{next(self.ids):010d}")
        if self.happens(Asked(request, PATIENCE_S)):
            self.open = request.id
        return request.id

    @rule(request=made | st.just("request-of-nobody"), retained=st.booleans())
    def dispense(self, request: str, *, retained: bool) -> None:
        obeyed = request == self.open and not retained
        known = request in self.obeyed
        actions = self.happens(Commanded(Dispense(request=request, cm=60), retained))
        if obeyed:
            self.obeyed.add(request)
        assert [type(action) for action in actions] == ([RunMotor] if obeyed else [] if known else [SendReport])

    @rule(request=made)
    def refuse(self, request: str) -> None:
        self.happens(Commanded(Refuse(request=request, reason="quota", retry_after_s=9)))

    @rule(target=forgets)
    def ask_to_be_forgotten(self) -> str:
        request = ForgetAsked(id=f"request-{next(self.ids):010d}", model="synthetic/1", template=bytes(64))
        self.happens(Asked(request, PATIENCE_S))
        return request.id

    @rule(request=consumes(forgets), times=st.integers(1, 2))
    def forget(self, request: str, times: int) -> None:
        for _ in range(times):
            self.happens(Commanded(Forgotten(request=request, erased=0)))
        assert self.told[request] == 1

    @rule(cm=st.integers(0, 60))
    def motor_stops(self, cm: int) -> None:
        actions = self.happens(Ran(cm))
        assert [type(action) for action in actions] == ([SendReport, Closed] if self.running else [])
        self.running = False

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.happens(TimePassed(), seconds)

    @rule()
    def connection_comes_back(self) -> None:
        sent = [action.report.number for action in self.happens(Connected()) if isinstance(action, SendReport)]
        assert set(sent) == self.unnoted

    @rule(numbers=st.sets(st.integers(1, 20)))
    def reports_are_noted(self, numbers: set[int]) -> None:
        self.happens(Commanded(Noted(numbers=tuple(numbers))))
        self.unnoted -= numbers

    @invariant()
    def nothing_runs_or_is_told_twice(self) -> None:
        assert max(self.runs.values(), default=0) <= 1
        assert max(self.told.values(), default=0) <= 1

    @invariant()
    def every_report_is_kept_until_it_is_noted(self) -> None:
        assert {report.number for report in self.gate.reports()} == self.unnoted

    @invariant()
    def it_is_free_when_nobody_is_served(self) -> None:
        assert self.gate.state.is_free == (self.open is None and not self.running)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
