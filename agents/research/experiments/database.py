"""The store's file: SQLite, for any number of processes and threads.

A commit is on the disk before it returns (`synchronous=FULL`). A process that dies takes with it
what it had not committed, and nothing else; SQLite sees to the rest when the file is next opened.
"""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agents.research.experiments.errors import (
    CorruptStoreError,
    DamagedRowError,
    StoreBusyError,
    StoreFullError,
    StoreGoneError,
    StoreUnusableError,
    StoreVersionError,
)
from agents.research.experiments.file_system import is_remote
from agents.research.experiments.schema import STEPS, Step, migrate, version_of

_LEAST_ROOM_BYTES = 1 << 20  # SQLite reports a full disk as an input/output error, too
_SYNCHRONOUS = "FULL"  # a commit survives a power cut
_PAUSE_S = 0.02
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # a table is missing
)
_UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class Database:
    """One open file.

    Raises:
        StoreError: it cannot be opened, is damaged, or is not ours; it is left as it is.
    """

    def __init__(self, path: Path, *, wait_s: float, steps: Sequence[Step] = STEPS) -> None:
        self.path = path.absolute()
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._pid = os.getpid()
        with self._errors_told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors_told():
                self._prepare(steps)
                self._file = self._identity()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What one moment's commits have left; writers go on meanwhile."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """What happens inside is committed as a whole, or not at all when an error leaves it."""
        with self._transaction("BEGIN IMMEDIATE") as connection:  # a read that turns into a write
            yield connection  # would fail where another process wrote in between

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors_told():
            self._require_same_file()
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _prepare(self, steps: Sequence[Step]) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        connection.execute("BEGIN")  # one moment's view: another process may be making the file
        try:
            version = version_of(connection)
        except ValueError as error:
            raise CorruptStoreError(self.path, str(error)) from error
        finally:
            connection.execute("ROLLBACK")
        if version > len(steps):
            raise StoreVersionError(self.path, version, len(steps))
        self._choose_journal()
        if version < len(steps):
            migrate(connection, steps)

    def _choose_journal(self) -> None:
        """A write-ahead log, but a rollback journal where the log's shared memory cannot be.

        Both keep every promise; with a rollback journal readers and writers wait for each other.
        SQLite does not wait for its turn to change the kind of journal, so that we must.
        """
        journal = "TRUNCATE" if is_remote(self.path) else "WAL"
        deadline_s = time.monotonic() + self._wait_s
        while True:
            try:
                self._connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    def _require_same_file(self) -> None:
        if os.getpid() != self._pid:
            raise StoreGoneError(self.path, "was opened by the process that forked this one")
        if self._identity() != self._file:
            raise StoreGoneError(self.path, "was removed or replaced while it was open")

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Raise the store's own error for what the outside world can cause; bugs stay bugs."""
        try:
            yield
        except DamagedRowError as error:
            raise CorruptStoreError(self.path, str(error)) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreFullError(self.path) from error
            raise StoreUnusableError(self.path, str(error)) from error
        except sqlite3.Error as error:
            code = _code(error)
            if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._is_full()):
                raise StoreFullError(self.path) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreBusyError(self.path, self._wait_s) from error
            if code in _DAMAGED:
                raise CorruptStoreError(self.path, str(error)) from error
            if code in _UNUSABLE:
                raise StoreUnusableError(self.path, str(error)) from error
            raise

    def _is_full(self) -> bool:
        disk = os.statvfs(self.path.parent)
        return disk.f_bavail * disk.f_frsize < _LEAST_ROOM_BYTES


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for what Python's module found by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
