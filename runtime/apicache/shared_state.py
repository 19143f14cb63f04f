"""Leases and invalidation markers that processes share through one SQLite file.

It stands beside the entries and not among them: they are evicted and cleared, leases and markers are not.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from apicache import forks
from apicache.entry import NEVER
from apicache.errors import ApicacheError
from apicache.markers import MARKERS_MAX, Marker, MarkerTable, Scope

POLL_SECONDS: Final = 0.1
"""How often a watcher asks whether another connection has written."""
_FORMAT: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX leases_until ON leases (until)",
    (
        "CREATE TABLE markers (scope TEXT, value TEXT, gone_at REAL, stale_at REAL, revision INTEGER NOT NULL,"
        " PRIMARY KEY (scope, value)) WITHOUT ROWID"
    ),
    "CREATE INDEX markers_revision ON markers (revision)",
    f"PRAGMA user_version = {_FORMAT}",
)
_CLAIM: Final = (
    "INSERT INTO leases VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE owner = excluded.owner"
)
# `max` of a NULL is NULL in SQLite, hence the coalescing; `IS NOT` holds between NULL and a time.
_GONE_AT: Final = "coalesce(max(gone_at, excluded.gone_at), gone_at, excluded.gone_at)"
_STALE_AT: Final = "coalesce(max(stale_at, excluded.stale_at), stale_at, excluded.stale_at)"
_JOIN: Final = (
    "INSERT INTO markers VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, value) DO UPDATE"  # noqa: S608 - constants only
    f" SET gone_at = {_GONE_AT}, stale_at = {_STALE_AT}, revision = excluded.revision"
    f" WHERE gone_at IS NOT {_GONE_AT} OR stale_at IS NOT {_STALE_AT}"
)
_NEWS: Final = "SELECT scope, value, gone_at, stale_at, revision FROM markers WHERE revision > ?"

_left_by_fork: list[Any] = []


def abandon(database: object) -> None:
    """Keep what a forked child must neither use nor close: a thread of the parent may have held its locks."""
    _left_by_fork.append(database)


def make_private(path: Path) -> tuple[int, int] | None:
    """Make a database's file, empty if it is new, and its folder: for their owner alone, and ignored by git.

    Gives `file_identity`. SQLite takes an empty file for a new database, and its companions get the same permissions.
    The folder's parent keeps its permissions. Raises OSError.
    """
    folder = path.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="ascii")  # recorded answers are nobody's source code
    create_private(path)
    return file_identity(path)


def create_private(path: Path) -> None:
    """Make an empty file for its owner alone, unless there is one. Raises OSError for a link.

    A file that is there is not opened: closing it again would drop every lock that SQLite holds on it in this process
    (https://www.sqlite.org/howtocorrupt.html, section 2.2), and the next process to close would remove its live WAL.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None for none. The number of a removed file is not given again while it is open."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def raise_damaged(path: Path, error: sqlite3.Error) -> NoReturn:
    """Raise `error`; instead ApicacheError when it says that the file is damaged (SQLITE_CORRUPT, SQLITE_NOTADB)."""
    if type(error) is sqlite3.DatabaseError:
        raise ApicacheError(f"{path} is damaged ({error}); delete {path.parent}") from error
    raise error


class SharedState:
    """Leases and markers in the SQLite file `path`, opened on first use.

    Each operation ends within about `timeout` seconds, by success or by an error. Raises ApicacheError naming a file
    that is damaged.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._lock = threading.Lock()
        self._next = threading.Lock()
        """Held by the thread that is to have `_lock` next: who has just released it cannot take it again at once."""
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._next = threading.Lock()
        abandon(self._connection)
        self._connection = None

    def claim(self, name: str, owner: str, seconds: float) -> bool:
        """Take, or extend, a lease; False while another owner has it. It ends after `seconds` of wall time."""
        now = time.time()
        with self._opened() as connection:
            # Those who wait for a lease ask again and again: what they are told most often takes no write lock.
            held = connection.execute(
                "SELECT 1 FROM leases WHERE name = ? AND owner <> ? AND until > ?", (name, owner, now)
            ).fetchone()
            if held:
                return False
            with _writing(connection):
                connection.execute("DELETE FROM leases WHERE until <= ?", (now,))
                return connection.execute(_CLAIM, (name, owner, now + seconds)).rowcount == 1

    def release(self, name: str, owner: str) -> None:
        """Give a lease back; nothing happens when another owner has it by now."""
        with self._opened() as connection, _writing(connection):
            connection.execute("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner))

    def publish(self, markers: Sequence[Marker]) -> None:
        """Store markers, joined with what is there; past 10,000 the older half becomes one for everything."""
        with self._opened() as connection, _writing(connection):
            _join(connection, markers)
            ((count,),) = connection.execute("SELECT count(*) FROM markers").fetchall()
            if count > MARKERS_MAX:
                stored, _ = _newer(connection, 0)
                folded = _folded(stored)
                # Joined before the others go, so that the greatest revision never falls.
                _join(connection, [marker for marker in folded if marker.scope == "all"])
                kept = {(marker.scope, marker.value) for marker in folded}
                gone = [place for marker in stored if (place := (marker.scope, marker.value)) not in kept]
                connection.executemany("DELETE FROM markers WHERE scope = ? AND value = ?", gone)

    def markers(self) -> Sequence[Marker]:
        """Every marker that is stored."""
        with self._opened() as connection:
            return _newer(connection, 0)[0]

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event) -> None:
        """Hand over all markers, then those that change, within 0.1 s or so, until `stopped` is set.

        Raises ApicacheError when the file is gone or another.
        """
        connection, identity = self._open()
        with contextlib.closing(connection):
            version = _data_version(connection)
            markers, revision = _newer(connection, 0)
            on_markers(markers)
            while not stopped.wait(POLL_SECONDS):
                if file_identity(self._path) != identity:
                    raise ApicacheError(f"{self._path} was removed or replaced")
                version, known = _data_version(connection), version
                if version != known:  # leases change it too
                    markers, revision = _newer(connection, revision)
                    if markers:
                        on_markers(markers)

    def close(self) -> None:
        """Close the file; it opens again on the next use."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self._next.acquire(timeout=self._timeout):
            raise TimeoutError(f"{self._path} was in use for {self._timeout} s")
        try:
            has_it = self._lock.acquire(timeout=self._timeout)
        finally:
            self._next.release()
        if not has_it:
            raise TimeoutError(f"{self._path} was in use for {self._timeout} s")
        try:
            if self._connection is not None and file_identity(self._path) != self._identity:
                self._drop()
            if self._connection is None:
                self._connection, self._identity = self._open()
            yield self._connection
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.OperationalError):
                self._drop()
            raise_damaged(self._path, error)
        finally:
            self._lock.release()

    def _open(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        identity = make_private(self._path)
        # Guarded by the lock, or the watcher's own.
        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, self._path)
        except sqlite3.Error as error:
            connection.close()
            raise_damaged(self._path, error)
        except BaseException:
            connection.close()
            raise
        return connection, identity


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _format(connection)
    if version == 0:
        with contextlib.suppress(sqlite3.OperationalError):
            # Fails at once while another process does the same: then that one's success is this one's.
            connection.execute("PRAGMA journal_mode = WAL")
        with _writing(connection):
            if _format(connection) == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
        version = _FORMAT
    if version != _FORMAT:
        raise ApicacheError(f"{path} has format {version}, this apicache knows {_FORMAT}; delete {path.parent}")
    connection.execute("PRAGMA synchronous = NORMAL")


def _format(connection: sqlite3.Connection) -> int:
    return cast("int", connection.execute("PRAGMA user_version").fetchone()[0])


def _data_version(connection: sqlite3.Connection) -> int:
    return cast("int", connection.execute("PRAGMA data_version").fetchone()[0])


@contextlib.contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite rolls back by itself after some errors
            connection.execute("ROLLBACK")
        raise


def _join(connection: sqlite3.Connection, markers: Sequence[Marker]) -> None:
    ((latest,),) = connection.execute("SELECT coalesce(max(revision), 0) FROM markers").fetchall()
    rows = [(m.scope, m.value, _stored(m.gone_at), _stored(m.stale_at), latest + 1) for m in markers]
    connection.executemany(_JOIN, rows)


def _newer(connection: sqlite3.Connection, revision: int) -> tuple[list[Marker], int]:
    """The markers that changed after a revision, and the revision of the newest."""
    rows = connection.execute(_NEWS, (revision,)).fetchall()
    markers = [
        Marker(cast("Scope", scope), value, _moment(gone_at), _moment(stale_at))
        for scope, value, gone_at, stale_at, _ in rows
    ]
    return markers, max((row[4] for row in rows), default=revision)


def _folded(markers: Sequence[Marker]) -> Sequence[Marker]:
    while len(markers) > MARKERS_MAX:
        table = MarkerTable()
        table.add(markers)
        markers = table.all()
    return markers


def _stored(moment: float) -> float | None:
    return None if moment == NEVER else moment


def _moment(stored: float | None) -> float:
    return NEVER if stored is None else stored
