"""`apicache stats`: the table, the target, what another TTL would have done, and the documented JSON."""

import json
import time

import msgspec
import pytest
from typer.testing import CliRunner

from apicache.entry import Entry
from apicache.usage.usage import Event
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
def stats():
    def run(*arguments):
        return CliRunner().invoke(app, ["stats", *arguments], catch_exceptions=False)

    return run


def hit(number=1, **changes):
    return Event(at=time.time(), kind="hit", operation="quote", key=key(number), ttl=3600.0, **changes)


@pytest.fixture
def used(log):
    log.write(
        [
            Event(at=time.time() - 5000, kind="stored", operation="quote", key=key(1), ttl=3600.0),
            Event(at=time.time(), kind="miss", operation="quote", key=key(1), seconds=2.0, cost=0.25),
            stored(1, recorded={"symbol": "AAPL", "api_key": "planted-secret"}),
            *(hit(age=360.0 * tenth + 1, seconds=2.0, cost=0.25) for tenth in (0, 1, 8)),
            Event(at=time.time(), kind="miss", operation="user.read", key=key(2)),
            Event(at=time.time() - 40 * 86400, kind="miss", operation="ancient", key=key(3)),
        ]
    )
    return log


def test_the_json_has_what_is_documented(stats, used):
    done = stats("--format=json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (found["schema"], found["target_hit_rate"]) == (1, 0.7)
    assert [operation["operation"] for operation in found["operations"]] == ["quote", "user.read"]
    quote, total = found["operations"][0], found["total"]
    assert (quote["calls"], quote["hits"], quote["misses"], quote["hit_rate"]) == (4, 3, 1, 0.75)
    assert (quote["saved_seconds"], quote["saved_cost"], quote["spent_cost"]) == (6.0, 0.75, 0.25)
    assert (quote["ages"], quote["ttl_seconds"]) == ([1, 1, 0, 0, 0, 0, 0, 0, 1, 0], 3600.0)
    assert (quote["double_ttl_gains"], quote["half_ttl_loses"]) == (1, 1)
    assert (total["calls"], total["hit_rate"]) == (5, 0.6)
    assert found["frequent"] == []


def test_the_text_holds_the_hit_rate_against_the_target(stats, used):
    text = stats().stdout
    assert "the hit rate of 60.0% is below the target of 70%" in text
    assert "3 calls spared in the last 7 d: 6 s of waiting and $0.75 saved, $0.25 spent" in text
    assert (
        "quote: ttl 1 h, median age at hit 10 to 20% of it; twice the ttl would have answered 1 more of 1 repeated "
        "miss; half of it would have lost at most 1 hit" in text
    )
    assert "reaches the target" in stats("--operation=quote").stdout


def test_columns_have_the_names_of_the_json(stats, used):
    used.write([Event(at=time.time(), kind="coalesced", operation="quote", key=key(1))])
    header = next(line for line in stats().stdout.splitlines() if "hit rate" in line)
    assert "coalesced" in header
    assert "shared" not in header


def test_one_operation_alone(stats, used):
    found = json.loads(stats("--operation=user.read", "--format=json").stdout)
    assert [operation["operation"] for operation in found["operations"]] == ["user.read"]
    assert found["total"]["hit_rate"] == 0.0


def test_most_used_keys_show_what_was_recorded_without_secrets(stats, used):
    text = stats("--frequent=1").stdout
    assert key(1).hex() in text
    assert '{"symbol":"AAPL","api_key":"REDACTED"}' in text
    assert "planted-secret" not in text + stats("--frequent=5", "--format=json").stdout


def test_without_calls_it_says_so_and_leaves_no_file(stats, project):
    done = stats()
    assert (done.exit_code, done.stdout) == (0, "no calls recorded in the last 7 d\n")
    found = json.loads(stats("--format=json").stdout)
    assert (found["operations"], found["total"]["hit_rate"]) == ([], None)
    assert [path.name for path in project.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since=yesterday"], "the duration 'yesterday' is not understood"),
        (["--operation=qoute"], "no recorded call of operation 'qoute'; did you mean 'quote'?"),
    ],
)
def test_bad_input_exits_2(stats, used, arguments, message):
    done = stats(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_damaged_log_exits_2_and_says_what_to_do(stats, log):
    log.path.parent.mkdir()
    log.path.write_bytes(b"this is no database" * 100)
    done = stats()
    assert done.exit_code == 2
    assert "is damaged" in done.stderr
    assert "delete it" in done.stderr
