"""Runs held against each other, on blocks that are drawn: what differs is known."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_scenarios.reporting.bootstrap import _t_quantile
from apicache_scenarios.reporting.comparison import Limits, as_json, compare
from apicache_scenarios.reporting.comparison_words import as_markdown, as_text

_spec = importlib.util.spec_from_file_location("made_results", Path(__file__).with_name("made_results.py"))
made_results = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_results)
result = made_results.result


def verdicts(found, arm="cached"):
    return {each.metric: each.verdict for each in found.metrics if each.arm == arm}


def reasons(found):
    return {reason for each in found.metrics for reason in each.reasons}


def test_a_run_and_itself_show_no_difference():
    found = compare(result(1), result(1))
    assert set(verdicts(found).values()) == {"no difference shown"}
    assert all(each.low == each.high == 0 for each in found.metrics)


def test_a_slower_run_is_worse_and_a_faster_one_better():
    assert verdicts(compare(result(1), result(2, slower=1.6)))["p95_ms"] == "worse"
    assert verdicts(compare(result(1), result(2, slower=0.6)), "direct")["p50_ms"] == "better"


def test_fewer_hits_are_worse_whatever_they_cost_in_time():
    found = verdicts(compare(result(1, hits=160), result(2, hits=150)))
    assert (found["hit_rate"], found["calls_per_request"]) == ("worse", "worse")


def test_calls_where_there_were_none_are_worse():
    found = verdicts(compare(result(1, hits=195), result(2, hits=180)))
    assert found["calls_per_request"] == "worse"


def test_errors_are_worse():
    assert verdicts(compare(result(1), result(2, errors=9)))["errors.rate"] == "worse"


def test_equal_runs_whose_requests_depend_on_their_blocks_are_seldom_told_apart():
    """Drift makes the requests of one block alike: they are no independent samples, the blocks are."""
    told = Counter(
        each.verdict
        for seed in range(0, 24, 2)
        for each in compare(
            result(seed, requests=60, hits=40, drift=0.3), result(seed + 1, requests=60, hits=40, drift=0.3)
        ).metrics
        if each.metric in ("p50_ms", "p95_ms")
    )
    assert told.total() == 48
    assert told["no difference shown"] >= 43


def test_another_machine_forbids_times_and_allows_counts():
    found = compare(result(1), result(2, cpu="another"))
    assert verdicts(found)["p50_ms"] == "not comparable"
    assert verdicts(found)["hit_rate"] == "no difference shown"
    assert reasons(found) == {"other machine, cpu: a processor and another"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"seed": 7}, "other seed: 42 and 7"),
        ({"population": 7}, "other population: 100 and 7"),
        ({"executor": "constant-vus"}, "other executor: constant-arrival-rate and constant-vus"),
    ],
)
def test_other_work_forbids_everything(changed, reason):
    after = result(2)
    after.environment.update(changed)
    found = compare(result(1), after)
    assert set(verdicts(found).values()) == {"not comparable"}
    assert reasons(found) == {reason}
    assert not found.is_possible


def test_a_report_without_blocks_is_not_comparable_and_the_remedy_is_named():
    found = compare(result(1), made_results.without_blocks(result(2)))
    assert reasons(found) == {"run B has no blocks; save it with --save, not with --format json"}


def test_few_blocks_say_nothing():
    found = compare(result(1, rounds=3), result(2, rounds=3))
    assert set(verdicts(found).values()) == {"not comparable"}
    assert "run A has 3 blocks, fewer than 5" in reasons(found)


def test_other_versions_and_a_busy_machine_are_told_and_forbid_nothing():
    found = compare(result(1), result(2, versions={"apicache-toolkit": "2"}, load_average=[9.0, 1, 1]))
    assert found.is_possible
    assert found.notes == (
        "Run B began on a busy machine: load average 9 on 2 CPUs.",
        "apicache-toolkit: 1 in A, 2 in B.",
    )


def test_the_same_files_give_the_same_intervals():
    before, after = result(1), result(2)
    assert as_json(compare(before, after)) == as_json(compare(before, after))


def test_a_change_within_the_tolerance_is_none():
    before, after = result(1, drift=0.0), result(1, drift=0.0, slower=1.2)
    assert verdicts(compare(before, after))["p50_ms"] == "worse"
    assert verdicts(compare(before, after, Limits(times=0.5)))["p50_ms"] == "no difference shown"


@pytest.mark.parametrize("limits", [{"confidence": 1.0}, {"times": -1.0}])
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(InputError, match="not usable"):
        Limits(**limits)


def test_the_comparison_is_told_in_text_json_and_markdown():
    found = compare(result(1), result(2, slower=1.6, cpu="another"))
    assert "Not comparable, 8 metrics: other machine, cpu: a processor and another." in as_text(found)
    assert as_markdown(found).count("\n| ") == 2 + 14
    document = json.loads(as_json(found))
    assert document["schema"] == 1
    assert {each["pass"] for each in document["metrics"]} == {"warm"}


@pytest.mark.parametrize(("freedom", "expected"), [(4, 2.776), (9, 2.262), (30, 2.042)])
def test_the_t_quantile_is_the_tables(freedom, expected):
    assert _t_quantile(0.975, freedom) == pytest.approx(expected, abs=0.003)
