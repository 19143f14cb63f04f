"""A far tier that fails and blocks when told to, and caches on it."""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.markers import Marker, MarkerTable
from apicache.tier import Tier, TierPlace, TierSize
from apicache.tiers import build

Call = Callable[..., Any]

OPEN_SECONDS = 0.5
"""How long a breaker is open after a first failure."""


def until(met: Callable[[], bool], what: str) -> None:
    """Return when it is true; fail when it is not for long."""
    pause = threading.Event()
    assert any(met() or pause.wait(0.01) for _ in range(2000)), what


@dataclasses.dataclass
class Store:
    """What processes share."""

    entries: dict[bytes, Entry] = dataclasses.field(default_factory=dict)
    leases: dict[bytes, str] = dataclasses.field(default_factory=dict)
    markers: MarkerTable = dataclasses.field(default_factory=MarkerTable)


class ChaosTier:
    """A shared tier that fails, or blocks until it is released, as the test says."""

    name: ClassVar[str] = "chaos"
    blocking: ClassVar[bool] = True
    self_bounded: ClassVar[bool] = False

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.calls: list[tuple[str, tuple[bytes, ...]]] = []
        self.is_failing = False
        self.is_deaf = False
        """True when the news of markers do not come."""
        self.released = threading.Event()
        self.released.set()
        self.events: list[str] = []

    def _act(self, what: str, keys: Sequence[bytes] = ()) -> None:
        self.calls.append((what, tuple(keys)))
        if not self.released.is_set():
            self.released.wait(10)
            self.events.append("tier released")
        if self.is_failing:
            raise OSError(what)

    def of(self, what: str) -> list[tuple[bytes, ...]]:
        """The keys of each call of one method."""
        return [keys for name, keys in self.calls if name == what]

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        self._act("get_many", keys)
        return {key: self.store.entries[key] for key in keys if key in self.store.entries}

    def set_many(self, entries: Mapping[bytes, Entry], _now: float, /) -> None:
        self._act("set_many", tuple(entries))
        self.store.entries.update(entries)

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        self._act("delete_many", keys)
        for key in keys:
            self.store.entries.pop(key, None)

    def clear(self) -> None:
        self._act("clear")
        self.store.entries.clear()

    def size(self) -> TierSize:
        return TierSize(entries=len(self.store.entries), bytes=0)

    def close(self) -> None:
        self.calls.append(("close", ()))

    def claim(self, key: bytes, owner: str, _seconds: float, /) -> bool:
        self._act("claim", (key,))
        return self.store.leases.setdefault(key, owner) == owner

    def release(self, key: bytes, owner: str, /) -> None:
        self._act("release", (key,))
        if self.store.leases.get(key) == owner:
            del self.store.leases[key]

    def publish(self, markers: Sequence[Marker], /) -> None:
        self._act("publish")
        self.store.markers.add(markers)

    def markers(self) -> Sequence[Marker]:
        self._act("markers")
        return self.store.markers.all()

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        while not stopped.wait(0.02):
            if self.is_failing or not self.released.is_set():
                raise OSError("watch")
            if not self.is_deaf:
                on_markers(self.store.markers.all())

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield from list(self.store.entries.items())


@pytest.fixture
def chaos() -> Iterator[ChaosTier]:
    tier = ChaosTier()
    yield tier
    tier.is_failing = False
    tier.released.set()


@pytest.fixture
def make_cache(clock: ManualClock) -> Iterator[Callable[..., UnifiedAPICache]]:
    """`make_cache(*tiers)`: a cache with an operation `echo` whose answer counts its loads, closed with the test."""
    made: list[UnifiedAPICache] = []

    def make(*tiers: Tier, **options: Any) -> UnifiedAPICache:
        cache = UnifiedAPICache.create(tiers=list(tiers), **{"clock": clock, "tier_timeout": 10.0, **options})
        loads: dict[int, int] = {}

        @cache.operation("echo", ttl=100)
        def echo(n: int) -> dict[str, int]:
            loads[n] = loads.get(n, 0) + 1
            return {"n": n, "load": loads[n]}

        made.append(cache)
        return cache

    yield make
    for cache in made:
        for tier in cache._engine.tiers.far:
            if isinstance(tier, ChaosTier):
                tier.is_failing = False
                tier.released.set()
        cache.close()


def key(cache: UnifiedAPICache, n: int) -> bytes:
    return bytes.fromhex(cache.key_of(operation="echo", n=n))


def disk(folder: Path) -> Tier:
    return build("disk", TierPlace(directory=folder, timeout=10.0))
