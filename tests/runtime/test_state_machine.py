"""A cache of two tiers, one of which fails at times, against a dictionary: what may be served, and what never."""

import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.markers import Marker
from apicache.tier import TierPlace
from apicache.tiers.disk import DiskTier, Options
from apicache.tiers.memory import MemoryTier

TTL, GRACE = 60.0, 30.0
KEYS = range(4)
MAX_BYTES = 2_500
"""Of memory: three entries of the four, so that there is eviction, and promotion from disk."""
BREAKER_SECONDS = 31.0
"""Past this a tier that was left alone is tried again."""


class UpstreamDownError(Exception):
    pass


class Failing(DiskTier):
    """A disk tier that fails while it is told to."""

    fails = False

    def _check(self) -> None:
        if self.fails:
            raise OSError("told to fail")

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        self._check()
        return super().get_many(keys)

    def set_many(self, entries: Mapping[bytes, Entry], now: float, /) -> None:
        self._check()
        super().set_many(entries, now)

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        self._check()
        super().delete_many(keys)

    def clear(self) -> None:
        self._check()
        super().clear()

    def claim(self, key: bytes, owner: str, seconds: float, /) -> bool:
        self._check()
        return super().claim(key, owner, seconds)

    def release(self, key: bytes, owner: str, /) -> None:
        self._check()
        super().release(key, owner)

    def publish(self, markers: Sequence[Marker], /) -> None:
        self._check()
        super().publish(markers)

    def markers(self) -> Sequence[Marker]:
        self._check()
        return super().markers()


class Value:
    """What one load gave: when, and what has been invalidated since."""

    def __init__(self, n: int, at: float) -> None:
        self.n = n
        self.at = at
        self.is_expired = self.is_gone = False


def tags_of(n: int) -> list[str]:
    return ["odd" if n % 2 else "even", f"n:{n}"]


class Cached(RuleBasedStateMachine):
    """The model is every value that was ever loaded; the cache may only choose among them."""

    steps = 0

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.values: dict[int, Value] = {}
        self.latest: dict[int, int] = {}
        self.upstream_fails = False
        self.open()

    def open(self) -> None:
        self.memory, self.disk = (
            MemoryTier(max_bytes=MAX_BYTES),
            Failing(TierPlace(directory=self.folder, timeout=5.0), Options()),
        )
        self.cache = UnifiedAPICache.create(tiers=[self.memory, self.disk], clock=self.clock, tier_timeout=5.0)
        self.cache.operation("get", ttl=TTL, grace=GRACE, tags=lambda parameters, _: tags_of(parameters["n"]))(
            self.load
        )

    def load(self, n: int) -> list[Any]:
        if self.upstream_fails:
            raise UpstreamDownError
        number = len(self.values) + 1
        self.values[number] = Value(n, self.clock.now())
        self.latest[n] = number
        return [n, number, "x" * 400]

    @rule(keys=st.permutations(KEYS), number=st.integers(1, len(KEYS)))
    def calls(self, keys: list[int], number: int) -> None:
        for n in keys[:number]:
            self.call(n)

    @rule(keys=st.permutations(KEYS))
    def outage(self, keys: list[int]) -> None:
        self.upstream_fails = True
        self.calls(keys, len(keys))
        self.upstream_fails = False

    def call(self, n: int) -> None:
        loads, before = len(self.values), self.latest.get(n)
        try:
            answered, number, _ = self.cache.cached_api_call_sync(operation="get", n=n)
        except UpstreamDownError:
            assert self.upstream_fails
            return
        value = self.values[number]
        assert answered == value.n == n
        if len(self.values) > loads:
            assert number == self.latest[n] == loads + 1
            return
        assert number == before, "an older value than the newest"
        assert not value.is_gone, "served after a hard invalidation"
        age = self.clock.now() - value.at
        if self.upstream_fails:
            assert age < TTL + GRACE, "served past its hard expiry"
        else:
            assert age < TTL, "served past its ttl"
            assert not value.is_expired, "served as fresh though it was expired"

    @rule(n=st.sampled_from(KEYS))
    def call_again(self, n: int) -> None:
        """What has just been answered from a load is there: memory holds at least the newest entry."""
        self.call(n)
        loads = len(self.values)
        self.call(n)
        assert len(self.values) == loads, "loaded twice in a moment"

    @rule(tags=st.sets(st.sampled_from(["even", "odd", "n:0", "n:3"]), min_size=1), hard=st.booleans())
    def by_tag(self, tags: set[str], hard: bool) -> None:
        self.invalidated([n for n in KEYS if tags & set(tags_of(n))], hard, tags=sorted(tags))

    @rule(n=st.sampled_from(KEYS), hard=st.booleans())
    def by_key(self, n: int, hard: bool) -> None:
        self.invalidated([n], hard, key=self.cache.key_of(operation="get", n=n))

    @rule(
        place=st.sampled_from([{"operation": "get"}, {"prefix": "g"}, {"everything": True}, None]), hard=st.booleans()
    )
    def by_place(self, place: dict[str, Any] | None, hard: bool) -> None:
        if place is None:
            self.cache.clear()
            self.marked(KEYS, hard=True)
        else:
            self.invalidated(KEYS, hard, **place)

    def invalidated(self, concerned: Sequence[int], hard: bool, **place: Any) -> None:
        self.calls([*concerned], len(concerned))
        (self.cache.invalidate_sync if hard else self.cache.expire_sync)(**place)
        self.marked(concerned, hard=hard)

    def marked(self, concerned: Sequence[int], *, hard: bool) -> None:
        for value in self.values.values():
            if value.n in concerned:
                value.is_expired = True
                value.is_gone |= hard

    @rule(seconds=st.sampled_from([0.0, 1.0, 29.0, 31.0, 60.0, 91.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def toggle_disk(self) -> None:
        if not self.disk.fails:
            self.cache.flush()  # else a lease whose entry cannot be written is waited for, for seconds
        self.disk.fails = not self.disk.fails

    @rule()
    def flush(self) -> None:
        assert self.cache.flush() or self.disk.fails or self.is_left_alone()

    def is_left_alone(self) -> bool:
        return bool(self.cache.get_stats()["breakers"]["disk"] != "closed")

    @rule()
    def restart(self) -> None:
        """A process ends and another begins on the folder; what a broken disk was not told, nobody can know there."""
        self.disk.fails = False
        self.clock.advance(BREAKER_SECONDS)
        assert self.is_written(), "what waited for the disk was not written once it was back"
        self.cache.close()
        self.open()

    def is_written(self) -> bool:
        """Whether all is written; the tier is tried again a tenth of a second after its breaker allows it."""
        return any(self.cache.flush() or threading.Event().wait(0.01) for _ in range(500))

    @invariant()
    def memory_is_within_its_bound(self) -> None:
        type(self).steps += 1
        if hasattr(self, "memory"):
            assert self.memory.size().bytes <= MAX_BYTES

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.cache.close()
            shutil.rmtree(self.folder, ignore_errors=True)  # a thread may still be closing its database there


def test_the_cache_only_ever_serves_what_it_may() -> None:
    Cached.steps = 0
    run_state_machine_as_test(
        Cached, settings=settings(max_examples=50, stateful_step_count=50, deadline=None, derandomize=True)
    )
    assert Cached.steps >= 2_000
