"""Disk: diskcache over SQLite, bytes only.

Documentation: https://grantjenks.com/docs/diskcache/. Its pickle mode is refused in both directions (CVE-2025-69872).
"""

import threading
from pathlib import Path
from typing import Any, ClassVar, Final

import diskcache
from diskcache.core import MODE_PICKLE

from apicache.entry import Entry, seal, unseal

_PRIVATE: Final = 0o700
_LOCK_SECONDS: Final = 1.0
"""How long a reader or writer waits for SQLite's lock before the tier counts as failed for that call."""


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
        self.directory = directory
        self._max_bytes = max_bytes
        self._opened: diskcache.Cache | None = None
        self._opening = threading.Lock()

    def _cache(self) -> diskcache.Cache:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> diskcache.Cache:
        self.directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self.directory.chmod(_PRIVATE)
        return diskcache.Cache(
            str(self.directory),
            timeout=_LOCK_SECONDS,
            disk=_BytesOnly,
            size_limit=self._max_bytes,
            eviction_policy="least-recently-stored",
        )

    def get(self, key: str) -> Entry | None:
        """The entry; None for none, and for one that is damaged, which is removed."""
        data = self._cache().get(key)
        if data is None:
            return None
        entry = unseal(data) if type(data) is bytes else None
        if entry is None:
            self.delete(key)
        return entry

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Store until the entry's expiry; past the byte bound the oldest entries go."""
        self._cache().set(key, seal(entry), expire=entry.expires - now)

    def delete(self, key: str) -> None:
        """Forget one entry."""
        self._cache().delete(key)

    def clear(self) -> None:
        """Forget all."""
        self._cache().clear()

    def close(self) -> None:
        """Close the database; it opens again on the next use."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


def build(directory: Path) -> DiskTier:
    """The tier with its default bound, in `directory`."""
    return DiskTier(directory)
