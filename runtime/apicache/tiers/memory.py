"""Memory: a compiled W-TinyLFU cache (moka), bounded in bytes and in entries.

Documentation: https://github.com/deliro/moka-py
"""

from pathlib import Path
from typing import ClassVar, Final

import moka_py

from apicache.entry import Entry

_OVERHEAD: Final = 400
"""Bytes an entry takes beside its payload: key, struct, and the cache's own node."""
_WEIGHT_MAX: Final = 2**32 - 1


class MemoryTier:
    """Entries in this process. Payloads are immutable bytes, so what a caller mutates is always a copy."""

    name: ClassVar[str] = "memory"
    blocking: ClassVar[bool] = False

    def __init__(self, max_bytes: int = 256 * 2**20, max_entries: int = 1_000_000) -> None:
        # One bound serves both: an entry weighs at least its share of the bytes.
        floor = max(1, max_bytes // max_entries)

        def weigh(_key: str, entry: Entry) -> int:
            return min(_WEIGHT_MAX, max(floor, len(entry.payload) + _OVERHEAD))

        self._entries: moka_py.Moka[str, Entry] = moka_py.Moka(max_bytes, weigher=weigh)
        self.get = self._entries.get

    def set(self, key: str, entry: Entry, now: float) -> None:  # noqa: ARG002 - the protocol's shape
        """Store; an entry larger than the bound is not kept."""
        self._entries.set(key, entry)

    def delete(self, key: str) -> None:
        """Forget one entry."""
        self._entries.remove(key)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def close(self) -> None:
        """Nothing to release."""


def build(directory: Path) -> MemoryTier:  # noqa: ARG001 - every tier's builder takes it
    """The tier with its default bounds."""
    return MemoryTier()
