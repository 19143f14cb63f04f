"""The trace: requests in their order, bounded, forgotten with their keys; files of the format before are taken over."""

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.planning import Plan
from apicache.policy import Policy
from apicache.usage.feed import UsageFeed
from apicache.usage.log import UsageLog
from apicache.usage.report import frequent, of_key, report
from apicache.usage.trace import requests, trace
from apicache.usage.usage import Event, Selection, digest_of_scope

NOW = 1_700_000_000.0
DAY = 86400.0
FORMAT_2 = (Path(__file__).parent / "usage_format_2.sql").read_text(encoding="utf-8")


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def event(kind, number: int, at: float = NOW, **changes) -> Event:
    operation = changes.pop("operation", "quote")
    return Event(at=at, kind=kind, operation=operation, key=key(number), ttl=100.0, **changes)


def loaded(number: int, at: float = NOW, **changes) -> list[Event]:
    return [event("miss", number, at, **changes), event("stored", number, at, **changes)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "usage.db"


@pytest.fixture
def log(path: Path) -> Iterator[UsageLog]:
    log = UsageLog(path, clock=ManualClock(NOW))
    yield log
    log.close()


def asked(log: UsageLog, since: float = 0.0) -> list[tuple[float, int]]:
    """Seconds after NOW, and the number of the key."""
    found = trace(log, since)
    return [(at - NOW, int(found.keys[number].key, 16)) for at, number in zip(found.at, found.ids, strict=True)]


def test_each_request_is_traced_in_its_order_with_its_operation(log: UsageLog) -> None:
    log.write([*loaded(7, operation="quote"), event("hit", 7, NOW + 1)])
    log.write([*loaded(8, NOW + 2, operation="news"), event("stale", 7, NOW + 3), event("coalesced", 7, NOW + 4)])
    assert asked(log) == [(0, 7), (1, 7), (2, 8), (3, 7), (4, 7)]
    told = list(requests(log))
    assert [(at - NOW, operation) for at, _, operation in told] == [
        (0, "quote"),
        (1, "quote"),
        (2, "news"),
        (3, "quote"),
        (4, "quote"),
    ]
    assert len({number for _, number, _ in told}) == 2
    assert [at - NOW for at, _, _ in requests(log, NOW + 3)] == [3, 4]


def test_what_nobody_waited_for_and_what_was_never_stored_is_no_request(log: UsageLog) -> None:
    log.write(
        [
            *loaded(1, is_asked=False),
            event("refreshed", 1),
            event("revalidated", 1),
            event("error", 1),
            event("miss", 2),
            Event(at=NOW, kind="miss", operation="quote", key=b""),
        ]
    )
    assert asked(log) == []


def test_a_warmed_call_is_told_as_one_that_nobody_asked_for() -> None:
    written: list[Event] = []

    class Log:
        def write(self, events) -> bool:
            written.extend(events)
            return True

    feed = UsageFeed(Log)
    plan = Plan("quote", Policy(ttl=100.0), lambda: None, lambda _plan: ({}, None))
    entry = Entry("quote", "value", b"12345", NOW, NOW + 100, NOW + 100, 0.5, 2.0)
    feed.loaded(plan, entry, 2.0, NOW)
    plan.is_warming = True
    feed.loaded(plan, entry, 2.0, NOW)
    feed.other("coalesced", plan, NOW)
    feed.served("hit", "quote", b"k", entry, NOW)
    feed.flush()
    assert [(each.kind, each.is_asked) for each in written if each.kind != "stored"] == [
        ("miss", True),
        ("miss", False),
        ("coalesced", False),
        ("hit", True),
    ]
    assert {(each.size, each.cost) for each in written if each.kind in ("stored", "hit")} == {(5, 0.5)}


def test_a_key_is_known_with_what_its_newest_load_took(log: UsageLog) -> None:
    log.write(loaded(1, seconds=2.0, cost=0.5, size=300))
    log.write([event("hit", 1, NOW + 1), *loaded(1, NOW + 200, seconds=3.0, cost=0.25, size=400)])
    log.write([event("hit", 2, NOW + 1, seconds=1.5, cost=0.125, size=9)])
    (first, second) = sorted(trace(log).keys.values(), key=lambda known: known.key)
    assert (first.seconds, first.cost, first.size, first.ttl, first.uses) == (3.0, 0.25, 400, 100.0, 3)
    assert (second.seconds, second.cost, second.size, second.uses) == (1.5, 0.125, 9, 1)
    found = trace(log)
    assert list(found.sizes) == [300, 400, 9, 400]  # those of one batch, as it ends


def test_requests_of_several_processes_are_read_in_the_order_of_their_times(log: UsageLog, path: Path) -> None:
    other = UsageLog(path, clock=ManualClock(NOW))
    log.write([*loaded(1, NOW + 1), *loaded(2, NOW + 5)])
    other.write([*loaded(3, NOW + 2), event("hit", 1, NOW + 4)])
    other.close()
    assert asked(log) == [(1, 1), (2, 3), (4, 1), (5, 2)]


def test_without_a_file_nothing_was_asked(log: UsageLog, path: Path) -> None:
    assert list(requests(log)) == []
    assert not path.exists()


def test_requests_are_forgotten_with_their_keys(log: UsageLog) -> None:
    ann = digest_of_scope("ann")
    log.write([*loaded(1), *loaded(2, NOW + 1, scope=ann), *loaded(3, NOW + 2, operation="news"), event("hit", 1)])
    log.write([event("hit", 2, NOW + 3), event("hit", 3, NOW + 4)])
    log.erase(Selection(scopes=[ann or b""]))
    assert [number for _, number in asked(log)] == [1, 1, 3, 3]
    log.erase(Selection(keys=[key(1)]))
    assert [number for _, number in asked(log)] == [3, 3]
    log.erase(Selection(operations=["news"]))
    assert asked(log) == []
    log.write(loaded(4))  # its number was another's
    assert [number for _, number in asked(log)] == [4]
    log.erase(Selection(everything=True))
    assert asked(log) == []


def test_requests_past_their_retention_go(path: Path) -> None:
    clock = ManualClock(NOW)
    log = UsageLog(path, retention_seconds=10 * DAY, clock=clock)
    log.write(loaded(1))
    clock.advance(11 * DAY)
    log.close()
    later = UsageLog(path, retention_seconds=10 * DAY, clock=clock)
    later.write([event("hit", 1, clock.now(), age=0.0)])
    assert asked(later) == [(11 * DAY, 1)]
    later.close()


def test_past_the_bound_the_oldest_requests_go(path: Path) -> None:
    log = UsageLog(path, clock=ManualClock(NOW), max_requests=100)
    log.write(loaded(1))
    for number in range(300):
        log.write([event("hit", 1, NOW + number)])
        assert len(trace(log).at) <= 101
    assert asked(log)[-1] == (299, 1)
    log.write([event("hit", 1, NOW + 300 + number) for number in range(1000)])
    assert asked(log)[-1] == (1299, 1)
    assert 80 <= len(trace(log).at) <= 101
    log.close()


def test_a_key_that_goes_past_the_bound_takes_its_requests_along(path: Path) -> None:
    log = UsageLog(path, max_rows=100, clock=ManualClock(NOW))
    for number in range(300):
        log.write(loaded(number, NOW + number))
    kept = [number for _, number in asked(log)]
    assert len(kept) <= 101
    assert kept == list(range(300 - len(kept), 300))
    log.close()


def test_a_file_of_the_format_before_is_taken_over_with_all_it_has(log: UsageLog, path: Path) -> None:
    before(path)
    first, second = sorted(frequent(log, None, 5), key=lambda each: each.key)
    assert (first.hits, first.loads, first.parameters, first.complete) == (2, 1, {"symbol": "AAPL"}, True)
    assert (second.hits, second.operation) == (5, "news")
    assert report(log, DAY, NOW).total.hits == 7
    log.write([event("hit", 1, seconds=2.0, cost=0.5), *loaded(3, NOW + 1)])
    assert asked(log) == [(0, 1), (1, 3)]
    assert report(log, DAY, NOW).total.hits == 8
    row = of_key(log, key(1))
    assert row is not None
    assert (row.hits, row.scope) == (3, digest_of_scope("ann"))
    assert log.erase(Selection(scopes=[digest_of_scope("ann") or b""])) == 1
    assert asked(log) == [(1, 3)]


def test_a_file_of_the_format_before_that_is_in_use_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("apicache.usage.log.time.sleep", lambda _seconds: other.close())
    log = UsageLog(path, clock=ManualClock(NOW))
    assert log.write([event("hit", 1)])
    assert len(frequent(log, None, 5)) == 2
    log.close()


def before(path: Path) -> None:
    """A file as it was written before there was a trace: two keys, seven hits."""
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.executescript(FORMAT_2)
    put = "INSERT INTO keys VALUES (?, ?, ?, 100, ?, 1, ?, ?, x'80', ?, ?)"
    database.execute(put, (key(1), "quote", NOW, 2, NOW, digest_of_scope("ann"), '{"symbol":"AAPL"}', 1))
    database.execute(put, (key(2), "news", NOW, 5, NOW - 1, None, None, 0))
    database.execute("INSERT INTO counters (hour, operation, hits) VALUES (?, 'quote', 7)", (int(NOW // 3600),))
    database.commit()
    database.close()


def test_a_chunk_of_damaged_bytes_hides_no_other(log: UsageLog, path: Path) -> None:
    log.write(loaded(1))
    log.write([event("hit", 1, NOW + 1)])
    log.close()
    database = sqlite3.connect(path)
    database.execute("UPDATE trace SET requests = substr(requests, 1, 10) WHERE id = 1")
    database.commit()
    database.close()
    assert asked(log) == [(1, 1)]


def test_many_requests_come_back_as_they_went_in(log: UsageLog) -> None:
    chance = random.Random(3)  # noqa: S311 - a trace has no secrets
    drawn = [(float(at), chance.randrange(50)) for at in range(20_000)]
    log.write([event("stored", number) for number in range(50)])
    log.write([event("hit", number, NOW + at) for at, number in drawn])
    assert asked(log) == drawn


def test_calls_of_a_cache_are_traced_when_they_are_written(tmp_path: Path) -> None:
    clock = ManualClock(time.time())  # the log of a cache keeps thirty days, by the machine's clock
    started = clock.now()
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True, clock=clock)

    @cache.operation("quote", ttl=60, record=True)
    def quote(symbol: str) -> str:
        return symbol * 100

    for symbol in ("a", "b", "a"):
        clock.advance(1)
        assert cache.cached_api_call_sync(operation="quote", symbol=symbol) == symbol * 100
    cache.close()
    log = UsageLog(tmp_path / "usage.db", clock=clock)
    found = trace(log)
    log.close()
    told = [
        (round(at - started), (found.keys[number].parameters or {})["symbol"])
        for at, number in zip(found.at, found.ids, strict=True)
    ]
    assert told == [(1, "a"), (2, "b"), (3, "a")]
    assert all(size > 100 for size in found.sizes)
