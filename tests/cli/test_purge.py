"""`apicache purge`: a dry run changes nothing, --write forgets exactly what was named."""

import json
import time

import msgspec
import pytest
from typer.testing import CliRunner

from apicache.entry import Entry
from apicache.markers import Marker
from apicache.usage.usage import Event, Selection, digest_of_scope
from apicache_cli.app import app


def key(number):
    return number.to_bytes(32, "big")


def entry(**changes):
    now = time.time()
    plain = Entry("quote", "value", b"\x01", created=now - 60, fresh_until=now + 3600, expires=now + 7200)
    return msgspec.structs.replace(plain, **changes)


pytestmark = pytest.mark.usefixtures("project")


def stored(number, operation="quote", **changes):
    return Event(at=time.time(), kind="stored", operation=operation, key=key(number), ttl=3600.0, **changes)


@pytest.fixture
def purge():
    def run(*arguments):
        return CliRunner().invoke(app, ["purge", *arguments], catch_exceptions=False)

    return run


@pytest.fixture
def filled(disk, log):
    disk.set_many(
        {
            key(1): entry(tags=("user:1", "all")),
            key(2): entry(tags=("user:2",)),
            key(3): entry(operation="user.read"),
            key(4): entry(operation="user.list"),
        },
        time.time(),
    )
    log.write(
        [
            stored(1, scope=digest_of_scope("ann")),
            stored(2, scope=digest_of_scope(42)),
            stored(3, "user.read", scope=digest_of_scope("ann"), recorded={"name": "text-of-ann"}),
            stored(4, "user.list"),
            stored(9),
        ]
    )
    return disk


CASES = [
    (["--tag=user:1"], {1}, 1),
    (["--tag=user:1", "--tag=user:2"], {1, 2}, 2),
    (["--tag=nobody"], set(), 0),
    (["--operation=quote"], {1, 2}, 3),
    (["--prefix=user."], {3, 4}, 2),
    ([f"--key={key(2).hex()}"], {2}, 1),
    (["--subject=ann"], {1, 3}, 2),
    (["--scope=42"], {2}, 1),
    (["--scope=ann"], {1, 3}, 2),
    (["--tag=user:1", "--operation=user.list"], {1, 4}, 2),
    (["--all"], {1, 2, 3, 4}, 8),
]


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_counts_and_changes_nothing(purge, filled, log, case):
    arguments, concerned, rows = case
    before, rows_before = dict(filled.entries()), log.count(Selection(everything=True))
    done = purge(*arguments, "--format=json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["schema"], found["written"]) == (0, 1, False)
    (tier,) = found["tiers"]
    assert (tier["tier"], tier["entries"], tier["deleted"]) == ("disk", len(concerned), 0)
    assert found["usage_log"] == {"rows": rows, "erased": False, "error": None}
    assert dict(filled.entries()) == before
    assert list(filled.markers()) == []
    assert log.count(Selection(everything=True)) == rows_before


@pytest.mark.parametrize("case", CASES)
def test_with_write_exactly_what_was_named_is_forgotten(purge, filled, log, case):
    arguments, concerned, rows = case
    rows_before = log.count(Selection(everything=True))
    done = purge(*arguments, "--write", "--format=json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["written"], found["tiers"][0]["deleted"]) == (0, True, len(concerned))
    assert {int.from_bytes(left, "big") for left, _ in filled.entries()} == {1, 2, 3, 4} - concerned
    assert found["usage_log"] == {"rows": rows, "erased": True, "error": None}
    assert log.count(Selection(everything=True)) == rows_before - rows


def test_running_processes_are_told_by_markers(purge, filled):
    before = time.time()
    purge("--tag=user:1", "--operation=quote", "--prefix=user.", f"--key={key(2).hex()}", "--write")
    markers = {(marker.scope, marker.value): marker for marker in filled.markers()}
    assert set(markers) == {("tag", "user:1"), ("operation", "quote"), ("prefix", "user."), ("key", key(2).hex())}
    assert all(marker.gone_at >= before and marker.stale_at < 0 for marker in markers.values())
    purge("--all", "--write")
    assert ("all", "") in {(marker.scope, marker.value) for marker in filled.markers()}


@pytest.mark.parametrize("soft", [[], ["--soft"]])
def test_markers_are_later_than_those_of_a_clock_that_is_ahead(purge, filled, soft):
    ahead = time.time() + 1000
    filled.publish([Marker("tag", "other", gone_at=ahead)])
    assert purge("--tag=user:1", "--write", *soft).exit_code == 0
    (marker,) = [marker for marker in filled.markers() if marker.value == "user:1"]
    assert ahead < marker.at < ahead + 1


def test_the_keys_of_a_scope_are_told_by_markers(purge, filled):
    purge("--scope=ann", "--write")
    assert {(marker.scope, marker.value) for marker in filled.markers()} == {
        ("key", key(1).hex()),
        ("key", key(3).hex()),
    }


def test_a_soft_purge_keeps_entries_and_rows(purge, filled, log):
    before = time.time()
    rows = log.count(Selection(everything=True))
    assert purge("--operation=quote", "--soft", "--write").exit_code == 0
    (marker,) = filled.markers()
    assert marker == Marker("operation", "quote", stale_at=marker.stale_at)
    assert marker.stale_at >= before
    assert len(list(filled.entries())) == 4
    assert log.count(Selection(everything=True)) == rows


def test_what_is_recorded_of_a_scope_is_gone_from_the_file(purge, filled, log):
    purge("--scope=ann", "--write")
    content = b"".join(file.read_bytes() for file in log.path.parent.glob("usage.db*"))
    assert b"text-of-ann" not in content


def test_the_text_says_what_write_would_do(purge, filled):
    assert purge("--tag=user:1").stdout.splitlines() == [
        "disk: 1 entry concerned, 1 B",
        "usage log: 1 row concerned",
        (
            "nothing was changed; --write deletes these entries and their rows in the usage log, "
            "and running processes follow"
        ),
    ]
    assert purge("--tag=user:1", "--write").stdout.splitlines() == [
        "disk: 1 entry deleted, 1 B",
        "usage log: 1 row erased",
        "running processes follow",
    ]


def test_an_operation_without_entries_gets_the_close_names(purge, filled):
    done = purge("--operation=quotes")
    assert done.exit_code == 0
    assert "no entry is of operation 'quotes'; did you mean 'quote'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing is named; give --tag"),
        (["--write"], "nothing is named"),
        (["--key=abc"], "the key 'abc' is not understood"),
        ([f"--key={'g' * 64}"], "is not understood"),
    ],
)
def test_bad_input_exits_2(purge, filled, arguments, message):
    done = purge(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(list(filled.entries())) == 4


def test_without_a_shared_tier_there_is_nothing_to_purge(purge, monkeypatch):
    monkeypatch.setenv("APICACHE_TIERS", "memory")
    done = purge("--all")
    assert done.exit_code == 2
    assert "no tier that processes share can be used (tiers: memory)" in done.stderr


def test_a_tier_that_fails_exits_1_and_the_usage_rows_are_erased_even_so(purge, log):
    log.write([stored(1)])
    folder = log.path.parent / "entries"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"this is no database" * 100)
    done = purge("--operation=quote", "--write", "--format=json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["tiers"][0]["error"]
    assert found["usage_log"]["rows"] == 1


def test_a_damaged_usage_log_exits_1_and_the_tiers_are_purged_even_so(purge, disk, log):
    disk.set_many({key(1): entry()}, time.time())
    log.path.write_bytes(b"this is no database" * 100)
    done = purge("--all", "--write")
    assert done.exit_code == 1
    assert "is damaged" in done.stdout
    assert list(disk.entries()) == []
