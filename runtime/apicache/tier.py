"""What a tier is, and the stack of tiers that a cache reads through."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol, TypeVar

from apicache.clock import Clock
from apicache.entry import Entry, Freshness, decide
from apicache.errors import ApicacheError

_T = TypeVar("_T")
_log = logging.getLogger("apicache")

PAUSE_SECONDS: Final = 1.0
"""How long a tier that failed is left alone, so that a locked or broken one does not slow every call."""


class Tier(Protocol):
    """One store of entries. It may raise anything: the stack turns a failure into a miss."""

    name: ClassVar[str]
    blocking: ClassVar[bool]
    """True when it does I/O: async callers then reach it from a worker thread."""

    def get(self, key: str, /) -> Entry | None:
        """The entry, whether fresh or not; None for none."""

    def set(self, key: str, entry: Entry, now: float, /) -> None:
        """Store an entry at time `now`."""

    def delete(self, key: str, /) -> None:
        """Forget one entry."""

    def clear(self) -> None:
        """Forget all entries."""

    def close(self) -> None:
        """Release what is held open; a later use opens it again."""


class TierStack:
    """Tiers from the nearest to the farthest; a farther tier's entry is copied into the nearer ones.

    An entry carries its own absolute expiry, so a promoted one never lives longer than the one it was copied from.
    """

    def __init__(self, tiers: Sequence[Tier], clock: Clock, on_error: Callable[[str], None]) -> None:
        self.near = tuple(tier for tier in tiers if not tier.blocking)
        self.far = tuple(tier for tier in tiers if tier.blocking)
        self.clearings = 0
        """How often all was forgotten: what began to load before a clearing is not stored after it."""
        self._clock = clock
        self._on_error = on_error
        self._paused_until: dict[str, float] = {}
        self._reported: set[str] = set()

    def get_near(self, key: str, now: float) -> tuple[Entry, str] | None:
        """A fresh entry from the tiers that answer without I/O, with the tier's name."""
        for tier in self.near:
            entry = self._guarded(tier, functools.partial(tier.get, key))
            if entry is not None and decide(entry, now) is Freshness.FRESH:
                return entry, tier.name
        return None

    def get_far(self, key: str, now: float) -> tuple[Entry, str] | None:
        """A fresh entry from the tiers that do I/O; it is promoted to all nearer ones."""
        for position, tier in enumerate(self.far):
            entry = self._guarded(tier, functools.partial(tier.get, key))
            if entry is not None and decide(entry, now) is Freshness.FRESH:
                self._set((*self.near, *self.far[:position]), key, entry, now)
                return entry, tier.name
        return None

    def set_near(self, key: str, entry: Entry, now: float) -> None:
        """Store in the tiers that answer without I/O."""
        self._set(self.near, key, entry, now)

    def set_far(self, key: str, entry: Entry, now: float) -> str | None:
        """Store in the tiers that do I/O; the name of one that failed."""
        return self._set(self.far, key, entry, now)

    def clear(self) -> None:
        """Forget every entry in every tier."""
        self.clearings += 1
        for tier in (*self.near, *self.far):
            self._guarded(tier, tier.clear)

    def close(self) -> None:
        """Release what the tiers hold open."""
        for tier in (*self.near, *self.far):
            self._guarded(tier, tier.close)

    def _set(self, tiers: Sequence[Tier], key: str, entry: Entry, now: float) -> str | None:
        failed = None
        for tier in tiers:
            if self._guarded(tier, functools.partial(_set_and_confirm, tier, key, entry, now)) is None:
                failed = tier.name
        return failed

    def _guarded(self, tier: Tier, action: Callable[[], _T]) -> _T | None:
        if self._paused_until.get(tier.name, 0.0) > self._clock.monotonic():
            return None
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - the edge of a tier: whatever it raises, the call goes through
            self._on_error(tier.name)
            self._paused_until[tier.name] = self._clock.monotonic() + PAUSE_SECONDS
            if tier.name not in self._reported:
                self._reported.add(tier.name)
                # Only our own messages are known to hold no data.
                told = error if isinstance(error, ApicacheError) else type(error).__name__
                _log.warning("the %s tier failed (%s); calls go on without it", tier.name, told)
            return None


def _set_and_confirm(tier: Tier, key: str, entry: Entry, now: float) -> bool:
    tier.set(key, entry, now)
    return True
