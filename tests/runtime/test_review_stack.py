"""What a stack of tiers does when something in it cannot be done: written, watched, waited for, begun."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from apicache import UnifiedAPICache, forks, leases, markers, stack
from apicache.clock import ManualClock
from apicache.entry import NEVER, Entry
from apicache.envelope import PlainSealer
from apicache.errors import InputError
from apicache.leases import Leases
from apicache.markers import Marker, MarkerTable
from apicache.reads import BatchedReads
from apicache.stack import Found, Reading, TierStack
from apicache.storing import tags_of
from apicache.tier import TierSize
from apicache.tiers.memory import MemoryTier
from apicache.writer import Writer

SURROGATE = "\ud800"
KEYS = [bytes([n]) * 32 for n in range(4)]


class SharedFake:
    """A shared tier that seals its entries, and fails or waits as the test says."""

    name: ClassVar[str] = "shared"
    blocking: ClassVar[bool] = True
    self_bounded: ClassVar[bool] = False

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.table = MarkerTable()
        self.calls: list[str] = []
        self.claims: list[bytes] = []
        self.is_failing = False
        self.released = threading.Event()
        self.released.set()
        self.asked = threading.Event()
        self.hears = threading.Event()
        """Set while a watch may begin."""
        self.heard = threading.Event()
        """Set once a watch has handed over what there was."""
        self.is_deaf = False
        """True when a watch hands over nothing but what there is at its begin."""

    def _act(self, what: str) -> None:
        self.calls.append(what)
        self.asked.set()
        self.released.wait(10)
        if self.is_failing:
            raise OSError(what)

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        self._act("get_many")
        found = {key: PlainSealer().unseal(self.stored[key]) for key in keys if key in self.stored}
        return {key: pair[1] for key, pair in found.items() if pair is not None}

    def set_many(self, entries: Mapping[bytes, Entry], _now: float, /) -> None:
        self._act("set_many")
        self.stored |= {key: PlainSealer().seal(key, entry) for key, entry in entries.items()}

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        self.stored.clear()

    def size(self) -> TierSize:
        return TierSize(entries=len(self.stored), bytes=0)

    def close(self) -> None:
        self.calls.append("close")

    def claim(self, key: bytes, _owner: str, _seconds: float, /) -> bool:
        self._act("claim")
        self.claims.append(key)
        return True

    def release(self, _key: bytes, _owner: str, /) -> None:
        self._act("release")

    def publish(self, markers: Sequence[Marker], /) -> None:
        self._act("publish")
        for marker in markers:
            marker.value.encode()
        self.table.add(markers)

    def markers(self) -> Sequence[Marker]:
        self._act("markers")
        return self.table.all()

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        while not stopped.is_set():
            if not self.hears.is_set():
                raise OSError("watch")
            on_markers(self.table.all())
            self.heard.set()
            stopped.wait(None if self.is_deaf else 0.01)

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield from ()


class OtherFake(SharedFake):
    name: ClassVar[str] = "other"


class BoundedFake(SharedFake):
    self_bounded: ClassVar[bool] = True


@pytest.fixture
def shared() -> Iterator[SharedFake]:
    tier = SharedFake()
    yield tier
    tier.released.set()


Make = Callable[..., TierStack]


@pytest.fixture
def make_stack(clock: ManualClock) -> Iterator[Make]:
    made: list[TierStack] = []

    def make(*tiers: Any) -> TierStack:
        made.append(TierStack(tiers, clock, lambda _tier: None))
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(met: Callable[[], bool]) -> None:
    """Return when it is true; fail when it is not for long."""
    pause = threading.Event()
    assert any(met() or pause.wait(0.01) for _ in range(1000))


def entry(created: float = 1.0, *, tags: tuple[str, ...] = (), operation: str = "echo") -> Entry:
    return Entry(operation, "value", b"\x01", created, created + 1e12, created + 1e12, tags=tags)


def always(_key: bytes, _entry: Entry) -> bool:
    return True


class NoThread(threading.Thread):
    """What the interpreter gives when there are no more threads."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


# What cannot be written


def test_a_tag_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        tags_of([SURROGATE], {}, None)
    assert tags_of(["é\U0001f600"], {}, None) == ("é\U0001f600",)


def test_a_result_whose_tag_cannot_be_encoded_is_not_kept(clock: ManualClock, shared: SharedFake) -> None:
    cache = UnifiedAPICache.create(tiers=[MemoryTier(), shared], clock=clock)
    cache.operation("bad", tags=lambda _parameters, _value: [SURROGATE])(lambda n: n)
    cache.operation("good", tags=["a tag"])(lambda n: n)
    assert cache.cached_api_call_sync(operation="bad", n=1) == 1
    assert cache.cached_api_call_sync(operation="good", n=1) == 1
    assert cache.flush()
    assert len(shared.stored) == 1
    assert cache.get_stats()["breakers"]["shared"] == "closed"
    cache.close()


@pytest.mark.parametrize(
    "concerned", [{"tags": [SURROGATE]}, {"operation": SURROGATE}, {"prefix": SURROGATE}, {"key": SURROGATE}]
)
def test_an_invalidation_of_what_cannot_be_encoded_is_refused(cache: UnifiedAPICache, concerned: Any) -> None:
    with pytest.raises(InputError, match=r"\\ud800.*surrogate"):
        cache.invalidate_sync(**concerned)


def test_an_entry_that_cannot_be_sealed_is_dropped_and_those_beside_it_are_written(
    make_stack: Make, clock: ManualClock, shared: SharedFake
) -> None:
    made = make_stack(shared)
    dropped: list[int] = []
    writer = Writer(made, clock, dropped.append)
    with writer._changed:  # so that it is one batch
        written = [entry(), entry(tags=(SURROGATE,)), entry(operation=SURROGATE), entry()]
        for key, each in zip(KEYS, written, strict=True):
            writer.put(key, each)
        writer.publish([Marker("tag", SURROGATE, 1.0), Marker("tag", "a tag", 1.0)])
    assert writer.flush(10)
    assert list(shared.stored) == [KEYS[0], KEYS[3]]
    assert dropped == [2]
    assert [marker.value for marker in shared.table.all()] == ["a tag"]
    assert made.breakers["shared"].state == "closed"


def test_a_tier_that_fails_to_write_loses_nothing(make_stack: Make, clock: ManualClock, shared: SharedFake) -> None:
    made = make_stack(shared)
    dropped: list[int] = []
    writer = Writer(made, clock, dropped.append)
    shared.is_failing = True
    writer.put(KEYS[0], entry())
    assert not writer.flush(10)
    assert writer.waiting(KEYS[0]) == entry()
    assert dropped == []
    shared.is_failing = False
    clock.advance(60)
    until(lambda: writer.flush(1))
    assert list(shared.stored) == [KEYS[0]]


def test_markers_that_wait_for_a_tier_are_folded(
    make_stack: Make, clock: ManualClock, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markers, "MARKERS_MAX", 10)
    made = make_stack(shared)
    writer = Writer(made, clock, lambda _count: None)
    made.failed("shared", OSError())
    for n in range(200):
        writer.publish([Marker("tag", str(n), float(n))])
    [queue] = writer._queues
    assert 0 < len(queue.markers) <= 11
    clock.advance(60)
    until(lambda: writer.flush(1))
    told = {(marker.scope, marker.value) for marker in shared.table.all()}
    assert told > {("all", ""), ("tag", "199")}


def test_markers_that_are_taken_are_gone() -> None:
    table, marker = MarkerTable(), Marker("operation", "echo", 1.0)
    table.add([marker])
    assert table.of_operation("echo") == (1.0, NEVER)
    assert table.take() == [marker]
    assert (len(table), table.take(), table.latest) == (0, [], NEVER)
    assert table.of_operation("echo") == (NEVER, NEVER)


# Markers that were missed


def gone_at(made: TierStack) -> float:
    return made.markers.concerning("echo", (), KEYS[0])[0]


def test_a_tier_that_was_away_is_not_read_before_its_markers(
    make_stack: Make, clock: ManualClock, shared: SharedFake
) -> None:
    shared.set_many({KEYS[0]: entry()}, 0)
    shared.is_deaf = True
    shared.hears.set()
    made = make_stack(shared)
    writer = Writer(made, clock, lambda _count: None)
    assert made.get_far(KEYS[:1], always)
    assert shared.heard.wait(10)
    shared.is_failing = True
    assert made.get_far(KEYS[:1], always) == {}
    shared.is_failing = False
    shared.table.add([Marker("operation", "echo", 5.0)])  # by another process
    clock.advance(60)
    writer.put(KEYS[1], entry())  # a write is the probe that closes the breaker
    until(lambda: writer.flush(1))
    assert made.breakers["shared"].state == "closed"
    assert gone_at(made) == NEVER
    made.get_far(KEYS[:1], always)
    assert gone_at(made) == 5.0


def test_a_tier_whose_markers_cannot_be_read_gives_no_entries(
    make_stack: Make, clock: ManualClock, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.set_many({KEYS[0]: entry()}, 0)
    made = make_stack(shared)
    made.follow()
    made.failed("shared", OSError())
    plain = shared.markers

    def fail() -> Sequence[Marker]:
        raise OSError("markers")

    monkeypatch.setattr(shared, "markers", fail)
    for pause in (60, 60):
        clock.advance(pause)
        assert made.get_far(KEYS[:1], always) == {}
    assert "get_many" not in shared.calls
    monkeypatch.setattr(shared, "markers", plain)
    clock.advance(60)
    assert made.get_far(KEYS[:1], always)


def test_a_failure_while_the_markers_are_read_counts_for_the_next_read(
    make_stack: Make, clock: ManualClock, shared: SharedFake
) -> None:
    shared.hears.set()
    made = make_stack(shared)
    made.follow()
    made.failed("shared", OSError())
    clock.advance(60)
    shared.released.clear()
    shared.asked.clear()
    reader = threading.Thread(target=made.get_far, args=(KEYS[:1], always))
    reader.start()
    assert shared.asked.wait(10)
    made.failed("shared", OSError())
    shared.released.set()
    reader.join()
    clock.advance(60)
    shared.calls.clear()
    for _ in range(2):
        made.get_far(KEYS[:1], always)
    assert shared.calls == ["markers", "get_many", "get_many"]


def test_while_no_watch_is_heard_the_markers_are_read_before_each_read(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_RECONNECT_SECONDS", (0.01, 0.01))
    made = make_stack(shared)
    made.follow()
    until(lambda: "shared" in made._unwatched)
    for at in (5.0, 6.0):
        shared.table.add([Marker("operation", "echo", at)])
        made.get_far(KEYS[:1], always)
        assert gone_at(made) == at
    shared.hears.set()
    until(lambda: not made._unwatched)
    made.get_far(KEYS[:1], always)  # what was missed is read once more
    shared.calls.clear()
    made.get_far(KEYS[:1], always)
    assert shared.calls == ["get_many"]


# Reads of one event loop


class Threads:
    """`submit`, in a thread for each work."""

    def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        import concurrent.futures

        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        threading.Thread(target=lambda: done.set_result(work(*args)), daemon=True).start()
        return done


def test_a_timeout_is_the_failure_of_the_tier_that_is_read(make_stack: Make) -> None:
    quick, slow, after = SharedFake(), OtherFake(), MemoryTier()
    after.blocking = True  # type: ignore[misc]  # an instance's own
    made = make_stack(quick, slow, after)
    made.follow()
    slow.released.clear()
    reads = BatchedReads(made, always, Threads(), 0.02)

    async def main() -> Found | None:
        return await reads.read(KEYS[0])

    assert asyncio.run(main()) is None
    states = {name: breaker.state for name, breaker in made.breakers.items()}
    assert states == {"shared": "closed", "other": "open", "memory": "closed"}
    slow.released.set()


def test_a_timeout_while_no_tier_is_asked_is_no_tiers_failure(make_stack: Make, shared: SharedFake) -> None:
    made = make_stack(shared)
    made.timed_out(Reading())
    assert made.breakers["shared"].state == "closed"


def test_tiers_that_end_by_themselves_are_given_their_time(make_stack: Make) -> None:
    bounded = BoundedFake()
    bounded.set_many({KEYS[0]: entry()}, 0)
    made = make_stack(bounded)
    made.follow()
    bounded.released.clear()
    reads = BatchedReads(made, always, Threads(), 0.0)

    async def main() -> Found | None:
        reading = reads.read(KEYS[0])
        await asyncio.sleep(0.02)
        assert not reading.done()
        bounded.released.set()
        return await reading

    assert asyncio.run(main()) == Found(entry(), "shared")
    assert made.breakers["shared"].state == "closed"


def test_a_cancelled_caller_cancels_nobody_else(make_stack: Make, shared: SharedFake) -> None:
    shared.set_many({KEYS[0]: entry()}, 0)
    made = make_stack(shared)
    reads = BatchedReads(made, always, Threads(), 10.0)

    async def read() -> Found | None:
        return await reads.read(KEYS[0])

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert others == [Found(entry(), "shared")] * 2
    assert shared.calls.count("get_many") == 1


def test_a_forked_child_gathers_reads_anew(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_child: list[Callable[[], object]] = []
    monkeypatch.setattr(forks, "on_fork", in_child.append)
    reads = BatchedReads(make_stack(shared), always, Threads(), 10.0)

    async def main() -> Found | None:
        reads.read(KEYS[0])  # its tick has not been sent when the process forks
        in_child[-1]()
        return await reads.read(KEYS[0])

    assert asyncio.run(main()) is None
    assert shared.calls.count("get_many") == 2


# Threads that cannot begin


def test_a_lease_holds_when_no_thread_can_extend_it_and_the_next_one_tries_again(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Leases(make_stack(shared))
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", NoThread)
        assert held.claim(KEYS[0])
        threads = [held._thread]
    assert held.claim(KEYS[1])
    threads.append(held._thread)
    assert [thread is None for thread in threads] == [True, False]
    for key in KEYS[:2]:
        held.release(key)


def test_a_stack_without_a_thread_to_watch_reads_the_markers_and_tries_again(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.hears.set()
    made = make_stack(shared)
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", NoThread)
        for at in (5.0, 6.0):
            shared.table.add([Marker("operation", "echo", at)])
            assert made.follow()
            assert gone_at(made) == at
    assert made.follow()
    shared.calls.clear()
    assert made.follow()
    assert shared.calls == []


def test_a_lease_that_was_given_back_is_not_extended(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.06)
    monkeypatch.setattr(threading, "Thread", NoThread)
    held = Leases(make_stack(shared))
    for key in KEYS[:2]:
        held.claim(key)
    shared.claims.clear()
    plain = shared.claim

    def claim(key: bytes, owner: str, seconds: float) -> bool:
        for each in KEYS[:2]:
            held.ends(each)
        return plain(key, owner, seconds)

    monkeypatch.setattr(shared, "claim", claim)
    held._extend()
    assert shared.claims == KEYS[:1]


def test_closing_again_and_again_leaves_nothing_behind(
    make_stack: Make, shared: SharedFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_stack(shared)
    alive: list[weakref.finalize[..., Any]] = [made._stop]
    stops = [made._stopped]
    for _ in range(3):
        made.close()
        alive.append(made._stop)
        stops.append(made._stopped)
    assert [each.alive for each in alive] == [False, False, False, True]
    assert [each.is_set() for each in stops] == [True, True, True, False]
