"""What any journal must do, and what one on a disk must do besides."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from devices.journal.port import InMemoryJournal, Journal, changes
from devices.journal.sqlite import DiskJournal
from devices.machine.persistent_state import Memory, Ration
from devices.session.boot_id import boot_id
from models.contract.messages import Control, Dispense, LocalRation, Revision, Stock
from models.errors import ConfigError

IDS = tuple(f"request-{number:010d}" for number in range(200))
CONTROL = Control(
    site="park",
    mode="face",
    revision=Revision(1_700_000_000_000, 7),
    policy="0123456789ab",
    epoch=3,
    ration_cm=40,
    ration_budget_cm=900,
    window_s=60,
)


def remembered() -> Memory:
    """Something in every field."""
    memory = Memory(control=CONTROL, connections=64)
    memory = memory.with_report(Stock(number=1, cm=9), 100).with_report(Stock(number=1, cm=8), 333)
    memory = memory.with_closed(IDS[0]).with_ration(2_000) or memory
    return memory.with_command_run(Dispense(request=IDS[1], cm=60), 250, 2_500)


class Bound:
    """Journals of one folder, all closed at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[Journal] = []

    def on_disk(self, boot: str = "monday", name: str = "park.gate.db") -> DiskJournal:
        journal = DiskJournal(self._folder / "dispensers" / name, boot)
        self._open.append(journal)
        return journal

    def in_memory(self) -> InMemoryJournal:
        return InMemoryJournal()

    @property
    def path(self) -> Path:
        return self._folder / "dispensers" / "park.gate.db"

    def close(self) -> None:
        for journal in self._open:
            journal.close()


@contextmanager
def binding() -> Iterator[Bound]:
    with TemporaryDirectory() as folder:
        bound = Bound(Path(folder))
        try:
            yield bound
        finally:
            bound.close()


@pytest.fixture
def bound() -> Iterator[Bound]:
    with binding() as bound:
        yield bound


Make = Callable[[Bound], Journal]
each_journal = pytest.mark.parametrize("make", [Bound.in_memory, Bound.on_disk])


@each_journal
def test_a_new_journal_remembers_nothing(make: Make, bound: Bound) -> None:
    assert make(bound).load(100_000) == Memory()


@each_journal
def test_the_last_save_is_loaded(make: Make, bound: Bound) -> None:
    journal = make(bound)
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    later = structs.replace(remembered(), run=None)
    journal.save(later, 4_000)
    journal.close()
    assert journal.load(9_000) == later


ways = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.integers(1, 30)),
        st.tuples(st.just("note"), st.sets(st.integers(0, 40))),
        st.tuples(st.just("obey"), st.integers(0, 199)),
        st.tuples(st.just("give"), st.integers(0, 199)),
        st.tuples(st.just("stop"), st.none()),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@each_journal
@settings(max_examples=60)
@given(ways=ways)
def test_the_last_of_several_saves_is_loaded(make: Make, ways: list[tuple[str, object]]) -> None:
    with binding() as bound:
        journal = make(bound)
        memory = journal.load(0)
        for now, (what, how) in enumerate(ways):
            if what == "restart":
                journal.close()
                assert journal.load(1_000 * now) == memory
            else:
                memory = changed(memory, what, how, 1_000 * now)
                journal.save(memory, 1_000 * now)
        journal.close()
        assert journal.load(99_000) == memory


def changed(memory: Memory, what: str, how: object, now: int) -> Memory:
    match what, how:
        case "report", int():
            for number in range(how):
                memory = memory.with_report(LocalRation(number=1, request=IDS[number], cm=number), now + 333 * number)
        case "note", set():
            memory = memory.without_reports({memory.last_number - behind for behind in how}, 32)
        case "obey", int():
            memory = memory.with_command_run(Dispense(request=IDS[how], cm=60), 100, now)
        case "give", int():
            memory = (memory.with_ration(now) or memory).with_closed(IDS[how]).with_ration_run(IDS[how], 3_000, now)
        case _:
            memory = structs.replace(memory, run=None)
    return memory


@given(came=st.integers(0, 60), went=st.sets(st.integers(1, 60)), oldest=st.integers(0, 5))
def test_changes_are_the_added_and_the_deleted_reports_at_any_position(came: int, went: set[int], oldest: int) -> None:
    before = changed(Memory(), "report", 40, 0)
    after = changed(before, "report", came, 1_000).without_reports(went, 100)
    after = structs.replace(after, reports=after.reports[oldest:])
    new, gone = changes(before, after)
    assert {pending.report.number for pending in new} == {pending.report.number for pending in after.reports} - set(
        range(1, 41)
    )
    assert set(gone) == set(range(1, 41)) - {pending.report.number for pending in after.reports}


# -- on a disk ----------------------------------------------------------------------------------------


def test_a_save_is_on_the_disk_before_the_journal_is_closed(bound: Bound, tmp_path: Path) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    shutil.copytree(bound.path.parent, tmp_path / "dispensers")
    assert Bound(tmp_path).on_disk().load(3_000) == remembered()


def test_after_a_power_cut_moments_count_from_the_last_save(bound: Bound) -> None:
    monday = bound.on_disk("monday")
    monday.load(1_000_000)
    monday.save(remembered().shifted(1_000_000), 1_010_000)
    monday.close()
    tuesday = bound.on_disk("tuesday")
    loaded = tuesday.load(20_000)
    assert loaded == remembered().shifted(1_000_000).shifted(20_000 - 1_010_000)
    assert [20_000 - pending.happened for pending in loaded.reports] == [9_900, 9_667]
    assert loaded.rations == (Ration(12_000, 40),)


def test_after_two_power_cuts_moments_are_still_those_of_the_running_clock(bound: Bound) -> None:
    saved = remembered()
    for boot in ("monday", "tuesday", "wednesday"):
        journal = bound.on_disk(boot)
        journal.load(5_000)
        saved = saved.with_report(Stock(number=1, cm=1), 6_000)
        journal.save(saved, 7_000)
        journal.close()
        again = bound.on_disk(boot)
        assert again.load(8_000) == saved
        again.close()
        saved = saved.shifted(5_000 - 7_000)


def test_a_machine_that_does_not_tell_its_boot_is_taken_for_restarted(bound: Bound) -> None:
    journal = bound.on_disk("")
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    assert journal.load(50_000) == remembered().shifted(47_000)


def test_this_machine_shows_its_boot() -> None:
    assert boot_id() == boot_id() != ""


def test_two_processes_do_not_run_one_dispenser(bound: Bound) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    opening = f"DiskJournal(Path({str(bound.path)!r}), '').load(1_000)"
    second = f"from pathlib import Path; from devices.journal.sqlite import *; {opening}"
    ended = subprocess.run([sys.executable, "-c", second], capture_output=True, text=True, check=False, timeout=30)
    assert "ConfigError" in ended.stderr
    assert "park.gate.db is in use: another process runs this dispenser" in ended.stderr
    with pytest.raises(ConfigError):
        bound.on_disk().load(1_000)
    assert bound.on_disk(name="park.door.db").load(1_000) == Memory()
    journal.close()
    assert bound.on_disk().load(1_000) == Memory()


def test_a_journal_of_before_controls_had_revisions_is_read(bound: Bound) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    with closing(sqlite3.connect(bound.path)) as db, db:
        [(rest,)] = db.execute("SELECT rest FROM memory").fetchall()
        older = msgspec.json.decode(rest)
        del older["connections"], older["control"]["revision"]
        db.execute("UPDATE memory SET rest = ?", (msgspec.json.encode(older),))
    control = structs.replace(CONTROL, revision=Revision(0, 0))
    assert journal.load(4_000) == structs.replace(remembered(), control=control, connections=0)


def _noise(path: Path) -> None:
    path.write_bytes(b"no journal " * 999)


def _torn(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))


def _other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE reports RENAME COLUMN kept TO other")


@pytest.mark.parametrize("damage", [_noise, _torn, _other_tables])
def test_a_damaged_journal_is_moved_aside_and_replaced_by_an_empty_one(
    damage: Callable[[Path], None], bound: Bound, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    damage(bound.path)
    assert journal.load(4_000) == Memory()
    assert "journal damaged, starting with an empty one" in capsys.readouterr().out
    assert bound.path.with_name("park.gate.db.damaged").exists()
    journal.save(remembered(), 5_000)
    journal.close()
    assert journal.load(6_000) == remembered()


def changed_on_disk(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    "bad",
    [
        '{"report":{"kind":"battery","number":1,"percent":255},"happened":100}',
        '{"report":{"kind":"stock","number":1,"cm":9},"happened":0.5}',
        '{"report":{"kind":"tomorrow","number":1},"happened":100}',
        '{"report":{"kind":"stock","number":7,"cm":9},"happened":100}',
        '{"report":{"kind":"stock"',
        "",
        7,
    ],
)
def test_a_report_that_cannot_be_read_is_set_aside_and_named_and_everything_else_is_kept(
    bad: str | int, bound: Bound, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    changed_on_disk(bound.path, f"UPDATE reports SET kept = {bad!r} WHERE number = 1")
    rest = remembered().without_reports({1}, 1)
    assert journal.load(4_000) == rest
    received = capsys.readouterr().out
    assert "journal entry set aside" in received
    assert "report 1" in received
    journal.save(rest, 5_000)
    journal.close()
    assert journal.load(6_000) == rest
    assert capsys.readouterr().out == ""
    journal.close()
    with closing(sqlite3.connect(bound.path)) as db:
        assert db.execute("SELECT name FROM unreadable").fetchall() == [("report 1",)]


def test_when_the_newest_report_cannot_be_read_the_numbers_go_on_behind_it(bound: Bound) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    changed_on_disk(bound.path, "UPDATE reports SET kept = '?' WHERE number = 2", "UPDATE memory SET rest = '{}'")
    memory = journal.load(4_000)
    assert [pending.report.number for pending in memory.reports] == [1]
    assert memory.last_number == 2


@pytest.mark.parametrize("field", [field.name for field in structs.fields(Memory) if field.name != "reports"])
def test_a_field_that_cannot_be_read_is_set_aside_and_the_others_are_kept(
    field: str, bound: Bound, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = bound.on_disk()
    journal.load(1_000)
    journal.save(remembered(), 3_000)
    journal.close()
    changed_on_disk(bound.path, f"UPDATE memory SET rest = json_set(rest, '$.{field}', 0.5)")
    memory = journal.load(4_000)
    assert f"entry={field} " in capsys.readouterr().out
    without = {"last_number": 2} if field == "last_number" else {field: getattr(Memory(), field)}
    assert memory == structs.replace(remembered(), **without)


def test_a_journal_of_another_form_costs_its_entries_and_not_the_numbers(bound: Bound) -> None:
    """As the versions before whole milliseconds wrote it."""
    bound.path.parent.mkdir()
    changed_on_disk(
        bound.path,
        "CREATE TABLE reports (number INTEGER PRIMARY KEY, kept BLOB NOT NULL)",
        "CREATE TABLE memory (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, saved REAL NOT NULL, rest BLOB NOT NULL)",
        """INSERT INTO reports VALUES (41, '{"report":{"kind":"stock","number":41,"cm":9},"happened":12.25}')""",
        """INSERT INTO memory VALUES (1, 'sunday', 12.5, '{"obeyed":["request-0000000001"],"last_number":41}')""",
    )
    memory = bound.on_disk().load(1_000)
    assert memory == Memory(obeyed=("request-0000000001",), last_number=41)


def test_a_full_disk_is_reported_once_and_gets_everything_as_soon_as_there_is_room(
    bound: Bound, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = bound.on_disk()
    memory = journal.load(1_000)
    with full_disk(bytes_left=50_000):
        for _ in range(20):
            memory = changed(memory, "report", 30, 1_000).without_reports(range(1, memory.last_number), 7)
            journal.save(memory, 2_000)
    assert capsys.readouterr().out.count("journal cannot be written") == 1
    memory = changed(memory, "report", 1, 1_000)
    journal.save(memory, 3_000)
    journal.close()
    assert journal.load(4_000) == memory


def _a_file_in_the_folder_s_place(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file where the folder should be")


def _a_folder_in_the_file_s_place(path: Path) -> None:
    path.mkdir()


def _not_ours_to_write(path: Path) -> None:
    journal = DiskJournal(path, "monday")
    journal.load(1_000)
    journal.save(remembered(), 2_000)
    journal.close()
    path.chmod(0o444)


def _not_ours_to_open(path: Path) -> None:
    _not_ours_to_write(path)
    path.chmod(0o000)


@pytest.mark.parametrize(
    "hinder", [_a_file_in_the_folder_s_place, _a_folder_in_the_file_s_place, _not_ours_to_write, _not_ours_to_open]
)
def test_without_a_disk_the_dispenser_logs_it_once_and_continues_in_memory(
    hinder: Callable[[Path], None], bound: Bound, capsys: pytest.CaptureFixture[str]
) -> None:
    bound.path.parent.mkdir()
    hinder(bound.path)
    with as_nobody(bound.path.parent):
        journal = bound.on_disk()
        assert journal.load(3_000) == Memory()
        for _ in range(3):
            journal.save(remembered(), 4_000)
    assert capsys.readouterr().out.count("journal cannot be written, going on in memory") == 1
    assert not bound.path.with_name("park.gate.db.damaged").exists()


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without the rights of root, who may open every file; the parent folders stay open."""
    folder.parent.chmod(0o755)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """No file may grow beyond a size: writing fails as on a full disk, with EFBIG instead of ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
