"""A journal on the disk: SQLite, one file a dispenser.

Every save is one transaction, on the disk before it returns (write-ahead log, synchronous FULL). The file is locked as
long as it is open, since two processes with one identity would both run the motor.

An entry that cannot be understood is put into a table of its own and logged; everything else is kept. A file that is no
database, or another one, is moved aside and the dispenser starts anew, from number 1. A disk that cannot be
written (full, broken) is logged once, and the dispenser goes on in memory: people still get paper. The next save that
succeeds brings the disk everything. A file that could not even be opened (missing rights, a read-only disk) is tried
again at the next start: until then the dispenser knows nothing of what is in it and counts from number 1.
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
"""`rest` is the memory without its reports; moments are milliseconds on the clock of `boot`. `unreadable` is read by
people only."""
_IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH})


class DiskJournal:
    """The journal in one file; its folder is made where it is missing."""

    def __init__(self, path: Path, boot: str) -> None:
        """`boot` names the time since the machine was started (device_files.py); "" if it is unknown."""
        self._path = path
        self._boot = boot
        self._db: sqlite3.Connection | None = None
        self._saved: Memory | None = None
        """what the file holds on this boot's clock; None where all of it has to be written"""
        self._is_failing = False

    def load(self, now: int) -> Memory:
        """Raises ConfigError where another process has the file; everything else ends in an empty memory."""
        try:
            return self._load(now)
        except (sqlite3.DatabaseError, OSError) as error:
            self.close()
            if _code(error) in _IN_USE:
                raise ConfigError(f"{self._path} is in use: another process runs this dispenser") from None
            if not isinstance(error, OSError) and _code(error) in _DAMAGED and self._put_aside(error):
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
            self._set_aside(self._db, unreadable)
        if not boot or boot != self._boot:
            return memory.shifted(now - saved)
        if not unreadable:
            self._saved = memory
        return memory

    def _write(self, db: sqlite3.Connection, memory: Memory, now: int) -> None:
        if self._saved is None:
            db.execute("DELETE FROM reports")
        came, went = changes(self._saved or Memory(), memory)
        db.executemany("DELETE FROM reports WHERE number = ?", [(number,) for number in went])
        db.executemany("INSERT INTO reports VALUES (?, ?)", [(kept.report.number, encode(kept)) for kept in came])
        db.execute("REPLACE INTO memory VALUES (1, ?, ?, ?)", (self._boot, now, write_rest(memory)))

    def _set_aside(self, db: sqlite3.Connection, unreadable: list[Unreadable]) -> None:
        """Name each entry in the log, and keep it if the disk allows; the next save leaves it out of the memory."""
        for entry in unreadable:
            log.error("journal entry set aside", path=str(self._path), entry=entry.name, error=entry.reason)
        try:
            with db:
                db.executemany("REPLACE INTO unreadable VALUES (?, ?, ?)", unreadable)
        except sqlite3.Error as error:
            self._failed(error)

    def _put_aside(self, error: Exception) -> bool:
        """Keep one damaged file for whoever wants to look at it; a later one takes its place."""
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
        except OSError:
            return False
        log.error("journal damaged, starting anew", aside=str(aside), error=str(error))
        return True

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            log.error("journal cannot be written, going on in memory", path=str(self._path), error=str(error))
        self._is_failing = True


def _code(error: Exception) -> int:
    """SQLite's primary result code; what could be read and not understood is damaged."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
