"""Disk: diskcache over SQLite, bytes only.

Documentation: https://grantjenks.com/docs/diskcache/. Its pickle mode is refused in both directions (CVE-2025-69872).
"""

import contextlib
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import diskcache
import msgspec
from diskcache.core import DBNAME, MODE_BINARY, MODE_RAW

from apicache import forks
from apicache.entry import Entry
from apicache.markers import Marker
from apicache.shared_state import (
    SharedState,
    abandon,
    file_identity,
    make_private,
    raise_damaged,
)
from apicache.tier import TierPlace, TierSize

_FOLDER: Final = "entries"
"""The tier's own folder inside the given one, whose permissions are its owner's affair."""
_LOOK_SECONDS: Final = 1.0
"""How long reads may go on in a folder that was removed or replaced; writes look each time."""
_BATCH: Final = 500
"""Rows of one SELECT."""
_CULLED: Final = 10
"""Entries that one round of eviction removes; a set makes at most this many rounds, so that it stays short."""
_VALUE_FILE: Final = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")

_READABLE: Final = "raw = 1 AND (expire_time IS NULL OR expire_time > ?)"
_ONE: Final = f"SELECT mode, filename, value FROM Cache WHERE key = ? AND {_READABLE}"  # noqa: S608 - constants only
_PLACE: Final = "SELECT rowid, filename FROM Cache WHERE key = ? AND raw = 1"
_OLDEST: Final = "SELECT rowid, filename FROM Cache ORDER BY store_time LIMIT ?"
_EXPIRED: Final = "SELECT rowid, filename FROM Cache WHERE expire_time < ? ORDER BY expire_time LIMIT ?"

_Sql = Callable[..., sqlite3.Cursor]
_Cleanup = Callable[[str | None], None]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tier's settings; both bounds hold approximately: past them, each set removes the entries stored first."""

    max_bytes: int = 2**30
    max_entries: int = 1_000_000


class _BytesOnly(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's file layer with the pickle mode taken out, and bound to the names of its own value files."""

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        if type(value) is not bytes:
            raise TypeError(f"the disk tier stores bytes, not {type(value).__name__}")
        return super().store(value, read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: Any) -> Any:  # noqa: ARG002 - diskcache's shape
        """The stored bytes; none for anything else, which is then damaged. Raises OSError for a file that is gone."""
        if mode == MODE_RAW and type(value) is bytes:
            return value
        if mode == MODE_BINARY and _is_value_file(filename):
            return Path(self._directory, str(filename)).read_bytes()
        return b""

    def _write(self, full_path: str, *args: Any) -> Any:
        try:
            return super()._write(full_path, *args)
        except BaseException:
            Path(full_path).unlink(missing_ok=True)  # on a full disk, diskcache leaves what it had written
            raise

    def remove(self, file_path: Any) -> None:
        if _is_value_file(file_path):
            super().remove(file_path)

    def put(self, key: Any) -> Any:
        if type(key) is not str:
            raise TypeError(f"the disk tier's keys are str, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> Any:
        return key if raw else None


def _is_value_file(filename: object) -> bool:
    return isinstance(filename, str) and _VALUE_FILE.fullmatch(filename) is not None


class _Database(diskcache.Cache):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's tables, read and written for many keys at once."""

    max_entries = 0
    evictions = 0

    def value(self, name: str, *, again: bool = False) -> bytes | None:
        """What is stored under a name; None for none. `Cache.get` without what this tier never asks for.

        Between its two reads another process may overwrite, and so remove, the file: then it reads `again`.
        """
        local = self._local  # its thread's; `_con` looks for a fork with each use, and after one the tier opens another
        cursor = getattr(local, "cursor", None)
        if cursor is None or cursor.connection is not getattr(local, "con", None):
            cursor = local.cursor = self._con.cursor()
        row = cursor.execute(_ONE, (name, time.time())).fetchone()  # the only one: the read ends with it
        if row is None or (row[0] == MODE_RAW and type(row[2]) is bytes):
            return None if row is None else row[2]
        try:
            return self._disk.fetch(*row, read=False)  # type: ignore[no-any-return]
        except OSError:
            return None if again else self.value(name, again=True)

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Names and what is stored under them, for those that are there."""
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            marks = ", ".join("?" * len(batch))
            select = f"SELECT key, mode, value FROM Cache WHERE key IN ({marks}) AND {_READABLE}"  # noqa: S608
            for name, mode, value in self._sql(select, (*batch, time.time())).fetchall():
                found = value if mode == MODE_RAW and type(value) is bytes else self.value(name)
                if found is not None:
                    yield name, found

    def all_values(self) -> Iterator[tuple[str, bytes]]:
        """Every name and what is stored under it."""
        last = 0
        select = f"SELECT rowid, key FROM Cache WHERE rowid > ? AND {_READABLE} ORDER BY rowid LIMIT {_BATCH}"  # noqa: S608
        while rows := self._sql(select, (last, time.time())).fetchall():
            last = rows[-1][0]
            yield from self.values([name for _, name in rows if isinstance(name, str)])

    def store(self, values: Sequence[tuple[str, bytes, float | None]]) -> None:
        """Store names, values and the seconds until they expire: all or none.

        diskcache's own `set` inside its `transact` would remove the files of overwritten values before the commit.
        """
        now = time.time()
        rows: list[tuple[str, tuple[Any, ...]]] = []
        try:
            for name, data, seconds in values:  # files are written before the lock is taken
                expires = None if seconds is None else now + seconds
                rows.append((name, (expires, None, *self._disk.store(data, read=False))))
            with self._transact() as (sql, cleanup):
                for name, columns in rows:
                    for rowid, filename in (found := sql(_PLACE, (name,)).fetchall()):
                        cleanup(filename)
                        self._row_update(rowid, now, columns)
                    if not found:
                        self._row_insert(name, 1, now, columns)
                self._make_room(sql, cleanup, now, len(rows))
        except BaseException:
            for _, columns in rows:
                self._disk.remove(columns[4])
            raise

    def _make_room(self, sql: _Sql, cleanup: _Cleanup, now: float, stored: int) -> None:
        _remove(sql, cleanup, sql(_EXPIRED, (now, stored + _CULLED)).fetchall())
        for _ in range(stored + _CULLED):
            entries, used = self.totals()
            excess = entries - self.max_entries
            if excess <= 0 and used <= self.size_limit:
                return
            oldest = sql(_OLDEST, (_CULLED,)).fetchall()
            if excess > 0:
                oldest = oldest[:excess]
            _remove(sql, cleanup, oldest)
            self.evictions += len(oldest)

    def totals(self) -> tuple[int, int]:
        """Entries, also expired ones, and bytes in files and used pages; `volume` also counts pages just freed."""
        totals = dict(self._sql("SELECT key, value FROM Settings WHERE key IN ('count', 'size')").fetchall())
        ((pages,),) = self._sql("PRAGMA page_count").fetchall()
        ((free,),) = self._sql("PRAGMA freelist_count").fetchall()
        return totals["count"], self._page_size * (pages - free) + totals["size"]

    def forget(self, names: Sequence[str]) -> None:
        """Remove names, expired ones too, with their files."""
        with self._transact() as (sql, cleanup):
            for name in names:
                _remove(sql, cleanup, sql(_PLACE, (name,)).fetchall())


def _remove(sql: _Sql, cleanup: _Cleanup, rows: Sequence[tuple[int, str | None]]) -> None:
    for rowid, filename in rows:
        sql("DELETE FROM Cache WHERE rowid = ?", (rowid,))
        cleanup(filename)


class DiskTier:
    """Entries in a folder that processes share; opened on first use, readable by its owner only.

    Raises ApicacheError naming a database that is damaged; SQLite's and diskcache's errors pass through.
    """

    name: ClassVar[str] = "disk"
    blocking: ClassVar[bool] = True
    self_bounded: ClassVar[bool] = True

    def __init__(self, place: TierPlace, options: Options) -> None:
        self._folder = place.directory.absolute() / _FOLDER
        self._path = self._folder / DBNAME
        self._options = options
        self._sealer = place.sealer
        self._timeout = place.timeout
        self._shared = SharedState(self._folder / "shared.db", place.timeout)
        self._opened: _Database | None = None
        self._identity: tuple[int, int] | None = None
        self._look_again = 0.0
        self._opening = threading.Lock()
        self._evictions = 0
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._opening = threading.Lock()
        abandon(self._opened)
        self._opened = None

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        """The entries there are; one that is damaged, or another key's, is removed."""
        database = self._opened
        if database is None or time.monotonic() >= self._look_again:
            database = self._looked_at()
        try:
            if len(keys) != 1:
                return self._read(database, keys)
            data = database.value(name := self._sealer.name(keys[0]))
            if data is None:
                return {}
            opened = self._sealer.unseal(data)
            if opened is not None and opened[0] == keys[0]:
                return {opened[0]: opened[1]}
            database.forget([name])
        except (sqlite3.Error, OSError) as error:
            self._failed(error, database)
            raise
        return {}

    def _read(self, database: _Database, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        wanted = {self._sealer.name(key): key for key in keys}
        found: dict[bytes, Entry] = {}
        damaged = []
        for name, data in database.values(list(wanted)):
            opened = self._sealer.unseal(data)
            if opened is None or opened[0] != wanted[name]:
                damaged.append(name)
            else:
                found[opened[0]] = opened[1]
        if damaged:
            database.forget(damaged)
        return found

    def set_many(self, entries: Mapping[bytes, Entry], now: float, /) -> None:
        """Store, all or none, until their expiry; past a bound those stored first go.

        An entry that is over already is not written, one larger than the tier is forgotten.
        """
        values, too_large = [], []
        for key, entry in entries.items():
            if entry.expires <= now:
                continue
            name, data = self._sealer.name(key), self._sealer.seal(key, entry)
            if len(data) > self._options.max_bytes:
                too_large.append(name)
            else:
                values.append((name, data, None if entry.expires == math.inf else entry.expires - now))
        with self._database() as database:
            if values:
                database.store(values)
            if too_large:
                database.forget(too_large)

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        """Forget entries."""
        with self._database() as database:
            database.forget([self._sealer.name(key) for key in keys])

    def clear(self) -> None:
        """Forget all entries; leases and markers stay. May take longer than the timeout."""
        with self._database() as database:
            database.clear()
            # What a killed writer left: a value whose row it never wrote.
            for left in self._folder.glob("??/??/*.val"):
                left.unlink(missing_ok=True)

    def size(self) -> TierSize:
        """Entries, with those that are expired and not yet removed; bytes in pages and files."""
        with self._database() as database:
            entries, used = database.totals()
            return TierSize(
                entries=entries,
                bytes=used,
                max_bytes=self._options.max_bytes,
                max_entries=self._options.max_entries,
                evictions=self._evictions + database.evictions,
                location=str(self._folder),
            )

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Every readable entry with its key."""
        with self._database() as database:
            for name, data in database.all_values():
                opened = self._sealer.unseal(data)
                if opened is not None and self._sealer.name(opened[0]) == name:
                    yield opened

    def close(self) -> None:
        """Close both databases; they open again on the next use."""
        with self._opening:
            self._drop()
        self._shared.close()

    def claim(self, key: bytes, owner: str, seconds: float, /) -> bool:
        """Take, or extend, the lease on loading a key; False while another owner has it."""
        return self._shared.claim(self._sealer.name(key), owner, seconds)

    def release(self, key: bytes, owner: str, /) -> None:
        """Give the lease back; nothing happens when another owner has it by now."""
        self._shared.release(self._sealer.name(key), owner)

    def publish(self, markers: Sequence[Marker], /) -> None:
        """Store markers, joined with what is there; watchers see them within 0.1 s or so."""
        self._shared.publish(markers)

    def markers(self) -> Sequence[Marker]:
        """Every marker that is stored."""
        return self._shared.markers()

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        """Hand over all markers, then those that change, until `stopped` is set. Raises when the folder is lost."""
        self._shared.watch(on_markers, stopped)

    @contextlib.contextmanager
    def _database(self) -> Iterator[_Database]:
        database = self._looked_at()
        try:
            yield database
        except (sqlite3.Error, OSError) as error:
            self._failed(error, database)
            raise

    def _looked_at(self) -> _Database:
        """The open database, after a look whether it still is the folder's."""
        if not self._opening.acquire(timeout=self._timeout):
            raise TimeoutError(f"{self._path} was being opened for {self._timeout} s")
        try:
            if self._opened is not None and file_identity(self._path) != self._identity:
                self._drop()
            if self._opened is None:
                try:
                    self._opened = self._open()
                except sqlite3.Error as error:
                    raise_damaged(self._path, error)
            self._look_again = time.monotonic() + _LOOK_SECONDS
            return self._opened
        finally:
            self._opening.release()

    def _open(self) -> _Database:
        self._identity = make_private(self._path)
        # diskcache retries for a minute when the database is locked as it is opened; this raises instead.
        with contextlib.closing(sqlite3.connect(self._path, timeout=self._timeout)) as probe:
            probe.execute("BEGIN IMMEDIATE")
            probe.rollback()
        database = _Database(
            str(self._folder),
            timeout=self._timeout,
            disk=_BytesOnly,
            size_limit=self._options.max_bytes,
            eviction_policy="least-recently-stored",
        )
        database.max_entries = self._options.max_entries
        return database

    def _drop(self) -> None:
        if self._opened is not None:
            self._evictions += self._opened.evictions
            self._opened.close()
            self._opened = None

    def _failed(self, error: sqlite3.Error | OSError, database: _Database) -> None:
        """Let the next use open what is there then, unless it was only locked."""
        with self._opening:
            if self._opened is database:
                self._opened = None
        if isinstance(error, sqlite3.Error):
            raise_damaged(self._path, error)


def build(place: TierPlace) -> DiskTier:
    """The tier in a folder of its own inside `place.directory`."""
    return DiskTier(place, msgspec.convert(dict(place.options), Options, strict=False))
