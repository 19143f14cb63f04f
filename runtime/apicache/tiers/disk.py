"""Disk: diskcache over SQLite, bytes only.

Documentation: https://grantjenks.com/docs/diskcache/. Its pickle mode is refused in both directions (CVE-2025-69872).
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import diskcache
from diskcache.core import DBNAME, MODE_PICKLE

from apicache.entry import Entry, seal, unseal
from apicache.errors import ApicacheError

_PRIVATE: Final = 0o700
_FOLDER: Final = "entries"
"""The tier's own folder inside the given one, whose permissions are its owner's affair."""
_LOCK_SECONDS: Final = 0.2
"""How long a reader or writer waits for SQLite's lock before the tier counts as failed for that call."""

_left_by_fork: list[Any] = []
"""Databases a forked child must neither use nor close: closing takes locks that another thread of the parent held."""


class _BytesOnly(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's file layer with the pickle mode taken out."""

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        if type(value) is not bytes:
            raise TypeError(f"the disk tier stores bytes, not {type(value).__name__}")
        return super().store(value, read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: Any) -> Any:
        if mode == MODE_PICKLE:
            return None
        return super().fetch(mode, filename, value, read)

    def put(self, key: Any) -> Any:
        if type(key) is not str:
            raise TypeError(f"the disk tier's keys are str, not {type(key).__name__}")
        return super().put(key)

    def get(self, key: Any, raw: Any) -> Any:
        return super().get(key, raw) if raw else None


class DiskTier:
    """Entries in a folder that processes share; opened on first use, the folder readable by its owner only."""

    name: ClassVar[str] = "disk"
    blocking: ClassVar[bool] = True

    def __init__(self, directory: Path, max_bytes: int = 2**30) -> None:
        self._folder = directory / _FOLDER
        self._max_bytes = max_bytes
        self._opened: diskcache.Cache | None = None
        self._opening = threading.Lock()
        after_fork = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def _after_fork(self) -> None:
        self._opening = threading.Lock()
        _left_by_fork.append(self._opened)
        self._opened = None

    @contextlib.contextmanager
    def _database(self) -> Iterator[diskcache.Cache]:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_whole()
            opened = self._opened
        try:
            yield opened
        except (sqlite3.Error, OSError):
            # Its folder may have been removed or replaced: the next use opens what is there then.
            with self._opening:
                if self._opened is opened:
                    self._opened = None
            raise

    def _open_whole(self) -> diskcache.Cache:
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise ApicacheError(f"{self._folder / DBNAME} is damaged ({error}); delete {self._folder}") from error

    def _open(self) -> diskcache.Cache:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=_PRIVATE, exist_ok=True)
        self._folder.chmod(_PRIVATE)
        (self._folder / ".gitignore").write_text("*\n", encoding="ascii")  # recorded answers are nobody's source code
        # diskcache retries for a minute and more when the database is locked as it is opened; this raises instead.
        with contextlib.closing(sqlite3.connect(self._folder / DBNAME, timeout=_LOCK_SECONDS)) as probe:
            probe.execute("BEGIN IMMEDIATE")
            probe.rollback()
        return diskcache.Cache(
            str(self._folder),
            timeout=_LOCK_SECONDS,
            disk=_BytesOnly,
            size_limit=self._max_bytes,
            eviction_policy="least-recently-stored",
        )

    def get(self, key: str) -> Entry | None:
        """The entry; None for none, and for one that is damaged, which is removed."""
        with self._database() as database:
            data = database.get(key)
            if data is None:
                return None
            entry = unseal(data) if type(data) is bytes else None
            if entry is None:
                database.delete(key)
            return entry

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Store until the entry's expiry; past the byte bound the oldest entries go."""
        with self._database() as database:
            database.set(key, seal(entry), expire=entry.expires - now)

    def delete(self, key: str) -> None:
        """Forget one entry."""
        with self._database() as database:
            database.delete(key)

    def clear(self) -> None:
        """Forget all."""
        with self._database() as database:
            database.clear()

    def close(self) -> None:
        """Close the database; it opens again on the next use."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


def build(directory: Path) -> DiskTier:
    """The tier with its default bound, in `directory`."""
    return DiskTier(directory)
