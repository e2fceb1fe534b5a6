"""A journal on disk: SQLite, one file per dispenser.

Each save is one transaction, durable before `save` returns (write-ahead log, synchronous FULL). The file is locked
while it is open: two processes with one identity would both run the motor.

An entry that cannot be decoded is moved to the table `unreadable` and logged; all other entries are kept. A file that
is not a SQLite database, or has another schema, is renamed to `*.damaged`, and the dispenser starts with an empty
memory, from number 1. If the disk cannot be written (full, broken), the error is logged once and the dispenser
continues in memory; the next successful save writes everything. A file that cannot be opened (missing permissions, a
read-only disk) is opened again at the next start; until then the dispenser works with an empty memory and counts from
number 1.
"""

import sqlite3
from pathlib import Path

import structlog

from devices.journal.entries import Unreadable, read_memory, write_rest
from devices.journal.port import changes
from devices.machine.persistent_state import Memory
from models.contract.codec import encode
from models.errors import ConfigError

__all__ = ["DiskJournal"]

log = structlog.get_logger()

_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY, kept BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS memory
    (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, saved INTEGER NOT NULL, rest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS unreadable (name TEXT PRIMARY KEY, text BLOB NOT NULL, reason TEXT NOT NULL);
COMMIT;
"""
"""`rest` is the memory without its reports; times are milliseconds on the clock of `boot`. Only operators read
`unreadable`."""
_IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH})


class DiskJournal:
    """The journal in one file; a missing folder is created."""

    def __init__(self, path: Path, boot: str) -> None:
        """`boot` identifies the boot of the machine (devices.session.boot_id); "" if it is unknown."""
        self._path = path
        self._boot = boot
        self._db: sqlite3.Connection | None = None
        self._saved: Memory | None = None
        """content of the file, on the clock of this boot; None if the next save must write everything"""
        self._is_failing = False

    def load(self, now: int) -> Memory:
        """Load the memory. Raises ConfigError if another process holds the file; other errors yield an empty memory."""
        try:
            return self._load(now)
        except (sqlite3.DatabaseError, OSError) as error:
            self.close()
            if _code(error) in _IN_USE:
                raise ConfigError(f"{self._path} is in use: another process runs this dispenser") from None
            if not isinstance(error, OSError) and _code(error) in _DAMAGED and self._move_damaged_file(error):
                return self.load(now)
            self._failed(error)
            return Memory()

    def save(self, memory: Memory, now: int) -> None:
        if self._db is None:
            return
        try:
            with self._db:
                self._write(self._db, memory, now)
        except sqlite3.Error as error:
            self._failed(error)
        else:
            self._saved, self._is_failing = memory, False

    def close(self) -> None:
        if self._db:
            self._db.close()
        self._db = None

    def _load(self, now: int) -> Memory:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self._path, timeout=0)
        self._db.executescript(_SCHEMA)
        self._saved = None
        row = self._db.execute("SELECT boot, CAST(saved AS INTEGER), CAST(rest AS BLOB) FROM memory").fetchone()
        if row is None:
            return Memory()
        boot, saved, rest = row
        reports = self._db.execute("SELECT number, CAST(kept AS BLOB) FROM reports ORDER BY number")
        memory, unreadable = read_memory(rest, reports)
        if unreadable:
            self._move_unreadable(self._db, unreadable)
        if not boot or boot != self._boot:
            return memory.shifted(now - saved)
        if not unreadable:
            self._saved = memory
        return memory

    def _write(self, db: sqlite3.Connection, memory: Memory, now: int) -> None:
        if self._saved is None:
            db.execute("DELETE FROM reports")
        added, deleted = changes(self._saved or Memory(), memory)
        db.executemany("DELETE FROM reports WHERE number = ?", [(number,) for number in deleted])
        db.executemany(
            "INSERT INTO reports VALUES (?, ?)", [(pending.report.number, encode(pending)) for pending in added]
        )
        db.execute("REPLACE INTO memory VALUES (1, ?, ?, ?)", (self._boot, now, write_rest(memory)))

    def _move_unreadable(self, db: sqlite3.Connection, unreadable: list[Unreadable]) -> None:
        """Log each entry and copy it to the table `unreadable` if possible; the next save leaves it out."""
        for entry in unreadable:
            log.error("journal entry set aside", path=str(self._path), entry=entry.name, error=entry.reason)
        try:
            with db:
                db.executemany("REPLACE INTO unreadable VALUES (?, ?, ?)", unreadable)
        except sqlite3.Error as error:
            self._failed(error)

    def _move_damaged_file(self, error: Exception) -> bool:
        """Rename a damaged file, for inspection by the operator; it replaces an earlier one."""
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
        except OSError:
            return False
        log.error("journal damaged, starting with an empty one", aside=str(aside), error=str(error))
        return True

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            log.error("journal cannot be written, going on in memory", path=str(self._path), error=str(error))
        self._is_failing = True


def _code(error: Exception) -> int:
    """Return the primary result code of SQLite; an error without a code counts as a damaged file."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
