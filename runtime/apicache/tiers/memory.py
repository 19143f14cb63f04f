"""Memory: a compiled LRU cache (cachebox), bounded in bytes and in entries.

Documentation: https://github.com/awolverp/cachebox
"""

from pathlib import Path
from typing import ClassVar, Final

import cachebox

from apicache.entry import Entry

_OVERHEAD: Final = 400
"""Bytes an entry takes beside its payload: key, struct, and the cache's own node."""


class MemoryTier:
    """Entries in this process. Payloads are immutable bytes, so what a caller mutates is always a copy."""

    name: ClassVar[str] = "memory"
    blocking: ClassVar[bool] = False

    def __init__(self, max_bytes: int = 256 * 2**20, max_entries: int = 1_000_000) -> None:
        # One bound serves both: an entry weighs at least its share of the bytes.
        floor = max(1, max_bytes // max_entries)

        def weigh(_key: str, entry: Entry) -> int:
            return max(floor, len(entry.payload) + _OVERHEAD)

        self._entries: cachebox.LRUCache[str, Entry] = cachebox.LRUCache(max_bytes, getsizeof=weigh)

    def get(self, key: str) -> Entry | None:
        """The entry, whether fresh or not; None for none."""
        return self._entries.get(key)

    def set(self, key: str, entry: Entry, now: float) -> None:  # noqa: ARG002 - the protocol's shape
        """Store; past the bound the least recently used go. An entry larger than the bound is not kept."""
        try:
            self._entries[key] = entry
        except OverflowError:
            self.delete(key)

    def delete(self, key: str) -> None:
        """Forget one entry."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def close(self) -> None:
        """Nothing to release."""


def build(directory: Path) -> MemoryTier:  # noqa: ARG001 - every tier's builder takes it
    """The tier with its default bounds."""
    return MemoryTier()
