"""The usage log: a bounded SQLite file, written off the hot path, that keeps counters, digests, and requests' order.

Nothing of a call's content is kept, unless its operation opted in (`record=True`), and never a credential.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from apicache import forks
from apicache.clock import Clock, SystemClock
from apicache.errors import InputError
from apicache.shared_state import create_private, file_identity
from apicache.usage import chunks
from apicache.usage.folding import HOUR, fold
from apicache.usage.tables import FORMAT, format_of, make_tables, put, rows_of
from apicache.usage.usage import Event, Selection

_log = logging.getLogger("apicache")

_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_BUSY_SECONDS: Final = 2.0
"""How long a writer waits for another process; it has a thread of its own."""
_RETRY_SECONDS: Final = 0.01
"""How long a new file is left to the process that is making it too."""
_IS_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FORK_SECONDS: Final = 0.5
"""How long a fork waits for a batch that is being written."""

_left_by_fork: list[object] = []
"""Connections that a forked child must neither use nor close: another thread of the parent was using them."""


class UsageLog:
    """Usage in one file that processes share; opened on first use, readable by its owner only.

    `write` never raises; what reads or erases raises InputError for a file that is locked, damaged or foreign.
    """

    def __init__(
        self,
        path: Path,
        retention_seconds: float = 30 * 86400.0,
        max_rows: int = 1_000_000,
        *,
        max_requests: int = 1_000_000,
        clock: Clock | None = None,
        busy_seconds: float = _BUSY_SECONDS,
    ) -> None:
        self.path = path
        self.lost = 0
        """Events that could not be written."""
        self._retention = retention_seconds
        self._max_rows = max_rows
        self._max_requests = max_requests
        self._clock = clock or SystemClock()
        self._busy_seconds = busy_seconds
        self._using = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._is_held_for_fork = False
        self._written_since_cleaning: int | None = None
        self._traced_since_cleaning: int | None = None
        self._has_warned = False
        forks.on_fork(self._in_child, before=self._before_fork, in_parent=self._after_fork)

    def _before_fork(self) -> None:
        """Close between two batches: an open connection would take the parent's locks into the child."""
        if self._using.acquire(timeout=_FORK_SECONDS):
            with contextlib.suppress(sqlite3.Error):
                self._close()
            self._is_held_for_fork = True
        else:
            self._is_held_for_fork = False

    def _after_fork(self) -> None:
        if self._is_held_for_fork:
            self._using.release()

    def _in_child(self) -> None:
        if self._opened is not None:
            _left_by_fork.append(self._opened)
            self._opened = None
        self._using = threading.Lock()

    def write(self, events: Sequence[Event]) -> bool:
        """Add a batch in one transaction; False, and the events are counted as lost, when that fails."""
        if not events:
            return True
        try:
            with self.transaction(create=True) as database:
                if database is not None:  # it always is one, with create=True
                    self._add(database, events)
        except Exception as error:  # noqa: BLE001 - the edge of the log: whatever is wrong with it, calls go on
            self.lost += len(events)
            if not self._has_warned:
                self._has_warned = True
                _log.warning("usage is not recorded: %s", error)
            return False
        return True

    @contextlib.contextmanager
    def transaction(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        """The open file within one transaction; None when there is no file and `create` is false.

        Raises InputError for a file that is locked, damaged or foreign.
        """
        with self._using:
            try:
                database = self._open(create=create)
                if database is None:
                    yield None
                    return
                database.execute("BEGIN IMMEDIATE")
                with database:  # commits, or rolls back when the block raises
                    yield database
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                with contextlib.suppress(sqlite3.Error):
                    self._close()
                raise InputError(self._what_is_wrong(error)) from error

    def _what_is_wrong(self, error: Exception) -> str:
        if isinstance(error, sqlite3.OperationalError | OSError):
            return f"{self.path} cannot be used ({error}); try again, or check who holds it open"
        return f"{self.path} is damaged ({error}); delete it, and a new one is begun"

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        if self._opened is not None and self._identity == file_identity(self.path):
            return self._opened
        self._close()  # its file may have been removed or replaced
        if not create and not self.path.exists():
            return None
        if create:
            _make_private(self.path)
        database = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._opened, self._identity = database, file_identity(self.path)
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        self._make_tables(database)
        database.execute(f"PRAGMA busy_timeout = {int(1000 * self._busy_seconds)}")
        database.execute("PRAGMA secure_delete = ON")  # what is erased is gone from the file too
        database.execute("PRAGMA synchronous = NORMAL")
        found = format_of(database)
        if found != FORMAT:
            raise InputError(f"{self.path} has format {found}, this version knows {FORMAT}; delete it to begin anew")

    def _make_tables(self, database: sqlite3.Connection) -> None:
        """Give a new file its tables; raises sqlite3.OperationalError when it stays locked.

        Several processes may begin the same file. SQLite changes the journal mode by upgrading a read lock, and refuses
        that at once while another has the write lock, whatever the busy timeout: until it is made, the waiting is ours.
        """
        ends = time.monotonic() + self._busy_seconds
        while True:
            try:
                make_tables(database)
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF in _IS_BUSY  # the rest of an extended code tells the reason
                if not is_busy or time.monotonic() >= ends:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _add(self, database: sqlite3.Connection, events: Sequence[Event]) -> None:
        rows = rows_of(database, list({event.key for event in events}))
        known = len(rows)
        counters = fold(events, rows)
        put(database, counters, rows)
        added = len(counters) + len(rows) - known
        unclean = self._written_since_cleaning
        if unclean is None or unclean + added > self._max_rows // 100:
            self._clean(database)
            self._written_since_cleaning = 0
        else:
            self._written_since_cleaning = unclean + added
        self._trace(database, chunks.requests_in(events, rows))

    def _trace(self, database: sqlite3.Connection, requests: Sequence[chunks.Request]) -> None:
        chunks.append(database, requests, self._max_requests)
        unclean = self._traced_since_cleaning
        if unclean is None or unclean + len(requests) > self._max_requests // 100:
            chunks.drop(database, self._oldest(), self._max_requests)
            self._traced_since_cleaning = 0
        else:
            self._traced_since_cleaning = unclean + len(requests)

    def _oldest(self) -> float:
        return self._clock.now() - self._retention

    def _clean(self, database: sqlite3.Connection) -> None:
        """Drop what is past its retention, then, past the bound, the least recently used tenth and more."""
        oldest = self._oldest()
        database.execute("DELETE FROM counters WHERE hour < ?", (int(oldest // HOUR),))
        self._drop_keys(database, "used_at < ?", oldest)
        (keys,) = database.execute("SELECT COUNT(*) FROM keys").fetchone()
        (hours,) = database.execute("SELECT COUNT(*) FROM counters").fetchone()
        excess = keys + hours - self._max_rows
        if excess > 0:
            excess += self._max_rows // 10
            self._drop_keys(database, "id IN (SELECT id FROM keys ORDER BY used_at LIMIT ?)", min(excess, keys))
            database.execute(
                "DELETE FROM counters WHERE (hour, operation) IN"
                " (SELECT hour, operation FROM counters ORDER BY hour LIMIT ?)",
                (max(0, excess - keys),),
            )
        database.execute("PRAGMA incremental_vacuum(1000)").fetchall()  # a page a step

    @staticmethod
    def _drop_keys(database: sqlite3.Connection, condition: str, value: float) -> None:
        """Their requests go first: a number may be given again."""
        statement = f"SELECT id FROM keys WHERE {condition}"  # noqa: S608 - constants
        ids = [number for (number,) in database.execute(statement, (value,))]
        chunks.forget(database, ids)
        database.executemany("DELETE FROM keys WHERE id = ?", [(number,) for number in ids])

    def count(self, selection: Selection) -> int:
        """How many rows `erase` would forget."""
        with self.transaction() as database:
            return 0 if database is None else len(_selected(database, selection)) + _hours(database, selection)

    def erase(self, selection: Selection) -> int:
        """Forget rows and their requests, and let nothing of them stay in the file; how many rows there were."""
        with self.transaction() as database:
            if database is None:
                return 0
            keys = _selected(database, selection)
            erased = len(keys) + _hours(database, selection)
            if selection.everything:
                for table in ("keys", "counters", "trace"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            else:
                chunks.forget(database, [row.id for row in rows_of(database, list(keys)).values()])
                database.executemany("DELETE FROM keys WHERE key = ?", [(key,) for key in keys])
        with self._using, contextlib.suppress(sqlite3.Error):  # with a reader in the way, a later checkpoint does it
            if self._opened is not None:
                self._opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return erased

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._using:
            self._close()

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


def _selected(database: sqlite3.Connection, selection: Selection) -> set[bytes]:
    """The keys of the rows that a selection names."""
    if selection.everything:
        return {key for (key,) in database.execute("SELECT key FROM keys")}
    found = set(rows_of(database, selection.keys))
    for condition, values in (
        ("subject = ?", selection.scopes),
        ("operation = ?", selection.operations),
        ("substr(operation, 1, length(?1)) = ?1", selection.prefixes),
    ):
        statement = f"SELECT key FROM keys WHERE {condition}"  # noqa: S608 - constants
        found.update(key for value in values for (key,) in database.execute(statement, (value,)))
    return found


def _hours(database: sqlite3.Connection, selection: Selection) -> int:
    if not selection.everything:
        return 0
    (count,) = database.execute("SELECT COUNT(*) FROM counters").fetchone()
    return int(count)


def _make_private(path: Path) -> None:
    """The file, empty, before SQLite opens it: what SQLite puts beside it takes its mode over.

    Unlike `shared_state.make_private`, which has a folder of its own: this one may be the user's, whose mode stays, and
    of which git is to ignore these files alone.
    """
    path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    create_private(path)
    path.chmod(_PRIVATE_FILE)
    with contextlib.suppress(OSError), (path.parent / ".gitignore").open("x", encoding="ascii") as ignored:
        ignored.write(f"/.gitignore\n/{path.name}*\n")  # usage is nobody's source code
