"""Writes to the tiers that do I/O, off the caller's path: one thread, in bulk, the newest operation of each key."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from apicache import forks
from apicache.clock import Clock
from apicache.entry import NEVER, Entry
from apicache.markers import Marker, MarkerTable
from apicache.stack import TierStack
from apicache.tier import SharedTier, Tier

_BATCH: Final = 256
_WAITING_MAX: Final = 10_000
_WAITING_BYTES_MAX: Final = 64 * 2**20
_RETRY_SECONDS: Final = 0.1
"""How often a tier that is down is looked at again while writes wait for it; its breaker decides."""
_IDLE_SECONDS: Final = 2.0
"""After this long without work the thread ends; the next write begins another."""
_EXIT_SECONDS: Final = 5.0
"""How long an ending process waits for its last writes."""
_UNWRITABLE: Final = (TypeError, ValueError, OverflowError, msgspec.MsgspecError)
"""What tells of the thing to be written, not of the tier; UnicodeError is a ValueError."""

_T = TypeVar("_T")


class _Write(NamedTuple):
    """An entry to store."""

    entry: Entry
    number: int
    """Writes are numbered as they are asked for."""
    owner: str | None = None
    """The lease that ends when it is written."""


class _Queue:
    """What waits for one tier."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.writes: dict[bytes, _Write] = {}
        self.markers = MarkerTable()
        """Folded when they are many: a tier may stay away for long."""
        self.bytes = 0
        self.writing: dict[bytes, _Write] = {}
        """What is being written now: no tier has it for certain."""
        self.is_publishing = False
        self.is_late = False
        """True when what waits here has waited for the tier to come back: meanwhile others may have stored newer."""

    def put(self, key: bytes, write: _Write) -> int:
        """Add the newest operation of a key; how many older ones had to give way to the bounds."""
        self.take(key)
        self.writes[key] = write
        self.bytes += len(write.entry.payload)
        dropped = 0
        while len(self.writes) > _WAITING_MAX or (self.bytes > _WAITING_BYTES_MAX and len(self.writes) > 1):
            self.take(next(iter(self.writes)))
            dropped += 1
        return dropped

    def is_busy(self, number: float) -> bool:
        """Whether a write of this number or an earlier one, or a marker, is still to be done."""
        if self.markers or self.is_publishing or any(write.number <= number for write in self.writing.values()):
            return True
        # They stand in the order of their numbers, but for those that came back from a tier that had failed.
        first = next(iter(self.writes.values()), None)
        return first is not None and first.number <= number

    def take(self, key: bytes) -> _Write | None:
        write = self.writes.pop(key, None)
        if write is not None:
            self.bytes -= len(write.entry.payload)
        return write


class Writer:
    """The write queue of a stack of tiers."""

    def __init__(self, stack: TierStack, clock: Clock, on_dropped: Callable[[int], None]) -> None:
        self._stack = stack
        self._clock = clock
        self._on_dropped = on_dropped
        self._renew()
        forks.on_fork(self._renew)
        forks.on_exit(self.flush, _EXIT_SECONDS)

    def _renew(self) -> None:
        """A forked child begins with nothing to write: what its parent had queued, its parent writes."""
        self._changed = threading.Condition()
        self._queues = [_Queue(tier) for tier in self._stack.far]
        self._thread: threading.Thread | None = None
        self._writing = 0
        self._number = 0

    def put(self, key: bytes, entry: Entry, names: Sequence[str] | None = None, owner: str | None = None) -> None:
        """Have an entry stored in the far tiers; `owner`'s lease ends once it is written."""
        with self._changed:
            self._number += 1
            for queue in self._queues:
                if names is None or queue.tier.name in names:
                    dropped = queue.put(key, _Write(entry, self._number, owner))
                    if dropped:
                        self._on_dropped(dropped)
            self._begin()

    def publish(self, markers: Sequence[Marker]) -> None:
        """Have markers published through the shared tiers."""
        with self._changed:
            for queue in self._queues:
                if isinstance(queue.tier, SharedTier):
                    queue.markers.add(markers)
            self._begin()

    def is_waited_for(self) -> bool:
        """Whether anything waits to be written."""
        return any(queue.writes or queue.writing for queue in self._queues)

    def waiting(self, key: bytes) -> Entry | None:
        """The entry of a key that waits to be written: what a read must find though no tier has it yet."""
        for queue in self._queues:
            write = queue.writes.get(key) or queue.writing.get(key)
            if write is not None:
                return write.entry
        return None

    def waited_for_by(self, key: bytes) -> list[str]:
        """The names of the tiers that an entry still waits for."""
        return [queue.tier.name for queue in self._queues if key in queue.writes or key in queue.writing]

    def flush(self, seconds: float) -> bool:
        """Wait until all that waits now is written, at most so long; whether it is."""
        end = time.monotonic() + seconds
        with self._changed:
            number = self._number
            while self._is_busy(number):
                left = end - time.monotonic()
                if left <= 0 or self._all_blocked():
                    return False
                self._changed.wait(min(left, _RETRY_SECONDS))
        return True

    def _is_busy(self, number: float = math.inf) -> bool:
        return any(queue.is_busy(number) for queue in self._queues)

    def _all_blocked(self) -> bool:
        """Whether everything that waits, waits for tiers that are down."""
        return self._writing == 0 and all(
            self._stack.breakers[queue.tier.name].state != "closed"
            for queue in self._queues
            if queue.writes or queue.markers
        )

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="apicache-writer", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending: nothing more can be written
                self._thread = None
        self._changed.notify_all()

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                if self._thread is not me:
                    return
                busy = [queue for queue in self._queues if queue.writes or queue.markers]
                if not busy and not self._changed.wait(_IDLE_SECONDS):
                    if not self._is_busy():
                        self._thread = None
                        return
                    continue
            progress = False
            for queue in self._queues:
                progress = self._write_some(queue) or progress
            if not progress:
                with self._changed:
                    self._changed.wait(_RETRY_SECONDS)

    def _write_some(self, queue: _Queue) -> bool:
        """Write a batch; whether there was one and it succeeded."""
        with self._changed:
            if not (queue.writes or queue.markers):
                return False
            breaker = self._stack.breakers[queue.tier.name]
            may_try = breaker.allows()
            queue.is_late = queue.is_late or breaker.state != "closed"
            if not may_try:
                return False
            is_late = queue.is_late
            batch = dict(itertools.islice(queue.writes.items(), _BATCH))
            queue.writing = batch  # before it is taken: who looks for an entry meanwhile takes no lock
            for key in batch:
                queue.take(key)
            markers = queue.markers.take()
            queue.is_publishing = bool(markers)
            self._writing += 1
        try:
            self._write(queue.tier, batch, markers, is_late=is_late)
        except Exception as error:  # noqa: BLE001 - the edge of a tier; what was to be written waits on
            self._stack.failed(queue.tier.name, error)
            self._put_back(queue, batch, markers)
            return False
        else:
            breaker.succeeded()
            queue.is_late = is_late and bool(queue.writes)
            return True
        finally:
            with self._changed:
                queue.writing, queue.is_publishing = {}, False
                self._writing -= 1
                self._changed.notify_all()

    def _write(self, tier: Tier, batch: dict[bytes, _Write], markers: Sequence[Marker], *, is_late: bool) -> None:
        # Markers first: an entry may have been loaded because of one.
        if markers and isinstance(tier, SharedTier):
            _write_what_can_be(tier.publish, self._moved(markers) if is_late else markers)
        entries = {key: write.entry for key, write in batch.items()}
        if is_late and entries:
            for key, stored in tier.get_many(list(entries)).items():
                if stored.created >= entries[key].created:
                    del entries[key]
        if entries:
            now = self._clock.now()
            dropped = _write_what_can_be(lambda items: tier.set_many(dict(items), now), list(entries.items()))
            if dropped:
                self._on_dropped(dropped)
        if isinstance(tier, SharedTier):
            for key, write in batch.items():
                if write.owner is not None:
                    tier.release(key, write.owner)

    def _moved(self, markers: Sequence[Marker]) -> Sequence[Marker]:
        """Markers of the same places and kinds, set now, here too.

        Since they were set, each process has loaded for itself what it could not share: all of that goes, so that all
        processes have the same again.
        """
        now = self._clock.now()

        def later(time: float) -> float:
            return time if time == NEVER else max(time, now)

        moved = [Marker(each.scope, each.value, later(each.gone_at), later(each.stale_at)) for each in markers]
        self._stack.markers.add(moved)
        return moved

    def _put_back(self, queue: _Queue, batch: dict[bytes, _Write], markers: Sequence[Marker]) -> None:
        with self._changed:
            newer = queue.writes
            queue.writes, queue.bytes, queue.is_late = {}, 0, True
            dropped = 0
            for key, write in (*batch.items(), *newer.items()):
                dropped += queue.put(key, write)
            if dropped:
                self._on_dropped(dropped)
            queue.markers.add(markers)


def _write_what_can_be(write: Callable[[Sequence[_T]], None], items: Sequence[_T]) -> int:
    """Write all at once, or one at a time when one of them cannot be written by any tier; how many could not."""
    try:
        write(items)
    except OSError:  # some of which are ValueErrors too
        raise
    except _UNWRITABLE:
        return sum(not _is_writable(write, item) for item in items)
    return 0


def _is_writable(write: Callable[[Sequence[_T]], None], item: _T) -> bool:
    try:
        write([item])
    except OSError:
        raise
    except _UNWRITABLE:
        return False
    return True
