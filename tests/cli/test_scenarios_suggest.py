"""`apicache scenarios suggest`: what it writes, what stays out of it, and what a backtest prints."""

import json
import time

import pytest
from typer.testing import CliRunner

from apicache import UnifiedAPICache
from apicache.usage.log import UsageLog
from apicache.usage.usage import Event
from apicache_cli.app import app
from apicache_scenarios.format.loading import load_scenarios
from apicache_scenarios.prediction.synthetic import Traffic, synthetic

SECRET = "sk-planted-0123456789abcdef"
DAY = 86_400.0

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def suggest():
    def run(*arguments):
        return CliRunner().invoke(app, ["scenarios", "suggest", *arguments])

    return run


def loaded(number, at, **recorded):
    key = number.to_bytes(32, "big")
    return [
        Event(at=at, kind="miss", operation="quote", key=key, seconds=2.0, cost=0.01),
        Event(
            at=at, kind="stored", operation="quote", key=key, ttl=DAY, seconds=2.0, cost=0.01, recorded=recorded or None
        ),
    ]


def hit(number, at):
    return Event(at=at, kind="hit", operation="quote", key=number.to_bytes(32, "big"), ttl=DAY, seconds=2.0, cost=0.01)


@pytest.fixture
def used(log):
    now = time.time()
    log.write(
        [
            *loaded(1, now - 7_200, symbol="AAPL", days=5),
            *loaded(2, now - 7_100, symbol="IBM", days=5),
            *loaded(3, now - 7_000, symbol="SAP", token=SECRET),
            *loaded(4, now - 6_900),
            *(hit(1, now - 600 + place) for place in range(6)),
        ]
    )
    return log


@pytest.fixture
def traffic(log):
    made = synthetic(Traffic(drift=0.1, seed=1, days=8, population=200, requests_a_day=1_000)).history
    start, seen, events = time.time() - 8 * DAY, set(), []
    for at, call in zip(made.uses.at.tolist(), made.uses.calls.tolist(), strict=True):
        events += [hit(call, start + at)] if call in seen else loaded(call, start + at, symbol=f"S{call}", days=1)
        seen.add(call)
    log.write(events)
    return log


def operations():
    cache = UnifiedAPICache.create()

    @cache.operation("quote")
    def quote(symbol: str, days: float) -> str:
        return symbol

    return cache.operations


def test_the_best_calls_are_written_with_the_reasons_and_load_back(suggest, used, project):
    done = suggest("--output", "warm.yaml")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "warm.yaml: 2 calls" in done.stderr
    assert "2 keys passed over" in done.stderr
    text = (project / "warm.yaml").read_text(encoding="utf-8")
    assert "7 uses, the last " in text
    assert "% likely, expected to save $0.01" in text
    cases = load_scenarios([project / "warm.yaml"], operations())
    assert [dict(case.params) for case in cases] == [{"symbol": "AAPL", "days": 5.0}, {"symbol": "IBM", "days": 5.0}]
    assert list(project.glob(".warm*")) == []


def test_without_output_the_file_goes_to_stdout_alone(suggest, used):
    done = suggest("--top", "1")
    assert done.exit_code == 0
    assert done.stdout.startswith("# 1 call")
    assert done.stdout.count("- operation:") == 1


def test_no_secret_is_ever_in_it(suggest, used):
    done = suggest("--min-uses", "1")
    assert SECRET not in done.output
    assert "SAP" not in done.output
    assert "REDACTED" not in done.output


def test_a_log_elsewhere_can_be_named(suggest, tmp_path):
    log = UsageLog(tmp_path / "other.db")
    log.write(loaded(1, time.time() - 60, symbol="AAPL", days=1))
    log.close()
    done = suggest("--usage", "other.db")
    assert "AAPL" in done.stdout
    missing = suggest("--usage", "none.db")
    assert missing.exit_code == 2
    assert "no usage log 'none.db'" in missing.stderr


def test_a_backtest_stands_beside_count_oracle_and_nothing(suggest, traffic):
    done = suggest("--backtest", "--top", "20")
    assert done.exit_code == 0
    for row in ("this ranking", "most used", "oracle (knows the future)", "no warming"):
        assert row in done.stdout
    assert "of the way from the most used calls to the oracle" in done.stdout
    assert "chosen on the days before: " in done.stdout


def test_a_backtest_as_json_has_what_is_documented(suggest, traffic):
    found = json.loads(suggest("--backtest", "--top", "20", "--format", "json").stdout)
    assert found["schema"] == 1
    assert [outcome["ranking"] for outcome in found["outcomes"]] == ["predicted", "count", "oracle", "nothing"]
    ours, count, oracle, nothing = found["outcomes"]
    assert 0 == nothing["coverage"] < count["coverage"] <= ours["coverage"] <= oracle["coverage"] <= 1
    assert set(ours) == {"ranking", "warmed", "used", "precision", "coverage", "spent_usd", "wasted_usd"}
    assert found["requests_before"] + found["requests_after"] == 8_000
    assert set(found) >= {"begin", "split", "end", "top", "model", "gap_closed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backtest", "--output", "x.yaml"], "--backtest writes no scenarios"),
        (["--format", "json"], "scenarios are YAML"),
        (["--horizon", "0s"], "is no time"),
        (["--since", "yesterday"], "'yesterday'"),
        (["--backtest"], "requests are too few to be split"),
    ],
)
def test_bad_input_exits_2(suggest, used, arguments, message):
    done = suggest(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_without_calls_it_says_what_to_do(suggest, log):
    done = suggest()
    assert done.exit_code == 2
    assert "holds no calls of that time; run the application with its usage log on" in done.stderr
    log.write(loaded(4, time.time()))
    assert "add record=True to the operations" in suggest().stderr
