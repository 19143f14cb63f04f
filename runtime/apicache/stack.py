"""The stack of tiers that a cache reads through: nearest first, each behind a breaker, each failure a miss."""

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from apicache import forks
from apicache.breaker import Breaker
from apicache.clock import Clock
from apicache.entry import Entry
from apicache.errors import ApicacheError
from apicache.markers import Marker, MarkerTable
from apicache.tier import SharedTier, Tier

_T = TypeVar("_T")
_log = logging.getLogger("apicache")

_RECONNECT_SECONDS: Final = (0.2, 5.0)
"""How long a lost watch rests before it is begun again: at first, and at most."""
_BEGIN_SECONDS: Final = 1.0
"""How long a read waits for another thread that learns the markers; after one has waited in vain, none does."""
_NOTHING: Final[Mapping[bytes, Entry]] = {}


class Found(msgspec.Struct, frozen=True, gc=False):
    """An entry, and the tier that had it."""

    entry: Entry
    tier: str


class Reading:
    """How far a read of the far tiers has come, for those who wait for it elsewhere."""

    tier: str | None = None
    """The tier that is asked now; None before the first and after the last."""


class TierStack:
    """Tiers from the nearest to the farthest. An entry has absolute times: a copy in a nearer tier lives no longer."""

    def __init__(self, tiers: Sequence[Tier], clock: Clock, on_error: Callable[[str], None]) -> None:
        self.near = tuple(tier for tier in tiers if not tier.blocking)
        self.far = tuple(tier for tier in tiers if tier.blocking)
        self.shared = tuple(tier for tier in self.far if isinstance(tier, SharedTier))
        self.markers = MarkerTable()
        self.breakers = {tier.name: Breaker(clock) for tier in tiers}
        self.self_bounded = all(getattr(tier, "self_bounded", False) for tier in self.far)
        """True when reads of the far tiers end by themselves in time."""
        self._clock = clock
        self._on_error = on_error
        self._reported: set[str] = set()
        self._missed: dict[str, object] = {}
        """What has failed since its markers were last read, each time with a new object: whatever its breaker says,
        others may have invalidated entries meanwhile that are still in it."""
        self._unwatched: set[str] = set()
        """The shared tiers whose watch was lost and has not begun again."""
        self._stopped = threading.Event()
        self._stop = weakref.finalize(self, self._stopped.set)
        self._renew()
        forks.on_fork(self._renew)

    def _renew(self) -> None:
        for breaker in self.breakers.values():
            breaker.after_fork()
        self._following = False
        self._is_stuck = False
        self._beginning = threading.Lock()
        self._missing = threading.Lock()
        self._watched: set[str] = set()

    def guarded(self, tier: Tier, action: Callable[[], _T]) -> _T | None:
        """What `action` gives; None when the tier is left alone or fails."""
        breaker = self.breakers[tier.name]
        if not breaker.allows():
            return None
        try:
            result = action()
        except Exception as error:  # noqa: BLE001 - the edge of a tier: whatever it raises, the call goes through
            self.failed(tier.name, error)
            return None
        breaker.succeeded()
        return result

    def failed(self, tier: str, error: Exception) -> None:
        """Count a tier's failure, say so once, and leave it alone for a while."""
        self._on_error(tier)
        self._miss(tier)
        self.breakers[tier].failed()
        if tier not in self._reported:
            self._reported.add(tier)
            # Only our own messages are known to hold no data.
            told = error if isinstance(error, ApicacheError) else type(error).__name__
            _log.warning("the %s tier failed (%s); calls go on without it", tier, told)

    def timed_out(self, reading: Reading) -> None:
        """Count a read that takes too long as a failure of the tier that is asked now."""
        tier = reading.tier
        if tier is not None and self.breakers[tier].state != "open":
            self.failed(tier, TimeoutError())

    def get_near(self, key: bytes, names: Sequence[str] | None) -> Found | None:
        """The entry in the tiers that answer without I/O, fresh or not; `names` limits the tiers, None: all."""
        for tier in self.near:
            # `guarded`, without a closure for each look: every call that is not in memory comes by here twice.
            if (names is not None and tier.name not in names) or not (breaker := self.breakers[tier.name]).allows():
                continue
            try:
                entries = tier.get_many((key,))
            except Exception as error:  # noqa: BLE001 - as in `guarded`
                self.failed(tier.name, error)
                continue
            breaker.succeeded()
            if entries:
                return Found(entries[key], tier.name)
        return None

    def get_far(
        self, keys: Sequence[bytes], is_fresh: Callable[[bytes, Entry], bool], reading: Reading | None = None
    ) -> dict[bytes, Found]:
        """The entries in the tiers that do I/O: the first fresh one of each key, else the newest.

        `reading` is told which tier is asked.
        """
        found: dict[bytes, Found] = {}
        reading = reading or Reading()
        if not self._following and not self.follow(reading):  # what is there may be invalidated
            return found
        wanted = keys
        for tier in self.far:
            if not wanted:
                break
            reading.tier = name = tier.name
            for key, entry in self._read(tier, wanted).items():
                if key not in found or entry.created > found[key].entry.created:
                    found[key] = Found(entry, name)
            if tier is not self.far[-1]:
                wanted = [key for key in wanted if key not in found or not is_fresh(key, found[key].entry)]
        reading.tier = None
        return found

    def find_far(self, key: bytes, now: float) -> Found | None:
        """As `get_far`, for one key; `now` tells what is fresh."""
        if not self._following and not self.follow():
            return None
        best: Found | None = None
        for tier in self.far:
            entry = self._read(tier, (key,)).get(key)
            if entry is not None and (best is None or entry.created > best.entry.created):
                best = Found(entry, tier.name)
                if now < entry.fresh_until:
                    break
        return best

    def _read(self, tier: Tier, keys: Sequence[bytes]) -> Mapping[bytes, Entry]:
        """As `guarded`, without a closure for each read; none when the tier is left alone or fails."""
        breaker = self.breakers[tier.name]
        is_closed = breaker.is_closed()
        if not is_closed and not breaker.allows():
            return _NOTHING
        try:
            if tier.name in self._missed or tier.name in self._unwatched:
                self._catch_up(tier)
            entries = tier.get_many(keys)
        except Exception as error:  # noqa: BLE001 - as in `guarded`
            self.failed(tier.name, error)
            return _NOTHING
        if not is_closed:
            breaker.succeeded()
        return entries

    def _catch_up(self, tier: Tier) -> None:
        if not isinstance(tier, SharedTier):
            return
        with self._missing:
            missed = self._missed.get(tier.name)
        self.markers.add(tier.markers())
        with self._missing:
            if self._missed.get(tier.name) is missed:  # else it has failed again since
                self._missed.pop(tier.name, None)

    def _miss(self, tier: str) -> None:
        with self._missing:
            self._missed[tier] = object()

    def set_near(self, entries: Mapping[bytes, Entry], now: float, names: Sequence[str] | None) -> None:
        """Store in the tiers that answer without I/O."""
        for tier in self.near:
            if (names is not None and tier.name not in names) or not (breaker := self.breakers[tier.name]).allows():
                continue
            try:
                tier.set_many(entries, now)
            except Exception as error:  # noqa: BLE001 - as in `guarded`
                self.failed(tier.name, error)
            else:
                breaker.succeeded()

    def forget(self, keys: Sequence[bytes]) -> None:
        """Delete entries in every tier, at once."""
        for tier in (*self.near, *self.far):
            self.guarded(tier, lambda tier=tier: tier.delete_many(keys))  # type: ignore[misc]

    def clear(self) -> None:
        """Delete every entry in every tier, at once."""
        for tier in (*self.near, *self.far):
            self.guarded(tier, tier.clear)

    def close(self) -> None:
        """Release what the tiers hold open, and stop following; a later use begins again."""
        with self._beginning:
            self._stop()
            self._stopped = threading.Event()
            self._stop = weakref.finalize(self, self._stopped.set)
            self._following = False
            self._watched = set()
        for tier in (*self.near, *self.far):
            self.guarded(tier, tier.close)

    # Markers of other processes.

    def _has_begun(self) -> bool:
        return self._following

    def follow(self, reading: Reading | None = None) -> bool:
        """Know the markers that are stored, and hear of later ones; on the first use of a far tier, then nothing.

        False when another thread has been at it for long: it waits for a tier that does not answer.
        """
        if self._following:
            return True
        if not self._beginning.acquire(timeout=0 if self._is_stuck else _BEGIN_SECONDS):
            self._is_stuck = True
            return False
        try:
            if not self._has_begun():  # else by another thread, meanwhile
                self._begin(reading or Reading())
        finally:
            self._beginning.release()
        return True

    def _begin(self, reading: Reading) -> None:
        for tier in self.shared:
            reading.tier = tier.name
            markers = self.guarded(tier, tier.markers)
            if markers is None:
                self._miss(tier.name)
            else:
                self.markers.add(markers)
            if tier.name not in self._watched and self._begins_watch(tier):
                self._watched.add(tier.name)
        reading.tier = None
        self._following = len(self._watched) == len(self.shared)
        self._is_stuck = False

    def _begins_watch(self, tier: SharedTier) -> bool:
        watch = threading.Thread(
            target=_watch,
            args=(tier, self._stopped, weakref.ref(self)),
            name=f"apicache-watch-{tier.name}",
            daemon=True,
        )
        try:
            watch.start()
        except RuntimeError:  # no more threads for now: the next use reads the markers again and tries again
            return False
        return True

    def watch_lost(self, tier: str) -> None:
        """Until its watch has begun again, a tier's markers are read before each read of its entries."""
        self._miss(tier)
        self._unwatched.add(tier)

    def watch_tells(self, tier: str, markers: Iterable[Marker]) -> None:
        """Take in what a watch hands over: at first, all that is stored."""
        self.markers.add(markers)
        self._unwatched.discard(tier)


def _watch(tier: SharedTier, stopped: threading.Event, owner: "weakref.ref[TierStack]") -> None:
    """Take in what other processes publish, until stopped. A lost store is watched again, all of it read anew."""
    shortest, longest = _RECONNECT_SECONDS
    rest = shortest

    def take_in(markers: Iterable[Marker]) -> None:
        nonlocal rest
        rest = shortest
        stack = owner()
        if stack is not None:
            stack.watch_tells(tier.name, markers)

    while not stopped.is_set():
        try:
            tier.watch(take_in, stopped)
        except Exception:  # noqa: BLE001 - a store that is gone: calls notice it by themselves and report it
            stack = None if stopped.is_set() else owner()
            if stack is not None:
                stack.watch_lost(tier.name)
                del stack  # while this rests, it must not keep it alive
            stopped.wait(rest)
            rest = min(2 * rest, longest)
