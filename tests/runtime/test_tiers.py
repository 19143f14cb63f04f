"""One suite over every tier file, and what the stack of them promises."""

import contextlib
import logging
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import diskcache
import msgspec
import pytest

from apicache import UnifiedAPICache, tiers
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.tier import PAUSE_SECONDS, Tier, TierStack
from apicache.tiers.disk import DiskTier
from apicache.tiers.memory import MemoryTier

NOW = 1_700_000_000.0
FAR_FUTURE = 4_000_000_000.0  # diskcache itself reads the machine's clock


def entry(payload: bytes = b"\x01", expires: float = FAR_FUTURE) -> Entry:
    return Entry(
        operation="o", codec="value", payload=payload, created=NOW, expires=expires, cost=0.0, compute_seconds=0.0
    )


@pytest.fixture(params=sorted(tiers.known()))
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tier]:
    tier = tiers.build(request.param, tmp_path / "cache")
    yield tier
    tier.close()


def test_a_tier_file_is_a_tier_and_its_name_the_tiers(tier: Tier) -> None:
    assert tier.name in tiers.known()
    assert isinstance(tier.blocking, bool)


def test_what_is_set_is_got_and_nothing_else(tier: Tier) -> None:
    assert tier.get("k") is None
    tier.set("k", entry(b"\x07"), NOW)
    assert tier.get("k") == entry(b"\x07")
    assert tier.get("K") is None


def test_the_newest_set_wins(tier: Tier) -> None:
    tier.set("k", entry(b"\x01"), NOW)
    tier.set("k", entry(b"\x02"), NOW)
    assert tier.get("k") == entry(b"\x02")


def test_deleting_and_clearing_forget(tier: Tier) -> None:
    for key in "abc":
        tier.set(key, entry(), NOW)
    tier.delete("a")
    tier.delete("never there")
    assert [tier.get(key) is not None for key in "abc"] == [False, True, True]
    tier.clear()
    assert [tier.get(key) for key in "abc"] == [None] * 3


def test_large_entries_survive(tier: Tier) -> None:
    payload = bytes(range(256)) * 1000
    tier.set("k", entry(payload), NOW)
    assert tier.get("k") == entry(payload)


def test_a_closed_tier_opens_again(tier: Tier) -> None:
    tier.set("k", entry(), NOW)
    tier.close()
    tier.set("l", entry(), NOW)
    assert tier.get("l") == entry()


def test_eight_threads_may_use_a_tier_at_once(tier: Tier) -> None:
    def work(own: int) -> None:
        for n in range(50):
            tier.set(f"{own}-{n}", entry(bytes([own, n])), NOW)
            assert tier.get(f"{own}-{n}") == entry(bytes([own, n]))

    errors: list[BaseException] = []

    def guarded(own: int) -> None:
        try:
            work(own)
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_memory_is_bounded_in_bytes() -> None:
    tier = MemoryTier(max_bytes=100_000)
    for n in range(1000):
        tier.set(str(n), entry(b"x" * 1000), NOW)
    assert tier._entries.current_size() <= 100_000
    assert 0 < len(tier._entries) <= 100


def test_memory_is_bounded_in_entries() -> None:
    tier = MemoryTier(max_bytes=1_000_000, max_entries=10)
    for n in range(1000):
        tier.set(str(n), entry(b""), NOW)
    assert 0 < len(tier._entries) <= 10


def test_an_entry_larger_than_memory_is_not_kept_and_does_not_empty_it() -> None:
    tier = MemoryTier(max_bytes=10_000)
    tier.set("small", entry(b"x"), NOW)
    tier.set("large", entry(b"x" * 20_000), NOW)
    assert tier.get("large") is None
    assert tier.get("small") is not None


def test_the_disk_folder_is_its_owners_alone(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "deep" / "cache")
    tier.set("k", entry(), NOW)
    tier.close()
    assert stat.S_IMODE((tmp_path / "deep" / "cache" / "entries").stat().st_mode) == 0o700


def test_the_disk_tier_is_bounded_in_bytes(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, max_bytes=2_000_000)
    for n in range(100):
        tier.set(str(n), entry(b"x" * 100_000), NOW)
    with tier._database() as database:
        volume = database.volume()
    tier.close()
    assert volume < 3_000_000


def test_disk_entries_are_read_by_another_process(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path)
    tier.set("k", entry(b"\x2a"), NOW)
    tier.close()
    code = (
        "import sys, pathlib; from apicache.tiers.disk import DiskTier; "
        "t = DiskTier(pathlib.Path(sys.argv[1])); print(t.get('k').payload[0]); t.close()"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "42"


def test_a_pickle_planted_in_the_database_is_a_miss_and_is_never_loaded(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path)
    tier.set("k", entry(), NOW)
    tier.close()
    marker = tmp_path / "executed"
    bomb = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    with sqlite3.connect(tmp_path / "entries" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, filename = NULL, value = ?", (bomb,))
    database.close()
    assert tier.get("k") is None
    tier.close()
    assert not marker.exists()


def test_damaged_disk_bytes_are_a_miss_and_are_removed(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path)
    tier.set("k", entry(b"x" * 100), NOW)
    tier.close()
    with sqlite3.connect(tmp_path / "entries" / "cache.db") as database:
        database.execute("UPDATE Cache SET value = substr(value, 1, 40)")
    database.close()
    assert tier.get("k") is None
    with tier._database() as database:
        assert len(database) == 0
    tier.close()


class BrokenTier:
    name: ClassVar[str] = "broken"
    blocking: ClassVar[bool] = True

    def get(self, key: str) -> Entry | None:
        raise OSError("get")

    def set(self, key: str, entry: Entry, now: float) -> None:
        raise sqlite3.DatabaseError("set")

    def delete(self, key: str) -> None:
        raise OSError("delete")

    def clear(self) -> None:
        raise OSError("clear")

    def close(self) -> None:
        raise OSError("close")


def test_a_broken_tier_costs_nothing_but_is_counted_and_reported_once(
    call: "object", caplog: pytest.LogCaptureFixture
) -> None:
    cache = UnifiedAPICache.create(tiers=[BrokenTier()])
    cache.operation("echo")(lambda n: {"n": n})
    with caplog.at_level(logging.WARNING, logger="apicache"):
        results = [call(cache, operation="echo", n=n) for n in (1, 1, 2)]
        cache.clear()
        cache.close()
    assert results == [{"n": 1}, {"n": 1}, {"n": 2}]
    # It failed at the first look-up and was left alone after that.
    assert cache.get_stats()["errors"] == 1
    assert [record.message for record in caplog.records] == ["the broken tier failed (OSError); calls go on without it"]


def test_a_tier_that_failed_is_tried_again_after_its_pause(clock: ManualClock) -> None:
    cache = UnifiedAPICache.create(tiers=[BrokenTier()], clock=clock)
    cache.operation("echo")(lambda n: {"n": n})
    for pause in (0.0, PAUSE_SECONDS / 2, PAUSE_SECONDS / 2, PAUSE_SECONDS):
        clock.advance(pause)
        cache.cached_api_call_sync(operation="echo", n=1)
    assert cache.get_stats()["errors"] == 3


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    tier = DiskTier(tmp_path)
    tier.set("k", entry(), NOW)
    tier.close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "entries").stat().st_mode) == 0o700


def test_a_folder_removed_while_it_is_in_use_is_made_again(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path)
    tier.set("k", entry(), NOW)
    shutil.rmtree(tmp_path / "entries")

    def use() -> None:
        # In threads of their own, whose connections are new.
        with contextlib.suppress(sqlite3.Error, OSError):
            tier.set("l", entry(), NOW)

    for _ in range(2):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert tier.get("l") == entry()
    tier.close()


def test_a_locked_database_fails_at_once_instead_of_waiting_for_minutes(tmp_path: Path) -> None:
    DiskTier(tmp_path).set("k", entry(), NOW)
    with contextlib.closing(sqlite3.connect(tmp_path / "entries" / "cache.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises((sqlite3.OperationalError, diskcache.Timeout)):
            DiskTier(tmp_path).get("k")
        other.rollback()


def test_a_database_that_is_no_database_costs_nothing(
    tmp_path: Path, call: "object", caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "cache.db").write_bytes(b"this is not SQLite" * 100)
    cache = UnifiedAPICache.create(directory=tmp_path)
    cache.operation("echo")(lambda n: {"n": n})
    assert [call(cache, operation="echo", n=1) for _ in range(2)] == [{"n": 1}] * 2
    cache.close()
    assert f"delete {tmp_path / 'entries'}" in caplog.text


def test_git_leaves_the_recorded_answers_alone(tmp_path: Path) -> None:
    DiskTier(tmp_path).set("k", entry(), NOW)
    assert (tmp_path / "entries" / ".gitignore").read_text() == "*\n"


def test_a_promoted_entry_lives_no_longer_than_the_one_it_came_from(clock: ManualClock) -> None:
    near, far = MemoryTier(), MemoryTier()
    far.blocking = True  # type: ignore[misc]  # stands in for a slower tier
    stack = TierStack([near, far], clock, on_error=lambda _: None)
    far.set("k", entry(expires=clock.now() + 30), clock.now())
    clock.advance(20)
    found = stack.get_far("k", clock.now())
    assert found is not None
    assert near.get("k") == found[0]
    assert near.get("k").expires == clock.now() + 10
    clock.advance(10)
    assert stack.get_near("k", clock.now()) is None


def test_an_expired_entry_is_not_promoted(clock: ManualClock) -> None:
    near, far = MemoryTier(), MemoryTier()
    far.blocking = True  # type: ignore[misc]  # stands in for a slower tier
    stack = TierStack([near, far], clock, on_error=lambda _: None)
    far.set("k", entry(expires=clock.now()), clock.now())
    assert stack.get_far("k", clock.now()) is None
    assert near.get("k") is None


def test_an_unknown_tier_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown tier 'dsik'; did you mean 'disk'\?"):
        tiers.build("dsik", tmp_path)


def test_an_entry_of_a_future_format_is_a_miss(cache: UnifiedAPICache, call: "object") -> None:
    cache.operation("echo")(lambda n: {"n": n})
    call(cache, operation="echo", n=1)
    tier = cache._engine.tiers.near[0]
    plan = cache._plan(None, (), {"operation": "echo", "n": 1})
    plan.identify()
    stored = tier.get(plan.key)
    tier.set(plan.key, msgspec.structs.replace(stored, codec="a library that is gone"), NOW)
    assert call(cache, operation="echo", n=1) == {"n": 1}
    tier.set(plan.key, msgspec.structs.replace(stored, payload=b"\xc1"), NOW)
    assert call(cache, operation="echo", n=1) == {"n": 1}
    assert cache.get_stats()["cache_misses"] == 3
