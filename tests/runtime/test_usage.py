"""The usage log: what it counts, what it never keeps, and that nothing wrong with it reaches a call."""

import logging
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.tagged import canonical
from apicache.usage.folding import KeyRow
from apicache.usage.log import UsageLog
from apicache.usage.report import frequent, keys_of_scopes, nearest, of_key, operations_in, report
from apicache.usage.usage import Event, Selection, digest_of_scope, digests_of

NOW = 1_700_000_000.0
DAY = 86400.0
SECRET = "sk-planted-0123456789abcdef"


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def stored(number: int = 1, *, at: float = NOW, ttl: float = 100.0, **changes) -> Event:
    return Event(at=at, kind="stored", operation=changes.pop("operation", "quote"), key=key(number), ttl=ttl, **changes)


def hit(number: int = 1, *, at: float = NOW, age: float = 0.0, ttl: float = 100.0, **changes) -> Event:
    operation = changes.pop("operation", "quote")
    return Event(at=at, kind="hit", operation=operation, key=key(number), age=age, ttl=ttl, **changes)


def miss(number: int = 1, *, at: float = NOW, **changes) -> Event:
    return Event(at=at, kind="miss", operation=changes.pop("operation", "quote"), key=key(number), **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "usage.db"


@pytest.fixture
def log(path: Path) -> Iterator[UsageLog]:
    log = UsageLog(path, clock=ManualClock(NOW))
    yield log
    log.close()


def like(call: dict[str, object], scope: bytes | None = None) -> KeyRow:
    return KeyRow("quote", scope=scope, digests=digests_of(canonical(call)))


def bytes_beside(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def usage_of(log: UsageLog, operation: str = "quote", since: float = 7 * DAY):
    (usage,) = report(log, since, NOW, operation).operations
    return usage


def test_events_are_counted_per_operation(log: UsageLog) -> None:
    assert log.write(
        [
            miss(seconds=2.0, cost=0.5),
            stored(),
            hit(age=10, seconds=2.0, cost=0.5),
            Event(at=NOW, kind="coalesced", operation="quote", key=key(1), seconds=1.0, cost=0.5),
            Event(at=NOW, kind="stale", operation="quote", key=key(1), age=120, ttl=100, seconds=2.0, cost=0.5),
            Event(at=NOW, kind="error", operation="quote", key=key(1)),
            Event(at=NOW, kind="revalidated", operation="quote", key=key(1), ttl=100),
            hit(2, operation="profile"),
        ]
    )
    usage = usage_of(log)
    assert (usage.calls, usage.hits, usage.stale, usage.misses, usage.coalesced) == (4, 1, 1, 1, 1)
    assert (usage.stored, usage.errors, usage.revalidated) == (1, 1, 1)
    assert usage.hit_rate == pytest.approx(2 / 3)
    assert (usage.saved_seconds, usage.saved_cost) == (5.0, 1.5)
    assert (usage.spent_seconds, usage.spent_cost) == (2.0, 0.5)
    whole = report(log, DAY, NOW)
    assert [each.operation for each in whole.operations] == ["quote", "profile"]
    assert whole.total.calls == 5


def test_batches_add_up(log: UsageLog, path: Path) -> None:
    for _ in range(3):
        assert log.write([hit(), miss()])
    other = UsageLog(path, clock=ManualClock(NOW))
    assert other.write([hit()])
    other.close()
    usage = usage_of(log)
    assert (usage.hits, usage.misses) == (4, 3)


def test_only_the_time_asked_for_is_reported(log: UsageLog) -> None:
    log.write([hit(at=NOW - 3 * DAY), hit(at=NOW - 60)])
    assert usage_of(log, since=DAY).hits == 1
    assert usage_of(log, since=4 * DAY).hits == 2
    assert report(log, DAY, NOW, "other").operations == []


def test_without_calls_there_is_no_hit_rate_and_no_file(log: UsageLog, path: Path) -> None:
    usage = report(log, DAY, NOW)
    assert (usage.operations, usage.total.hit_rate, usage.total.ttl_seconds) == ([], None, None)
    assert operations_in(log) == []
    assert of_key(log, key(1)) is None
    assert keys_of_scopes(log, [b"x"]) == set()
    assert (log.count(Selection(everything=True)), log.erase(Selection(everything=True))) == (0, 0)
    assert log.write([])
    assert not path.exists()


def test_ages_at_hit_are_counted_in_tenths_of_the_ttl(log: UsageLog) -> None:
    log.write([hit(age=0), hit(age=9.9), hit(age=10), hit(age=55), hit(age=99.9), hit(age=150), hit(ttl=0)])
    usage = usage_of(log)
    assert usage.ages == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert usage.half_ttl_loses == 3
    assert usage.ttl_seconds == 100


@pytest.mark.parametrize(
    ("after", "bucket"), [(0, 0), (24, 0), (25, 1), (49, 1), (99, 2), (100, 3), (399, 4), (400, 5), (9999, 5)]
)
def test_a_repeated_miss_is_counted_by_the_time_since_its_entry_ended(log: UsageLog, after: float, bucket: int) -> None:
    log.write([stored(at=NOW, ttl=100)])
    log.write([miss(at=NOW + 100 + after)])
    usage = report(log, DAY, NOW + 1000).operations[0]
    assert usage.gaps == [int(number == bucket) for number in range(6)]
    assert usage.double_ttl_gains == (1 if after < 100 else 0)
    assert usage.cut_short == 0


def test_a_miss_before_the_entrys_end_is_no_matter_of_the_ttl(log: UsageLog) -> None:
    log.write([stored(at=NOW, ttl=100), miss(at=NOW + 50)])
    usage = usage_of(log)
    assert (usage.cut_short, sum(usage.gaps), usage.double_ttl_gains) == (1, 0, 0)


def test_a_first_miss_tells_nothing_about_the_ttl(log: UsageLog) -> None:
    log.write([miss(), miss(2)])
    usage = usage_of(log)
    assert (usage.misses, usage.cut_short, sum(usage.gaps)) == (2, 0, 0)


def test_a_hit_tells_when_an_entry_was_loaded_that_this_log_never_saw(log: UsageLog) -> None:
    log.write([hit(at=NOW, age=90, ttl=100)])
    log.write([miss(at=NOW + 20)])
    assert usage_of(log).gaps == [1, 0, 0, 0, 0, 0]


def test_most_used_keys_come_first_with_their_recorded_parameters(log: UsageLog) -> None:
    log.write([stored(1, recorded={"symbol": "AAPL", "days": 5}), hit(1), hit(1), stored(2), hit(3, operation="other")])
    first, second = frequent(log, "quote", 5)
    assert (first.key, first.hits, first.loads) == (key(1).hex(), 2, 1)
    assert (first.parameters, first.complete) == ({"symbol": "AAPL", "days": 5}, True)
    assert (second.parameters, second.complete) == (None, False)
    assert len(frequent(log, None, 5)) == 3
    assert len(frequent(log, None, 1)) == 1


def test_the_nearest_keys_differ_in_the_fewest_parameters(log: UsageLog) -> None:
    calls = [{"symbol": "AAPL", "days": 5}, {"symbol": "AAPL", "days": 6}, {"symbol": "IBM", "days": 6, "full": True}]
    log.write(
        [stored(number, at=NOW + number, material=canonical(call)) for number, call in enumerate(calls)]
        + [stored(9, operation="other", material=canonical(calls[0])), hit(8)]
    )
    near = nearest(log, like({"symbol": "AAPL", "days": 5}), key(100))
    assert [(other.key, other.differing) for other in near] == [
        (key(0).hex(), []),
        (key(1).hex(), ["days"]),
        (key(2).hex(), ["days", "full", "symbol"]),
    ]
    assert nearest(log, like(calls[0]), key(0), count=1)[0].key == key(1).hex()


def test_where_no_parameter_differs_the_scope_does_or_what_the_log_does_not_know(log: UsageLog) -> None:
    call: dict[str, object] = {"symbol": "AAPL"}
    ann, bob = digest_of_scope("ann"), digest_of_scope("bob")
    log.write(
        [stored(1, material=canonical(call), scope=ann), stored(2, material=canonical({"symbol": "IBM"}), scope=ann)]
    )
    unknown = ["version", "namespace", "credentials", "http policy"]
    for scope, otherwise in ((ann, unknown), (bob, ["scope"]), (None, ["scope"])):
        same, other = nearest(log, like(call, scope), key(100))
        assert (same.differing, same.otherwise) == ([], otherwise)
        assert (other.differing, other.otherwise) == (["symbol"], [])


def test_parameters_are_kept_for_those_who_opt_in_alone(log: UsageLog, path: Path) -> None:
    log.write([stored(1, material=canonical({"note": "visible-nowhere"}))])
    log.write([stored(2, recorded={"note": "visible-here"})])
    log.close()
    content = bytes_beside(path)
    assert b"visible-nowhere" not in content
    assert b"visible-here" in content


def test_a_planted_secret_is_nowhere_in_the_file(log: UsageLog, path: Path) -> None:
    recorded = {
        "api_key": SECRET,
        "headers": {"Authorization": SECRET, "Accept": "text/plain"},
        "nested": [{"password": SECRET}],
        "value": f"Bearer {SECRET}",
        "url": f"https://user:{SECRET}@api.example.com/v1?token={SECRET}&page=2",
        "page": 2,
    }
    log.write([stored(1, material=canonical(recorded), recorded=recorded, scope=digest_of_scope(SECRET))])
    kept = frequent(log, "quote", 1)[0]
    log.close()
    assert SECRET.encode() not in bytes_beside(path)
    assert kept.parameters == {
        "api_key": "REDACTED",
        "headers": {"Authorization": "REDACTED", "Accept": "text/plain"},
        "nested": [{"password": "REDACTED"}],
        "value": "REDACTED",
        "url": "https://api.example.com/v1?token=REDACTED&page=2",
        "page": 2,
    }
    assert not kept.complete


def test_the_file_is_its_owners_alone_and_no_source_code(log: UsageLog, path: Path) -> None:
    old = os.umask(0)
    try:
        assert log.write([hit()])
    finally:
        os.umask(old)
    files = list(path.parent.glob("usage.db*"))
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (path.parent / ".gitignore").read_text() == "/.gitignore\n/usage.db*\n"


def test_a_file_that_others_could_read_is_closed_to_them(log: UsageLog, path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    (path.parent / ".gitignore").write_text("own\n")
    assert log.write([hit()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (path.parent / ".gitignore").read_text() == "own\n"


def test_a_locked_log_loses_events_and_raises_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = UsageLog(path, clock=ManualClock(NOW), busy_seconds=0.01)
    assert log.write([hit()])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING, "apicache"):
        assert not log.write([hit(), hit()])
        assert not log.write([hit()])
    assert (log.lost, len(caplog.records)) == (3, 1)
    with pytest.raises(InputError, match="locked"):
        report(log, DAY, NOW)
    holder.rollback()
    holder.close()
    assert log.write([hit()])
    assert usage_of(log).hits == 2
    log.close()


def test_a_folder_of_the_users_keeps_its_mode(log: UsageLog, path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o755)
    assert log.write([hit()])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert (path.parent / ".gitignore").read_text() == "/.gitignore\n/usage.db*\n"


def test_a_damaged_log_loses_events_and_raises_nothing(log: UsageLog, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    assert not log.write([hit()])
    assert log.lost == 1
    with pytest.raises(InputError, match=r"is damaged .*; delete it"):
        report(log, DAY, NOW)
    path.unlink()
    assert log.write([hit()])


def test_a_log_damaged_while_it_is_open_raises_nothing(log: UsageLog, path: Path) -> None:
    log.write([hit(number) for number in range(2000)])
    log.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    assert not log.write([hit()])
    with pytest.raises(InputError, match="damaged"):
        frequent(log, "quote", 3)


def test_a_log_that_cannot_be_opened_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not UsageLog(tmp_path / "file" / "usage.db").write([hit()])
    (tmp_path / "target").touch()
    (tmp_path / "usage.db").symlink_to(tmp_path / "target")
    assert not UsageLog(tmp_path / "usage.db").write([hit()])
    assert (tmp_path / "target").read_bytes() == b""


def test_a_log_of_another_format_is_left_alone(log: UsageLog, path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert not log.write([hit()])
    with pytest.raises(InputError, match="format 99"):
        operations_in(log)


def test_events_that_make_no_sense_raise_nothing(log: UsageLog) -> None:
    assert not log.write([hit(at=float("nan"))])
    assert not log.write([Event(at=NOW, kind="unheard-of", operation="o", key=key(1))])  # type: ignore[arg-type]
    assert log.write([hit()])


def test_a_removed_folder_is_made_again(log: UsageLog, path: Path) -> None:
    assert log.write([hit()])
    shutil.rmtree(path.parent)
    assert log.write([hit()])
    assert usage_of(log).hits == 1


def test_what_is_past_its_retention_goes(path: Path) -> None:
    clock = ManualClock(NOW)
    log = UsageLog(path, retention_seconds=10 * DAY, clock=clock)
    log.write([stored(1), hit(1)])
    clock.advance(11 * DAY)
    log.close()
    later = UsageLog(path, retention_seconds=10 * DAY, clock=clock)
    later.write([stored(2, at=clock.now())])
    assert of_key(later, key(1)) is None
    assert of_key(later, key(2)) is not None
    assert report(later, 100 * DAY, clock.now()).total.hits == 0
    later.close()


def test_past_the_bound_the_least_recently_used_rows_go(path: Path) -> None:
    log = UsageLog(path, max_rows=100, clock=ManualClock(NOW))
    for number in range(300):
        assert log.write([stored(number, at=NOW + number)])
        assert log.count(Selection(everything=True)) <= 101
    assert of_key(log, key(0)) is None
    assert of_key(log, key(299)) is not None
    log.close()


def test_counters_are_bounded_too(path: Path) -> None:
    log = UsageLog(path, max_rows=100, clock=ManualClock(NOW))
    for number in range(300):
        log.write([miss(operation=f"o{number}", at=NOW + number * 3600)])
    assert log.count(Selection(everything=True)) <= 101
    assert "o299" in operations_in(log)
    log.close()


def test_erased_rows_leave_nothing_in_the_file(log: UsageLog, path: Path) -> None:
    log.write([stored(1, recorded={"note": "to-be-forgotten"}), stored(2, recorded={"note": "to-be-kept"})])
    assert log.count(Selection(keys=[key(1), key(7)])) == 1
    assert log.erase(Selection(keys=[key(1), key(7)])) == 1
    assert b"to-be-forgotten" not in bytes_beside(path)
    assert frequent(log, None, 5)[0].parameters == {"note": "to-be-kept"}
    assert log.erase(Selection(keys=[key(1)])) == 0


def test_rows_are_erased_by_scope_operation_and_prefix(log: UsageLog) -> None:
    ann, bob = digest_of_scope("ann"), digest_of_scope("bob")
    assert ann is not None
    log.write(
        [
            stored(1, scope=ann),
            stored(2, scope=bob),
            stored(3, operation="user.read"),
            stored(4, operation="user.list", scope=ann),
            stored(5, operation="use"),
        ]
    )
    assert keys_of_scopes(log, [ann]) == {key(1), key(4)}
    assert log.count(Selection(scopes=[ann], prefixes=["user."])) == 3
    assert log.erase(Selection(scopes=[ann])) == 2
    assert log.erase(Selection(prefixes=["user."])) == 1
    assert log.erase(Selection(operations=["quote"])) == 1
    assert usage_of(log).stored == 2  # counters tell of no one call: they stay
    assert log.erase(Selection(everything=True)) == 1 + 4
    assert operations_in(log) == []
