import ast
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from devices.machine import camera_permission, connection, dispenser, persistent_state, reports
from devices.machine.actions import (
    Action,
    CommandReceived,
    Connected,
    Connecting,
    ControlLost,
    ControlReceived,
    Disconnected,
    Event,
    Measured,
    MotorStopped,
    RequestClosed,
    RequestMade,
    RunMotor,
    SendReport,
    SendRequest,
    StepKey,
    TimePassed,
)
from devices.machine.dispenser import resume, step
from devices.machine.persistent_state import MAX_REPORTS, Memory
from devices.machine.reports import IN_FLIGHT
from devices.machine.state import State
from models.contract.messages import (
    Ack,
    ButtonPressed,
    Control,
    Declined,
    Dispense,
    Dispensed,
    FaceSeen,
    ForgetRequested,
    Forgotten,
    LocalRation,
    Mode,
    Refuse,
    Report,
    Request,
    Revision,
    StaffPressed,
    Stock,
)

PATIENCE_MS = 3_000
ANN, BOB = (ButtonPressed(id=f"request-of-{name}-001") for name in ("ann", "bob"))
STAFF = StaffPressed(id="request-of-staff-1")
FIRST, SECOND, THIRD = Revision(1000, 7), Revision(1000, 8), Revision(2000, 3)
FORGET = ForgetRequested(id="request-forget-01", model="synthetic/1", template=bytes(64))


class Gate:
    """A dispenser and its monotonic clock."""

    def __init__(self) -> None:
        self.state = State()
        self.now = 100_000

    def happens(self, event: Event, after: int = 0) -> list[Action]:
        self.now += after
        self.state, actions = step(self.state, event, self.now)
        return list(actions)

    def asks(self, request: Request = ANN) -> list[Action]:
        return self.happens(RequestMade(request, PATIENCE_MS))

    def receives_dispense(self, request: str = ANN.id, cm: int = 60, *, retained: bool = False) -> list[Action]:
        return self.happens(CommandReceived(Dispense(request=request, cm=cm), retained))

    def reports(self) -> list[Report]:
        return [pending.report for pending in self.state.memory.reports]

    def measures(self, times: int) -> None:
        for _ in range(times):
            self.happens(Measured(Stock(number=1, cm=9)))

    def is_served_offline(self, request: Request) -> RequestClosed:
        """No answer comes: what the display shows."""
        self.asks(request)
        actions = self.happens(TimePassed(), after=PATIENCE_MS)
        if actions == [RunMotor(self.state.memory.ration_cm)]:
            actions = self.happens(MotorStopped(self.state.memory.ration_cm))
        closed = actions[-1]
        assert isinstance(closed, RequestClosed)
        return closed

    @property
    def wakes_in(self) -> int:
        assert self.state.wakes_at is not None
        return self.state.wakes_at - self.now

    def loses_power(self, off_ms: int = 0) -> None:
        """The machine was off, and its clock with it, so that moments count from the cut."""
        self.state = resume(self.state.memory.shifted(off_ms))
        self.now += off_ms


def control(
    *,
    mode: Mode = "face",
    ration_cm: int = 40,
    ration_budget_cm: int = 6000,
    window_s: int = 540,
    revision: Revision = FIRST,
) -> ControlReceived:
    return ControlReceived(
        Control(
            site="park",
            mode=mode,
            revision=revision,
            policy="0123456789ab",
            epoch=0,
            ration_cm=ration_cm,
            ration_budget_cm=ration_budget_cm,
            window_s=window_s,
        )
    )


def numbers(actions: Sequence[Action]) -> list[int]:
    return [action.report.number for action in actions if isinstance(action, SendReport)]


def served_gate() -> Gate:
    gate = Gate()
    gate.asks()
    gate.receives_dispense()
    gate.happens(MotorStopped(60))
    return gate


def declined(request: str, reason: Any, number: int) -> list[Action]:
    return [SendReport(Declined(number=number, request=request, reason=reason))]


def test_an_answer_runs_the_motor_once_and_the_length_is_reported_until_acknowledged() -> None:
    gate = Gate()
    assert gate.asks() == [SendRequest(ANN, 3)]
    gate.now += 250
    assert gate.receives_dispense(cm=45) == [RunMotor(45)]
    sent, closed = gate.happens(MotorStopped(22, "jam"), after=2_000)
    assert sent == SendReport(Dispensed(number=1, request=ANN.id, cm=22, fault="jam"))
    assert closed == RequestClosed(ANN.id, Dispense(request=ANN.id, cm=45), 250, 22)
    assert gate.state.is_free


def test_a_redelivered_command_never_runs_the_motor_again() -> None:
    gate = Gate()
    gate.asks()
    gate.receives_dispense()
    assert gate.receives_dispense() == []
    gate.happens(MotorStopped(60))
    assert gate.receives_dispense() == []
    gate.asks(BOB)
    assert gate.receives_dispense() == []


def test_a_command_for_an_unknown_request_is_declined_as_unknown() -> None:
    gate = Gate()
    gate.asks()
    assert gate.receives_dispense(BOB.id) == declined(BOB.id, "unknown", 1)
    assert gate.state.open


def test_a_retained_command_is_never_executed() -> None:
    gate = Gate()
    gate.asks()
    assert gate.receives_dispense(retained=True) == declined(ANN.id, "retained", 1)
    assert gate.receives_dispense() == [RunMotor(60)]


def test_at_the_deadline_the_local_ration_runs_and_a_late_command_is_declined_as_closed() -> None:
    gate = Gate()
    gate.happens(control(ration_cm=40))
    gate.asks()
    assert gate.wakes_in <= PATIENCE_MS
    assert gate.happens(TimePassed(), after=PATIENCE_MS) == [RunMotor(40)]
    assert gate.receives_dispense() == declined(ANN.id, "closed", 1)
    sent, closed = gate.happens(MotorStopped(40))
    assert sent == SendReport(LocalRation(number=2, request=ANN.id, cm=40))
    assert closed == RequestClosed(ANN.id, None, PATIENCE_MS, 40)


def test_a_command_at_the_deadline_gives_the_ration_even_before_the_timer_fires() -> None:
    gate = Gate()
    gate.asks()
    gate.now += PATIENCE_MS
    assert gate.receives_dispense(cm=45) == [RunMotor(60)]
    assert gate.receives_dispense(cm=45) == declined(ANN.id, "closed", 1)


def test_a_refusal_after_the_deadline_gives_the_local_ration() -> None:
    gate = Gate()
    gate.asks()
    refusal = Refuse(request=ANN.id, reason="quota", retry_after_s=400)
    assert gate.happens(CommandReceived(refusal), after=PATIENCE_MS) == [RunMotor(60)]
    sent, closed = gate.happens(MotorStopped(60))
    assert sent == SendReport(LocalRation(number=1, request=ANN.id, cm=60))
    assert closed == RequestClosed(ANN.id, None, PATIENCE_MS, 60)


def test_a_refusal_closes_and_shows_when_to_come_again() -> None:
    gate = Gate()
    gate.asks()
    refusal = Refuse(request=ANN.id, reason="quota", retry_after_s=400)
    assert gate.happens(CommandReceived(refusal), after=500) == [RequestClosed(ANN.id, refusal, 500)]
    assert gate.happens(CommandReceived(refusal)) == []
    assert gate.receives_dispense() == declined(ANN.id, "closed", 1)


def test_a_retained_refusal_closes_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(CommandReceived(Refuse(request=ANN.id, reason="quota", retry_after_s=400), retained=True)) == []
    assert gate.receives_dispense() == [RunMotor(60)]


def test_a_refusal_of_another_request_closes_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(CommandReceived(Refuse(request=BOB.id, reason="quota", retry_after_s=400))) == []
    assert gate.receives_dispense() == [RunMotor(60)]


def test_a_press_while_a_request_is_open_changes_nothing() -> None:
    gate = Gate()
    gate.asks()
    assert gate.asks(BOB) == []
    gate.receives_dispense()
    assert gate.asks(BOB) == []
    gate.happens(MotorStopped(60))
    assert gate.asks(BOB) == [SendRequest(BOB, 3)]


def test_a_request_is_repeated_under_its_id_with_the_rest_of_the_patience() -> None:
    gate = Gate()
    gate.asks()
    assert gate.happens(TimePassed(), after=900) == []
    assert gate.happens(TimePassed(), after=200) == [SendRequest(ANN, 2)]
    assert gate.happens(Connected(), after=100) == [SendRequest(ANN, 2)]
    assert gate.happens(TimePassed(), after=1_000) == [SendRequest(ANN, 1)]
    gate.receives_dispense()
    assert gate.happens(Connected()) == []


def test_reports_are_numbered_one_after_another_from_one() -> None:
    gate = served_gate()
    gate.happens(Measured(Stock(number=99, cm=12_000)))
    gate.receives_dispense(BOB.id)
    assert [report.number for report in gate.reports()] == [1, 2, 3]


def test_a_report_is_repeated_with_its_growing_age_until_it_is_acknowledged() -> None:
    gate = served_gate()
    sent = [gate.happens(TimePassed(), after=wait) for wait in (5_000, 10_000, 20_000)]
    reports = [Dispensed(number=1, request=ANN.id, cm=60, ago_ms=ago_ms) for ago_ms in (5_000, 15_000, 35_000)]
    assert sent == [[SendReport(report)] for report in reports]
    gate.happens(CommandReceived(Ack(numbers=(2,))))
    assert gate.happens(TimePassed(), after=40_000) != []
    gate.happens(CommandReceived(Ack(numbers=(1, 7))))
    assert gate.happens(TimePassed(), after=600_000) == []
    assert gate.state.wakes_at is None


def test_while_nothing_is_noted_the_repetitions_become_rare_and_a_receipt_or_a_connection_makes_them_frequent() -> None:
    gate = served_gate()
    gate.measures(1)
    waits = []
    for _ in range(9):
        waits.append(gate.wakes_in)
        assert numbers(gate.happens(TimePassed(), after=waits[-1])) == [1, 2]
    assert waits == [1_000 * wait for wait in (5, 10, 20, 40, 80, 160, 300, 300, 300)]
    gate.happens(CommandReceived(Ack(numbers=(2,))))
    assert gate.wakes_in == 5_000
    gate.happens(TimePassed(), after=5_000)
    assert gate.wakes_in == 10_000
    gate.happens(Connected())
    assert gate.wakes_in == 5_000


def test_a_report_that_got_lost_does_not_wait_until_all_others_are_noted() -> None:
    gate = served_gate()
    for number in range(2, 12):
        gate.measures(1)
        gate.happens(CommandReceived(Ack(numbers=(number,))), after=1_000)
        if 1 in numbers(gate.happens(TimePassed())):
            return
    pytest.fail("ten seconds, and it was not repeated")


def test_after_an_outage_the_reports_go_in_their_order_and_a_few_at_a_time() -> None:
    gate = Gate()
    gate.measures(100)
    assert numbers(gate.happens(Connected())) == list(range(1, IN_FLIGHT + 1))
    assert numbers(gate.happens(TimePassed(), after=5_000)) == list(range(1, IN_FLIGHT + 1))
    assert numbers(gate.happens(CommandReceived(Ack(numbers=(1, 2, 4))))) == [33, 34, 35]
    assert gate.happens(CommandReceived(Ack(numbers=(99,)))) == []
    got = [3]
    while got:
        got = numbers(gate.happens(CommandReceived(Ack(numbers=tuple(got)))))
    assert [report.number for report in gate.reports()] == [*range(5, 33), 33, 34, 35]


def test_beyond_the_most_that_is_kept_the_oldest_reports_go() -> None:
    gate = Gate()
    gate.measures(MAX_REPORTS + 3)
    received = gate.reports()
    assert (len(received), received[0].number, received[-1].number) == (MAX_REPORTS, 4, MAX_REPORTS + 3)


def test_local_rations_are_bounded_in_every_window() -> None:
    gate = Gate()
    gate.happens(control(ration_cm=40, ration_budget_cm=100, window_s=60))
    assert [gate.is_served_offline(ANN).cm, gate.is_served_offline(BOB).cm] == [40, 40]
    assert gate.is_served_offline(ANN) == RequestClosed(ANN.id, None, PATIENCE_MS)
    assert gate.reports()[-1] == LocalRation(number=3, request=ANN.id, cm=0)
    assert gate.state.is_free
    gate.now += 60_000 - 3 * PATIENCE_MS
    assert gate.is_served_offline(ANN).cm == 40
    gate.happens(TimePassed(), after=0)
    assert gate.is_served_offline(BOB).cm == 40


@given(start=st.integers(0, 10**13))
def test_a_ration_counts_for_exactly_one_window_whatever_the_clock_shows(start: int) -> None:
    gate = Gate()
    gate.now = start
    gate.happens(control(ration_cm=40, ration_budget_cm=40, window_s=60))
    assert gate.is_served_offline(ANN).cm == 40
    gate.now += 60_000 - PATIENCE_MS - 1
    assert gate.is_served_offline(BOB).cm == 0
    gate.now += 1 - PATIENCE_MS
    assert gate.is_served_offline(BOB).cm == 40


def test_a_command_after_an_exhausted_ration_budget_is_declined_as_closed() -> None:
    gate = Gate()
    gate.happens(control(ration_budget_cm=0))
    assert gate.is_served_offline(ANN).cm == 0
    assert gate.receives_dispense() == declined(ANN.id, "closed", 2)


def test_staff_is_always_served_and_not_counted() -> None:
    gate = Gate()
    gate.happens(control(ration_cm=40, ration_budget_cm=40))
    assert [gate.is_served_offline(request).cm for request in (STAFF, ANN, STAFF, BOB)] == [40, 40, 40, 0]


def test_before_a_control_the_budget_is_that_of_the_default_policy() -> None:
    gate = Gate()
    given = [gate.is_served_offline(ANN).cm for _ in range(101)]
    assert given == [60] * 100 + [0]


def test_a_run_that_the_power_cut_ended_is_not_repeated_and_is_reported_with_nothing_out() -> None:
    gate = Gate()
    gate.asks()
    gate.receives_dispense()
    gate.loses_power(off_ms=8_000)
    assert gate.state.is_free
    sent = gate.happens(Connected(), after=2_000)
    assert sent == [SendReport(Dispensed(number=1, request=ANN.id, cm=0, fault="power", ago_ms=2_000))]
    assert gate.receives_dispense() == []


def test_a_local_ration_that_the_power_cut_ended_is_reported_too_and_stays_in_the_budget() -> None:
    gate = Gate()
    gate.happens(control(ration_cm=40, ration_budget_cm=40))
    gate.asks()
    gate.happens(TimePassed(), after=PATIENCE_MS)
    gate.loses_power()
    assert gate.reports() == [LocalRation(number=1, request=ANN.id, cm=0, fault="power")]
    gate.happens(Connected())
    assert gate.receives_dispense() == declined(ANN.id, "closed", 2)
    assert gate.is_served_offline(BOB).cm == 0


def test_after_a_power_cut_reports_and_their_numbers_go_on_and_old_commands_are_still_known() -> None:
    gate = served_gate()
    gate.asks(BOB)
    gate.happens(CommandReceived(Refuse(request=BOB.id, reason="quota", retry_after_s=400)))
    gate.loses_power(off_ms=3_600_000)
    gate.measures(1)
    assert numbers(gate.happens(Connected())) == [1, 2]
    assert gate.receives_dispense(ANN.id) == []
    assert gate.receives_dispense(BOB.id) == declined(BOB.id, "closed", 3)


def test_a_power_cut_closes_the_open_request_and_drops_forget_requests() -> None:
    gate = Gate()
    gate.asks()
    gate.asks(FORGET)
    gate.loses_power()
    assert gate.happens(Connected()) == []
    assert gate.state.wakes_at is None
    assert gate.receives_dispense() == declined(ANN.id, "unknown", 1)


def test_the_age_of_a_report_does_not_count_how_long_the_power_was_off() -> None:
    gate = served_gate()
    gate.now += 10_000
    gate.loses_power(off_ms=7_200_000)
    [sent] = gate.happens(Connected(), after=1_000)
    assert sent == SendReport(Dispensed(number=1, request=ANN.id, cm=60, ago_ms=11_000))


def test_a_step_without_a_change_of_memory_saves_nothing() -> None:
    gate = served_gate()
    gate.happens(control())
    before = gate.state.memory
    gate.asks(BOB)
    for event in (control(), Connected(), TimePassed(), CommandReceived(Ack(numbers=(9,)))):
        gate.happens(event, after=500)
    gate.receives_dispense()
    assert gate.state.memory is before


def test_a_new_connection_brings_everything_again_that_is_without_an_answer() -> None:
    gate = served_gate()
    gate.asks(FORGET)
    gate.asks(BOB)
    sent = gate.happens(Connected(), after=125)
    report = Dispensed(number=1, request=ANN.id, cm=60, ago_ms=125)
    assert sent == [SendReport(report), SendRequest(FORGET, None), SendRequest(BOB, 3)]


def test_a_forget_request_is_accepted_in_every_state_and_repeated_until_answered() -> None:
    gate = Gate()
    gate.asks()
    assert gate.asks(FORGET) == [SendRequest(FORGET, None)]
    gate.receives_dispense()
    gate.happens(MotorStopped(60))
    gate.happens(CommandReceived(Ack(numbers=(1,))))
    for _ in range(3):
        assert gate.happens(TimePassed(), after=100_000) == [SendRequest(FORGET, None)]
    receipt = Forgotten(request=FORGET.id, erased=1)
    assert gate.happens(CommandReceived(receipt)) == [RequestClosed(FORGET.id, receipt, 300_000)]
    assert gate.happens(CommandReceived(receipt)) == []
    assert gate.happens(TimePassed(), after=1_000_000) == []


@pytest.mark.parametrize("event", [TimePassed(), Connected()])
def test_a_forget_request_is_dropped_when_the_window_has_passed(event: Event) -> None:
    gate = Gate()
    gate.happens(control(window_s=60))
    gate.asks(FORGET)
    assert gate.happens(TimePassed(), after=59_000) == [SendRequest(FORGET, None)]
    assert gate.wakes_in <= 1_000
    assert gate.happens(event, after=1_000) == [RequestClosed(FORGET.id, None, 60_000)]
    assert gate.state.forgets == ()
    assert gate.happens(Connected()) == []
    assert gate.state.wakes_at is None


def test_pending_forget_requests_are_bounded_and_the_oldest_is_dropped() -> None:
    gate = Gate()
    asked = [structs.replace(FORGET, id=f"request-forget-{number:03}") for number in range(34)]
    for forget in asked[:32]:
        assert gate.asks(forget) == [SendRequest(forget, None)]
        gate.now += 10
    for forget, oldest in zip(asked[32:], asked, strict=False):
        sent, closed = gate.asks(forget)
        assert sent == SendRequest(forget, None)
        assert isinstance(closed, RequestClosed)
        assert (closed.request, closed.answer) == (oldest.id, None)
    assert [forget.request for forget in gate.state.forgets] == asked[2:]


def test_a_face_request_sent_before_a_hold_stays_open_and_is_answered() -> None:
    gate = Gate()
    seen = FaceSeen(id="request-by-face-01", model="synthetic/1", template=bytes(64))
    assert gate.asks(seen) == [SendRequest(seen, 3)]
    assert gate.happens(control(mode="held")) == [StepKey(0)]
    assert gate.happens(TimePassed(), after=1_000) == [SendRequest(seen, 2)]
    assert gate.receives_dispense(seen.id) == [RunMotor(60)]


@pytest.mark.parametrize("older", [FIRST, Revision(0, 0)])
def test_an_older_control_sets_nothing_and_steps_no_key(older: Revision) -> None:
    gate = Gate()
    gate.happens(control(mode="held", revision=SECOND))
    assert gate.happens(control(revision=older)) == []
    assert gate.state.control
    assert (gate.state.control.mode, gate.state.control.revision) == ("held", SECOND)


@pytest.mark.parametrize("revision", [SECOND, THIRD])
def test_the_same_or_a_newer_revision_counts(revision: Revision) -> None:
    gate = Gate()
    gate.happens(control(mode="held", revision=SECOND))
    assert gate.happens(control(revision=revision)) == [StepKey(0)]
    assert gate.state.control
    assert gate.state.control.mode == "face"


def test_after_a_restart_an_older_control_is_ignored() -> None:
    gate = Gate()
    gate.happens(control(mode="held", revision=SECOND))
    gate.loses_power()
    gate.happens(control(revision=FIRST))
    assert gate.state.control is None
    gate.happens(control(mode="held", revision=SECOND))
    assert gate.state.control is not None


@pytest.mark.parametrize("event", [ControlLost(), Disconnected()])
def test_a_cleared_control_blocks_the_camera_until_one_that_is_not_older_comes(event: Event) -> None:
    gate = Gate()
    gate.happens(control(revision=SECOND, ration_cm=30))
    gate.happens(event)
    assert gate.state.control is None
    gate.happens(control(revision=FIRST))
    assert gate.state.control is None
    assert gate.state.memory.ration_cm == 30
    gate.happens(control(revision=SECOND))
    assert gate.state.control is not None


def sequences(gate: Gate) -> tuple[int, int]:
    gate.happens(Connecting())
    return gate.state.first_sequence, gate.state.will_sequence


def test_states_of_a_connection_are_numbered_above_those_of_every_earlier_one_and_below_its_will() -> None:
    gate = Gate()
    found = [1]
    for _ in range(200):
        first, will = sequences(gate)
        assert found[-1] <= first < will
        found.append(will)
        if gate.state.connection % 30 == 0:
            gate.loses_power()
    assert sequences(Gate()) == (1, 1_000_000)


def test_connections_are_saved_many_at_a_time() -> None:
    gate = Gate()
    saves: list[Memory] = []
    for _ in range(128):
        gate.happens(Connecting())
        if not saves or saves[-1] is not gate.state.memory:
            saves.append(gate.state.memory)
    assert len(saves) == 2


def test_a_motor_that_stops_without_having_run_means_nothing() -> None:
    assert Gate().happens(MotorStopped(60)) == []


@pytest.mark.parametrize("module", [camera_permission, connection, dispenser, persistent_state, reports])
@pytest.mark.parametrize("forbidden", ["time", "datetime", "random", "asyncio", "socket", "os", "sqlite3"])
def test_no_clock_no_network_and_no_disk_is_ever_imported(forbidden: str, module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in imports for name in _imported(node)}
    assert forbidden not in names


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
    return [name.split(".")[0] for name in names]
