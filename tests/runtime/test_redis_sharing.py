"""What processes share through Redis beside entries: leases, markers, and the news of markers."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from apicache.entry import NEVER
from apicache.markers import Marker, MarkerTable
from apicache.tiers import redis as redis_tier
from apicache.tiers.redis import RedisTier

NOW = 1_700_000_000.0
PATIENT = 10.0
"""Seconds for what takes milliseconds: a busy machine never fails a test."""

Make = Callable[..., RedisTier]


def key_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def tier(any_redis_url: str, make_redis: Make) -> RedisTier:
    return make_redis(any_redis_url)


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


# Leases


def test_another_owner_is_refused_a_lease(tier: RedisTier) -> None:
    assert tier.claim(key_of(1), "a", 60)
    assert not tier.claim(key_of(1), "b", 60)
    assert tier.claim(key_of(2), "b", 60)


def test_the_owner_extends_its_lease(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    tier = make_redis(redis_url)
    assert tier.claim(key_of(1), "a", 5)
    assert tier.claim(key_of(1), "a", 50)
    assert 5_000 < raw.pttl("apicache:l:" + key_of(1).hex()) <= 50_000


def test_a_released_lease_is_free(tier: RedisTier) -> None:
    assert tier.claim(key_of(1), "a", 60)
    tier.release(key_of(1), "a")
    assert tier.claim(key_of(1), "b", 60)


def test_only_its_owner_releases_a_lease(tier: RedisTier) -> None:
    assert tier.claim(key_of(1), "a", 60)
    tier.release(key_of(1), "b")
    tier.release(key_of(2), "b")
    assert not tier.claim(key_of(1), "b", 60)


def test_a_lease_outlives_no_crashed_owner(tier: RedisTier) -> None:
    assert tier.claim(key_of(1), "crashed", 0.05)
    pause = threading.Event()
    assert any(tier.claim(key_of(1), "b", 60) or pause.wait(0.02) for _ in range(500))


# Markers


def test_markers_are_stored_to_the_last_digit(tier: RedisTier) -> None:
    at = 1_700_000_000.1234567
    markers = [Marker("tag", "a:b c", at, NEVER), Marker("key", "ff", NEVER, at + 1e-6), Marker("prefix", "", 0.1, 0.2)]
    tier.publish(markers)
    tier.publish([])
    assert sorted(tier.markers(), key=lambda marker: marker.scope) == [markers[1], markers[2], markers[0]]


def test_markers_of_two_clients_converge_to_the_latest(any_redis_url: str, make_redis: Make) -> None:
    one, other = make_redis(any_redis_url), make_redis(any_redis_url)
    one.publish([Marker("tag", "t", NOW + 2, NOW)])
    other.publish([Marker("tag", "t", NOW + 1, NOW + 3), Marker("tag", "é", NEVER, NOW)])
    one.publish([Marker("tag", "t", NOW, NEVER)])
    expected = {Marker("tag", "t", NOW + 2, NOW + 3), Marker("tag", "é", NEVER, NOW)}
    assert set(one.markers()) == set(other.markers()) == expected


def test_past_the_bound_the_older_half_becomes_one_marker_for_everything(
    tier: RedisTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_tier, "MARKERS_MAX", 10)
    monkeypatch.setattr("apicache.markers.MARKERS_MAX", 10)
    markers = [Marker("tag", str(n), NOW + n, NEVER if n % 2 else NOW + n + 0.5) for n in range(11)]
    table = MarkerTable()
    table.add(markers)
    tier.publish(markers)
    assert set(tier.markers()) == set(table.all())
    assert Marker("all", "", NOW + 4, NOW + 4.5) in tier.markers()


def test_more_markers_than_one_call_takes_are_all_kept(tier: RedisTier) -> None:
    tier.publish([Marker("tag", str(n), NOW + n) for n in range(2_500)])
    assert len(tier.markers()) == 2_500


def test_the_bound_holds_for_ten_thousand(tier: RedisTier) -> None:
    tier.publish([Marker("tag", str(n), NOW + n) for n in range(10_100)])
    markers = tier.markers()
    assert len(markers) <= 10_000
    assert Marker("tag", "10099", NOW + 10_099) in markers
    assert any(marker.scope == "all" for marker in markers)


def test_damaged_stored_markers_are_passed_over_and_overwritten(
    redis_url: str, raw: redis.Redis, make_redis: Make
) -> None:
    tier = make_redis(redis_url)
    junk = {"nobody:x": "1.0 2.0", "tag:a": "", "tag:b": "x y", "tag:c": "inf ", "tag:d": " nan", "tag:e": b"\xff"}
    raw.hset("apicache:m", mapping=junk)  # type: ignore[arg-type]
    assert tier.markers() == []
    markers = [Marker("tag", name, NOW, NOW) for name in "abcde"]
    tier.publish(markers)
    assert set(tier.markers()) == set(markers)


# Watching


class Watcher:
    """A watch in a thread of its own; `told` is what it handed over, `error` what it raised."""

    def __init__(self, tier: RedisTier) -> None:
        self.told: list[Marker] = []
        self.stopped = threading.Event()
        self.error: Exception | None = None
        self._changed = threading.Condition()
        self._handed = 0
        self._thread = threading.Thread(target=self._run, args=(tier,))
        self._thread.start()

    def _run(self, tier: RedisTier) -> None:
        try:
            tier.watch(self._take, self.stopped)
        except redis.RedisError as error:
            self.error = error

    def _take(self, markers: Any) -> None:
        with self._changed:
            self.told.extend(markers)
            self._handed += 1
            self._changed.notify_all()

    def listens(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._handed, PATIENT)

    def was_told(self, marker: Marker) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: marker in self.told, PATIENT)

    def ended(self, seconds: float = PATIENT) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


Watch = Callable[[RedisTier], Watcher]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watchers: list[Watcher] = []

    def start(tier: RedisTier) -> Watcher:
        watchers.append(Watcher(tier))
        return watchers[-1]

    yield start
    for watcher in watchers:
        watcher.stopped.set()
        assert watcher.ended()


def test_a_watcher_is_told_what_is_stored_and_then_what_is_published(
    any_redis_url: str, make_redis: Make, watch: Watch
) -> None:
    stored, published = Marker("tag", "t", NOW), Marker("operation", "o", NEVER, NOW)
    make_redis(any_redis_url).publish([stored])
    watcher = watch(make_redis(any_redis_url))
    assert watcher.was_told(stored)
    make_redis(any_redis_url).publish([published])
    assert watcher.was_told(published)


def test_a_watcher_ends_without_an_error_when_it_is_stopped(any_redis_url: str, make_redis: Make, watch: Watch) -> None:
    watcher = watch(make_redis(any_redis_url))
    assert watcher.listens()
    watcher.stopped.set()
    assert watcher.ended()
    assert watcher.error is None


def test_a_watcher_raises_when_the_server_is_killed(own_redis: Any, make_redis: Make, watch: Watch) -> None:
    watcher = watch(make_redis(own_redis.url))
    assert watcher.listens()
    own_redis.kill()
    assert watcher.ended()
    assert isinstance(watcher.error, redis.ConnectionError)


def test_a_watcher_raises_when_the_server_stops_answering(
    own_redis: Any, make_redis: Make, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = watch(make_redis(own_redis.url))
    assert watcher.listens()
    own_redis.freeze()
    monkeypatch.setattr(redis_tier, "_ROUND", 0.01)
    assert watcher.ended()
    assert isinstance(watcher.error, redis.TimeoutError)


def test_a_quiet_server_that_answers_is_not_lost(
    own_redis: Any, make_redis: Make, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_tier, "_LOST_ROUNDS", 40)
    watcher = watch(make_redis(own_redis.url))
    assert watcher.listens()
    monkeypatch.setattr(redis_tier, "_ROUND", 0.01)
    pings, pause = 0, threading.Event()
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_resetstat()
        while pings < 10 and not watcher.ended(0.0):  # ten at five rounds each: unanswered, they were forty long ago
            pings = client.info("commandstats").get("cmdstat_ping", {}).get("calls", 0)
            pause.wait(0.02)
    assert pings >= 10
    assert watcher.error is None


def test_damaged_messages_are_passed_over(redis_url: str, raw: redis.Redis, make_redis: Make, watch: Watch) -> None:
    tier = make_redis(redis_url)
    watcher = watch(tier)
    assert watcher.listens()
    for message in (b"", b"\xff", b"\x91\x94\xa6nobody\xa0\xcb", b"\x80\x04N."):
        assert raw.publish(tier._channel, message) == 1
    tier.publish([Marker("tag", "after", NOW)])
    assert watcher.was_told(Marker("tag", "after", NOW))
    assert watcher.told == [Marker("tag", "after", NOW)]


def test_databases_of_one_server_do_not_hear_each_other(own_redis: Any, make_redis: Make, watch: Watch) -> None:
    other = own_redis.url.removesuffix("/0") + "/1"
    watcher = watch(make_redis(own_redis.url))
    assert watcher.listens()
    make_redis(other).publish([Marker("tag", "elsewhere", NOW)])
    make_redis(own_redis.url).publish([Marker("tag", "here", NOW)])
    assert watcher.was_told(Marker("tag", "here", NOW))
    assert watcher.told == [Marker("tag", "here", NOW)]
