"""A dispenser with its journal, between people who press and a broker that is no friend.

The broker drops, delays, doubles and reorders whatever it carries, marks commands as retained, brings those of others,
brings controls of long ago, clears their topic and cuts the connection; the power fails at any point, also between the
journal and the motor. What must hold all the same is asserted where it would break, and at the end, when the world
turns kind again.
"""

import shutil
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from devices.journal.sqlite import DiskJournal
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
from devices.machine.dispenser import MAX_FORGETS, resume, step
from devices.machine.persistent_state import Ration
from devices.machine.reports import IN_FLIGHT
from devices.machine.state import State
from models.contract.messages import (
    Ack,
    Answer,
    ButtonPressed,
    Command,
    Control,
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
CONTROL = Control(
    site="park", mode="face", policy="0123456789ab", epoch=0, ration_cm=40, ration_budget_cm=100, window_s=60
)
RAM = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of its own there
"""Where syncing costs nothing; that a save is on the disk is tested in tests/contract."""
T = TypeVar("T")
any_of_them = st.integers(0, 2**32)


def control_of(at: int, offset: int) -> Control:
    """What a site's control is at a revision: another mode each time, and never an earlier epoch."""
    mode: Mode = ("face", "held", "button")[(at + offset) % 3]
    return structs.replace(CONTROL, revision=Revision(at, offset), mode=mode, epoch=10 * at + offset)


controls = st.builds(control_of, st.integers(1, 4), st.integers(0, 9))


class PowerCut(Exception):
    pass


class HostileBroker(RuleBasedStateMachine):
    """`now` is the dispenser's clock, `true` the one that goes on while the power is off; both in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(dir=RAM if RAM.is_dir() else None))
        self.ids = count()
        self.now, self.true, self.boot = 1_000_000, 0, 1
        self.journal = self.opened()
        self.state = State()
        self.fuse: int | None = None
        """effects that still happen before the power fails"""
        self.is_connected = False
        self.to_pipeline: list[Request | Report] = []
        self.to_dispenser: list[Command] = []
        self.answers: dict[str, Answer] = {}
        self.delivered: dict[int, Report] = {}
        """reports that reached the pipeline"""
        self.acknowledged: set[int] = set()
        self.in_flight: set[int] = set()
        self.happened: dict[int, int] = {}
        """when it truly was, by a report's number"""
        self.began: dict[str, int] = {}
        """when it truly was that a request's run was decided"""
        self.visitor: Request | None = None
        """who waits in front, not yet served"""
        self.deadline = 0
        self.motor: tuple[str, int, int] | None = None
        self.runs: Counter[str] = Counter()
        self.closed_count: Counter[str] = Counter()
        self.rations: list[Ration] = []
        self.on_topic: Control | None = None
        """what the control topic held last on this connection"""
        self.newest = CONTROL.revision
        """of the controls that counted"""
        self.epoch = 0
        self.sequence = 0
        """of the last state that the broker may have"""
        self.start()
        self.happens(ControlReceived(CONTROL))
        self.happens(Disconnected())

    # -- the dispenser, as devices/session/session.py runs it -------------------------------------------------

    def opened(self) -> DiskJournal:
        return DiskJournal(self.folder / "park.gate.db", str(self.boot))

    def start(self) -> None:
        remembered = self.journal.load(self.now)
        self.state = resume(remembered)
        if remembered.run:
            self.happened[self.state.memory.last_number] = self.began[remembered.run.request]
        self.spend_fuse()
        self.journal.save(self.state.memory, self.now)

    def happens(self, event: Event) -> None:
        try:
            remembered = self.state.memory
            self.state, actions = step(self.state, event, self.now)
            if self.state.memory is not remembered:
                self.record_time(remembered.last_number)
                self.spend_fuse()
                self.journal.save(self.state.memory, self.now)
            for action in actions:
                self.spend_fuse()
                self.execute(action)
        except PowerCut:
            self.restore_power(off_ms=7_000)

    def record_time(self, last_number: int) -> None:
        for number in range(last_number + 1, self.state.memory.last_number + 1):
            self.happened[number] = self.true
        if run := self.state.memory.run:
            self.began.setdefault(run.request, self.true)

    def spend_fuse(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise PowerCut

    def restore_power(self, off_ms: int) -> None:
        self.boot += 1
        self.true += off_ms
        self.now = 12_000 if self.boot % 2 else 500_000 * self.boot
        self.restart_process()

    def restart_process(self) -> None:
        """The process and its visitor are gone; only the journal is left."""
        self.journal.close()
        self.journal = self.opened()
        self.visitor = self.motor = None
        self.is_connected = False
        try:
            self.start()
        except PowerCut:
            self.restore_power(off_ms=1_000)

    def execute(self, action: Action) -> None:
        match action:
            case SendRequest(request=request) if self.is_connected:
                self.to_pipeline.append(request)
            case SendReport(report=report) if self.is_connected:
                self.check_age(report)
                self.in_flight.add(report.number)
                self.to_pipeline.append(report)
            case RunMotor(cm=cm):
                self.motor_starts(cm)
            case StepKey(epoch=epoch):
                assert epoch >= self.epoch, "no key goes back"
                self.epoch = epoch
            case RequestClosed():
                self.request_closes(action)

    def motor_starts(self, cm: int) -> None:
        run = self.state.memory.run
        assert run
        assert self.visitor
        assert self.visitor.id == run.request, "the motor runs only for the present visitor"
        assert self.motor is None
        assert run.answer is None or self.now < self.deadline, "a late command is not obeyed"
        if run.answer is None and not isinstance(self.visitor, StaffPressed):
            self.rations.append(Ration(self.true, cm))
        self.runs[run.request] += 1
        self.motor = (run.request, cm, self.true)
        self.visitor = None

    def request_closes(self, closed: RequestClosed) -> None:
        self.closed_count[closed.request] += 1
        if self.visitor and self.visitor.id == closed.request:
            assert isinstance(closed.answer, Refuse) or self.state.memory.with_ration(self.now) is None
            assert closed.answer == self.answers.get(closed.request) or closed.answer is None
            self.visitor = None

    def check_age(self, report: Report) -> None:
        """Never older than it is."""
        assert 0 <= report.ago_ms <= self.true - self.happened[report.number]

    # -- people ---------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["face", "button", "staff", "forget"]))
    def someone_presses(self, kind: str) -> None:
        name, template = f"request-{next(self.ids):010d}", bytes(64)
        requests: dict[str, Request] = {
            "face": FaceSeen(id=name, model="synthetic/1", template=template),
            "button": ButtonPressed(id=name),
            "staff": StaffPressed(id=name),
            "forget": ForgetRequested(id=name, model="synthetic/1", template=template),
        }
        request = requests[kind]
        if kind != "forget":
            assume(self.state.is_free)
            self.visitor, self.deadline = request, self.now + PATIENCE_MS
        self.happens(RequestMade(request, PATIENCE_MS))

    @rule(ms=st.sampled_from([300, 1_000, PATIENCE_MS, 7_000, 50_000]), with_tick=st.booleans())
    def time_passes(self, ms: int, *, with_tick: bool) -> None:
        self.now += ms
        self.true += ms
        if with_tick:
            self.happens(TimePassed())
            assert not (self.visitor and self.now >= self.deadline), "a visitor whose patience ended was served"

    @precondition(lambda self: self.state.is_free)
    @rule(kind=st.sampled_from(["face", "button", "staff"]))
    def someone_presses_without_an_answer(self, kind: str) -> None:
        self.someone_presses(kind)
        self.time_passes(PATIENCE_MS, with_tick=True)
        if self.motor:
            self.motor_stops(1.0)

    @precondition(lambda self: self.motor)
    @rule(out=st.floats(0, 1))
    def motor_stops(self, out: float) -> None:
        assert self.motor
        _, planned, _ = self.motor
        self.motor = None
        cm = int(out * planned)
        self.happens(MotorStopped(cm, "jam" if cm < planned else None))

    @rule()
    def readings_are_taken(self) -> None:
        for _ in range(11):
            self.happens(Measured(Stock(number=1, cm=next(self.ids))))

    # -- the broker -----------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_connected)
    @rule()
    def connection_is_made(self) -> None:
        if self.tries_to_connect():
            self.is_connected = True
            self.in_flight.clear()
            self.happens(Connected())

    @precondition(lambda self: not self.is_connected)
    @rule()
    def connection_fails_after_the_broker_got_the_will(self) -> None:
        self.tries_to_connect()

    @precondition(lambda self: self.is_connected)
    @rule()
    def connection_is_cut(self) -> None:
        self.is_connected = False
        self.on_topic = None
        self.happens(Disconnected())

    @precondition(lambda self: self.is_connected)
    @rule(control=controls)
    def a_control_of_any_revision_arrives(self, control: Control) -> None:
        self.on_topic = control
        self.happens(ControlReceived(control))

    @precondition(lambda self: self.is_connected)
    @rule()
    def the_control_topic_is_cleared_or_holds_nonsense(self) -> None:
        self.on_topic = None
        self.happens(ControlLost())

    @precondition(lambda self: self.to_pipeline)
    @rule(which=any_of_them, is_kept=st.booleans(), is_granted=st.booleans())
    def something_reaches_the_pipeline(self, which: int, *, is_kept: bool, is_granted: bool) -> None:
        self.pipeline_gets(take(self.to_pipeline, which, is_kept=is_kept), is_granted=is_granted)

    @precondition(lambda self: self.to_pipeline)
    @rule(which=any_of_them)
    def something_is_lost_on_its_way_to_the_pipeline(self, which: int) -> None:
        take(self.to_pipeline, which, is_kept=False)

    @precondition(lambda self: self.to_dispenser and self.is_connected)
    @rule(which=any_of_them, is_kept=st.booleans(), retained=st.booleans())
    def something_reaches_the_dispenser(self, which: int, *, is_kept: bool, retained: bool) -> None:
        self.dispenser_gets(take(self.to_dispenser, which, is_kept=is_kept), retained=retained)

    @precondition(lambda self: self.state.is_free and self.is_connected)
    @rule(delay=st.sampled_from([100, PATIENCE_MS]), is_granted=st.booleans(), retained=st.booleans())
    def an_answer_arrives_before_the_timer_fires(self, delay: int, *, is_granted: bool, retained: bool) -> None:
        self.someone_presses("button")
        if not self.visitor:
            return
        self.pipeline_gets(self.visitor, is_granted=is_granted)
        self.time_passes(delay, with_tick=False)
        self.dispenser_gets(self.to_dispenser[-1], retained=retained)

    @precondition(lambda self: self.to_dispenser)
    @rule(which=any_of_them)
    def something_is_lost_on_its_way_to_the_dispenser(self, which: int) -> None:
        take(self.to_dispenser, which, is_kept=False)

    @precondition(lambda self: self.is_connected)
    @rule(cm=st.integers(0, 999))
    def foreign_commands_arrive(self, cm: int) -> None:
        self.happens(CommandReceived(Dispense(request=f"foreign-{next(self.ids):010d}", cm=cm)))
        self.happens(CommandReceived(Ack(numbers=tuple(range(self.state.sent + 1, self.state.sent + 99)))))

    # -- power ----------------------------------------------------------------------------------------

    @rule(off_ms=st.integers(0, 100_000))
    def power_is_cut(self, off_ms: int) -> None:
        self.restore_power(off_ms)

    @rule(effects=st.integers(0, 4))
    def power_will_fail_in_the_middle(self, effects: int) -> None:
        self.fuse = effects

    @rule()
    def process_is_killed(self) -> None:
        with suppress(PowerCut):
            self.restart_process()

    # -- what holds -----------------------------------------------------------------------------------

    @invariant()
    def only_the_newest_control_of_this_connection_is_in_effect(self) -> None:
        control = self.state.control
        if control is None:
            return
        assert self.is_connected
        assert self.on_topic is not None
        assert control.revision >= self.newest
        assert control == control_of(*control.revision)
        self.newest = control.revision

    @invariant()
    def no_motor_runs_twice_and_no_request_closes_twice(self) -> None:
        assert max(self.runs.values(), default=0) <= 1
        assert max(self.closed_count.values(), default=0) <= 1

    @invariant()
    def every_number_is_one_report_that_is_pending_or_delivered(self) -> None:
        pending = {report.number: report for report in (each.report for each in self.state.memory.reports)}
        assert pending.keys() | self.delivered.keys() == set(range(1, self.state.memory.last_number + 1))
        for number in pending.keys() & self.delivered.keys():
            assert without_age(pending[number]) == without_age(self.delivered[number])

    @invariant()
    def every_run_is_reported_once(self) -> None:
        reports = self.delivered | {each.report.number: each.report for each in self.state.memory.reports}
        ran = [r for r in reports.values() if isinstance(r, Dispensed | LocalRation)]
        reported = Counter(report.request for report in ran)
        assert max(reported.values(), default=0) <= 1
        running = {self.motor[0]} if self.motor else set()
        assert self.runs.keys() - running <= reported.keys()

    @invariant()
    def rations_stay_within_the_budget(self) -> None:
        for last in self.rations[-1:]:
            window = [ration.cm for ration in self.rations if ration.given > last.given - 1_000 * CONTROL.window_s]
            assert sum(window) <= CONTROL.ration_budget_cm

    @invariant()
    def the_broker_is_not_flooded(self) -> None:
        assert len(self.in_flight) <= IN_FLIGHT

    @invariant()
    def no_template_waits_here_beyond_its_window(self) -> None:
        assert len(self.state.forgets) <= MAX_FORGETS
        end = self.now - 1_000 * (CONTROL.window_s + 1)
        wakes_at = self.state.wakes_at
        is_due = wakes_at is not None and wakes_at <= self.now
        assert is_due or all(forget.asked > end for forget in self.state.forgets)

    @invariant()
    def it_is_free_exactly_when_no_visitor_is_served(self) -> None:
        assert self.state.is_free == (self.visitor is None and self.motor is None)

    def dispenser_gets(self, command: Command, *, retained: bool) -> None:
        if isinstance(command, Ack) and not retained:
            self.in_flight -= set(command.numbers)
        was_running = self.motor
        self.happens(CommandReceived(command, retained))
        assert not retained or self.motor in {was_running, None}, "a retained command is from another time"

    def teardown(self) -> None:
        """The world turns kind: everybody is served, everything is delivered."""
        try:
            self.fuse = None
            self.time_passes(PATIENCE_MS, with_tick=True)
            if self.motor:
                self.motor_stops(1.0)
            assert self.state.is_free
            self.tries_to_connect()
            self.is_connected = True
            self.happens(Connected())
            while self.state.memory.reports:
                for message in self.to_pipeline:
                    self.pipeline_gets(message, is_granted=False)
                self.to_pipeline = []
                self.happens(CommandReceived(Ack(numbers=tuple(self.acknowledged))))
            assert self.delivered.keys() == set(range(1, self.state.memory.last_number + 1))
        finally:
            self.journal.close()
            shutil.rmtree(self.folder)

    def tries_to_connect(self) -> bool:
        """Whether the power did not fail meanwhile. No state of a connection is numbered below an earlier will."""
        boot = self.boot
        self.happens(Connecting())
        if self.boot != boot:
            return False
        assert self.state.first_sequence == 1 or self.state.first_sequence > self.sequence
        self.sequence = self.state.will_sequence
        return True

    def pipeline_gets(self, message: Request | Report, *, is_granted: bool) -> None:
        """The same answer for the same request, and a receipt for every report."""
        match message:
            case ForgetRequested():
                answer: Answer = Forgotten(request=message.id, erased=1)
            case FaceSeen() | ButtonPressed() | StaffPressed() if is_granted:
                answer = Dispense(request=message.id, cm=60)
            case FaceSeen() | ButtonPressed() | StaffPressed():
                answer = Refuse(request=message.id, reason="quota", retry_after_s=9)
            case report:
                self.delivered[report.number] = report
                self.acknowledged.add(report.number)
                self.to_dispenser.append(Ack(numbers=(report.number,)))
                return
        self.to_dispenser.append(self.answers.setdefault(message.id, answer))


def take(messages: list[T], which: int, *, is_kept: bool) -> T:
    where = which % len(messages)
    return messages[where] if is_kept else messages.pop(where)


def without_age(report: Report) -> object:
    return {**{name: getattr(report, name) for name in report.__struct_fields__}, "ago_ms": 0}


TestHostileBroker = HostileBroker.TestCase
TestHostileBroker.settings = settings(max_examples=120, stateful_step_count=60)
