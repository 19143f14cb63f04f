"""The Redis tier against real servers: alone, in a cluster, behind a sentinel; and against servers that fail."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import RedisClusterException

from apicache.entry import Entry
from apicache.envelope import PlainSealer
from apicache.markers import Marker
from apicache.tier import SharedTier
from apicache.tiers import redis as redis_tier
from apicache.tiers.redis import RedisTier

NOW = 1_700_000_000.0
PATIENT = 10.0
"""Seconds for what takes milliseconds: a busy machine never fails a test."""

Make = Callable[..., RedisTier]


def key_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def entry(payload: bytes = b"\x01", *, created: float = NOW, expires: float = NOW + 600) -> Entry:
    return Entry("o", "value", payload, created, expires - 300, expires, tags=("t",))


def name_of(number: int) -> str:
    return "apicache:e:" + key_of(number).hex()


@pytest.fixture
def tier(any_redis_url: str, make_redis: Make) -> RedisTier:
    return make_redis(any_redis_url)


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


# Entries


def test_it_is_a_shared_tier(make_redis: Make) -> None:
    tier = make_redis("redis://h")
    assert isinstance(tier, SharedTier)
    assert (tier.name, tier.blocking, tier.self_bounded) == ("redis", True, True)


def test_what_is_set_is_got_and_nothing_else(tier: RedisTier) -> None:
    entries = {key_of(n): entry(bytes([n])) for n in range(50)}
    tier.set_many(entries, NOW)
    assert tier.get_many([*entries, key_of(99)]) == entries
    assert tier.get_many([key_of(99)]) == {}
    assert tier.get_many([]) == {}


def test_the_newest_set_wins_whenever_it_was_created(tier: RedisTier) -> None:
    tier.set_many({key_of(1): entry(b"new", created=NOW)}, NOW)
    tier.set_many({key_of(1): entry(b"old", created=NOW - 10)}, NOW)
    assert tier.get_many([key_of(1)])[key_of(1)].payload == b"old"


def test_deleting_forgets_what_is_named_only(tier: RedisTier) -> None:
    tier.set_many({key_of(n): entry() for n in range(3)}, NOW)
    tier.delete_many([key_of(0), key_of(2), key_of(77)])
    tier.delete_many([])
    assert list(tier.get_many([key_of(n) for n in range(3)])) == [key_of(1)]


def test_clearing_forgets_all_entries_and_leaves_leases_and_markers(
    tier: RedisTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_tier, "_PAGE", 7)
    tier.set_many({key_of(n): entry() for n in range(40)}, NOW)
    assert tier.claim(key_of(0), "a", 60)
    tier.publish([Marker("tag", "t", NOW)])
    tier.clear()
    assert tier.size().entries == 0
    assert not tier.claim(key_of(0), "b", 60)
    assert tier.markers() == [Marker("tag", "t", NOW)]


def test_every_entry_is_listed_with_its_key(tier: RedisTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_tier, "_PAGE", 7)
    entries = {key_of(n): entry(bytes([n])) for n in range(30)}
    tier.set_many(entries, NOW)
    assert dict(tier.entries()) == entries


def test_the_size_counts_entries_and_their_bytes(tier: RedisTier) -> None:
    entries = {key_of(n): entry(bytes(100 * n)) for n in range(5)}
    tier.set_many(entries, NOW)
    tier.publish([Marker("all", "", NOW)])
    size = tier.size()
    assert size.entries == 5
    assert size.bytes == sum(len(PlainSealer().seal(key, stored)) for key, stored in entries.items())


def test_a_closed_tier_opens_again(tier: RedisTier) -> None:
    tier.set_many({key_of(1): entry()}, NOW)
    tier.close()
    tier.close()
    assert tier.get_many([key_of(1)]) == {key_of(1): entry()}


def test_an_entry_ends_at_its_expiry_at_the_latest(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    make_redis(redis_url).set_many({key_of(1): entry(expires=NOW + 5.5), key_of(2): entry(expires=NOW + 1e12)}, NOW)
    assert 0 < raw.pttl(name_of(1)) <= 5_500
    assert raw.pttl(name_of(2)) > 10**13


def test_an_entry_that_has_expired_is_not_written(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    make_redis(redis_url).set_many({key_of(1): entry(expires=NOW), key_of(2): entry(expires=NOW - 1)}, NOW)
    assert raw.dbsize() == 0


@pytest.mark.parametrize("damaged", [b"", b"apic", b"\x80\x04N.", b"x" * 100])
def test_a_damaged_value_is_a_miss_and_removed(
    damaged: bytes, redis_url: str, raw: redis.Redis, make_redis: Make
) -> None:
    tier = make_redis(redis_url)
    tier.set_many({key_of(2): entry()}, NOW)
    raw.set(name_of(1), damaged)
    assert list(tier.entries()) == [(key_of(2), entry())]
    assert tier.get_many([key_of(1), key_of(2)]) == {key_of(2): entry()}
    assert raw.exists(name_of(1)) == 0


def test_a_value_cut_short_is_a_miss(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    raw.set(name_of(1), PlainSealer().seal(key_of(1), entry())[:-1])
    assert make_redis(redis_url).get_many([key_of(1)]) == {}


def test_a_value_under_anothers_key_is_a_miss_and_removed(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    tier = make_redis(redis_url)
    raw.set(name_of(1), PlainSealer().seal(key_of(2), entry()))
    assert list(tier.entries()) == []
    assert tier.get_many([key_of(1)]) == {}
    assert raw.exists(name_of(1)) == 0


def test_something_that_is_no_text_under_a_key_is_a_miss(redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    raw.lpush(name_of(1), "x")
    tier = make_redis(redis_url)
    assert tier.get_many([key_of(1)]) == {}
    assert tier.size().entries == 0


@pytest.mark.parametrize("prefix", ["a*:", "[ab]?:", "back\\slash^:"])
def test_clearing_takes_the_prefix_literally(prefix: str, redis_url: str, raw: redis.Redis, make_redis: Make) -> None:
    raw.mset({"axx:e:1": "", "ab:e:1": "", "a:e:1": "", "other": ""})
    tier = make_redis(redis_url, prefix=prefix)
    tier.set_many({key_of(1): entry()}, NOW)
    assert tier.size().entries == 1
    tier.clear()
    assert tier.size().entries == 0
    assert raw.dbsize() == 4


def test_prefixes_keep_applications_apart(redis_url: str, make_redis: Make) -> None:
    one, other = make_redis(redis_url, prefix="one:"), make_redis(redis_url, prefix="other:")
    one.set_many({key_of(1): entry()}, NOW)
    one.publish([Marker("all", "", NOW)])
    assert one.claim(key_of(1), "a", 60)
    assert other.get_many([key_of(1)]) == {}
    assert other.markers() == []
    assert other.claim(key_of(1), "b", 60)


# Servers that fail


def everything(tier: RedisTier) -> list[Callable[[], object]]:
    return [
        lambda: tier.get_many([key_of(1)]),
        lambda: tier.set_many({key_of(1): entry()}, NOW),
        lambda: tier.delete_many([key_of(1)]),
        tier.clear,
        tier.size,
        lambda: list(tier.entries()),
        lambda: tier.claim(key_of(1), "a", 1),
        lambda: tier.release(key_of(1), "a"),
        lambda: tier.publish([Marker("all", "", NOW)]),
        tier.markers,
        lambda: tier.watch(lambda markers: None, threading.Event()),
    ]


def test_every_operation_raises_while_the_server_is_down_and_works_after(own_redis: Any, make_redis: Make) -> None:
    tier = make_redis(own_redis.url)
    tier.set_many({key_of(1): entry()}, NOW)
    own_redis.stop()
    for operation in everything(tier):
        with pytest.raises(redis.ConnectionError):
            operation()
    own_redis.start()
    tier.set_many({key_of(1): entry()}, NOW)
    assert tier.get_many([key_of(1)]) == {key_of(1): entry()}


def test_every_operation_raises_while_the_server_is_frozen_and_works_after(own_redis: Any, make_redis: Make) -> None:
    warm, cold, patient = (make_redis(own_redis.url, timeout=timeout) for timeout in (0.02, 0.02, PATIENT))
    patient.set_many({key_of(2): entry()}, NOW)
    with contextlib.suppress(redis.TimeoutError):  # a busy machine
        warm.get_many([key_of(1)])
    own_redis.freeze()
    for tier in (warm, cold):
        for operation in everything(tier)[:-1]:
            with pytest.raises(redis.TimeoutError):
                operation()
    own_redis.thaw()
    assert patient.claim(key_of(2), "b", 60)


def test_a_connection_that_a_restart_cut_costs_no_call(own_redis: Any, make_redis: Make) -> None:
    tier = make_redis(own_redis.url)
    tier.set_many({key_of(1): entry()}, NOW)
    own_redis.restart()
    assert tier.get_many([key_of(1)]) == {}


@pytest.mark.parametrize("form", ["redis", "redis+cluster", "redis+sentinel"])
def test_a_server_that_never_was_raises(form: str, make_redis: Make) -> None:
    with socket.socket() as bound:  # bound and not listening: refused
        bound.bind(("127.0.0.1", 0))
        tier = make_redis(f"{form}://127.0.0.1:{bound.getsockname()[1]}" + ("/cached" if "sentinel" in form else ""))
        with pytest.raises((redis.RedisError, RedisClusterException)):
            tier.get_many([key_of(1)])


def test_a_call_past_the_connections_waits_its_turn_and_no_longer(own_redis: Any, make_redis: Make) -> None:
    tier = make_redis(own_redis.url, timeout=0.05, max_connections=1)
    with tier._connected(), pytest.raises(redis.TimeoutError, match="all 1 connections"):
        tier.get_many([key_of(1)])
    assert tier._turns.acquire(blocking=False)
    tier._turns.release()


def test_a_full_server_refuses_a_write_and_answers_reads(start_redis: Any, make_redis: Make) -> None:
    tier = make_redis(start_redis("--maxmemory", "1").url)
    with pytest.raises(redis.ResponseError):
        tier.set_many({key_of(1): entry()}, NOW)
    assert tier.get_many([key_of(1)]) == {}


def test_threads_share_one_tier(redis_url: str, make_redis: Make) -> None:
    tier = make_redis(redis_url, max_connections=3)
    found: list[bool] = []

    def work(number: int) -> None:
        mine = {key_of(number): entry(bytes([number]))}
        tier.set_many(mine, NOW)
        found.append(tier.get_many(list(mine)) == mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20


@pytest.mark.parametrize("given", ["", ":s3cret-wrong@", "ann:s3cret-wrong@"])
def test_a_refused_password_is_an_error_that_does_not_show_it(given: str, start_redis: Any, make_redis: Make) -> None:
    server = start_redis("--requirepass", "s3cret-right")
    for operation in everything(make_redis(f"redis://{given}127.0.0.1:{server.port}")):
        with pytest.raises(redis.RedisError) as caught:
            operation()
        shown: BaseException | None = caught.value
        while shown is not None:
            assert "s3cret" not in f"{shown!r} {shown}"
            shown = shown.__cause__ or shown.__context__


FORKING = """
import os, sys
from pathlib import Path
from apicache.entry import Entry
from apicache.tier import TierPlace
from apicache.tiers.redis import build

key, entry = bytes(32), Entry("o", "value", b"1", 1.0, 2.0, 3.0)
tier = build(TierPlace(directory=Path(), options={"url": sys.argv[1], "max_connections": 1}, timeout=10))
tier.set_many({key: entry}, 1.0)
with tier._opening, tier._turns:  # as another thread would hold them
    child = os.fork()
    if not child:
        os._exit(0 if tier.get_many([key]) == {key: entry} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert tier.get_many([key]) == {key: entry}
tier.close()
"""


def test_a_forked_child_opens_connections_of_its_own(redis_url: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", FORKING, redis_url], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
