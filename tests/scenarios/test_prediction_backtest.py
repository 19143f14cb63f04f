"""The backtest: what it tells, that it sees nothing of what it predicts, and what it comes to on seeded traces."""

import math
import statistics

import msgspec
import numpy as np
import pytest

from apicache.errors import InputError
from apicache_scenarios.prediction.backtest import backtest, gap_closed
from apicache_scenarios.prediction.history import History, Uses
from apicache_scenarios.prediction.ranking import predict
from apicache_scenarios.prediction.synthetic import Traffic, synthetic

DAY = 86_400.0


def small(**changes):
    options = {"drift": 0.1, "seed": 1, "days": 8, "population": 300, "requests_a_day": 3_000, **changes}
    return synthetic(Traffic(**options))


def test_a_seed_gives_the_same_trace_and_another_one_another():
    first, same, other = small().history.uses, small().history.uses, small(seed=2).history.uses
    assert first.calls.tolist() == same.calls.tolist()
    assert first.calls.tolist() != other.calls.tolist()
    assert np.all(np.diff(first.at) >= 0)


def test_the_trace_follows_zipfs_law_and_replaces_a_share_a_day():
    still = small(drift=0.0, requests_a_day=30_000).history.uses
    counts = np.sort(still.counts())[::-1]
    assert counts[0] / counts[9] == pytest.approx(10**0.99, rel=0.15)
    moving = small(drift=0.2)
    kept = [len(set(row) & set(later)) / 300 for row, later in zip(moving.ranked, moving.ranked[24:], strict=False)]
    assert statistics.mean(kept) == pytest.approx(0.8, abs=0.02)
    at_midnight = small(drift=0.2, changes=1)
    assert len(at_midnight.ranked) == 8
    assert at_midnight.most_popular(DAY, 300).tolist() == at_midnight.ranked[0].tolist()
    assert at_midnight.most_popular(DAY + 1, 300).tolist() == at_midnight.ranked[1].tolist()


def test_the_outcomes_stand_beside_each_other():
    found = backtest(small().history, top=30)
    ours, count, oracle, nothing = found.outcomes
    assert [outcome.ranking for outcome in found.outcomes] == ["predicted", "count", "oracle", "nothing"]
    assert 0 == nothing.coverage < count.coverage < ours.coverage < oracle.coverage < 1
    assert (nothing.precision, nothing.warmed, oracle.precision, oracle.wasted_usd) == (None, 0, 1.0, 0.0)
    assert ours.precision is not None
    assert ours.wasted_usd == pytest.approx(0.01 * (ours.warmed - ours.used))
    assert ours.spent_usd == pytest.approx(0.01 * 30)
    assert found.end - found.split == pytest.approx(DAY)
    assert found.requests_before + found.requests_after == 24_000
    assert found.gap_closed == gap_closed(ours.coverage, count.coverage, oracle.coverage)


def test_nothing_of_the_second_part_is_used():
    history = small().history
    found = backtest(history, top=30)
    before = history.uses.between(-math.inf, found.split)
    changed = tuple(
        msgspec.structs.replace(call, cost=99.0, ttl=1.0, seconds=99.0) if call.loaded_at >= found.split else call
        for call in history.calls
    )
    whole = predict(history, found.split, top=30)
    part = predict(History(changed, before, 0), found.split, top=30)
    assert whole.best(30).tolist() == part.best(30).tolist()
    assert whole.model == part.model


def test_an_entry_answers_only_while_it_lives():
    history = small().history
    short = History(tuple(msgspec.structs.replace(call, ttl=3600.0) for call in history.calls), history.uses, 0)
    assert (
        backtest(short, top=30).outcome("oracle").coverage < 0.1 < backtest(history, top=30).outcome("oracle").coverage
    )


def test_of_a_short_trace_the_last_fifth_is_predicted():
    history = small().history
    begun = history.uses.between(0, DAY)
    found = backtest(History(history.calls, begun, 0), top=30)
    assert (found.end - found.split) / (found.end - found.begin) == pytest.approx(0.2)


def test_too_few_requests_are_refused():
    history = small().history
    few = Uses(history.uses.at[:5], history.uses.calls[:5], history.uses.total)
    with pytest.raises(InputError, match="5 requests are too few"):
        backtest(History(history.calls, few, 0), top=30)


def test_without_drift_the_ranking_is_no_worse_than_the_count():
    found = backtest(small(drift=0.0).history, top=30)
    assert found.outcome("predicted").coverage >= 0.99 * found.outcome("count").coverage
    assert gap_closed(0.5, 0.5, 0.5) is None


@pytest.mark.parametrize("drift", [0.05, 0.1, 0.2])
def test_half_of_the_gap_between_the_count_and_the_oracle_is_closed(drift):
    runs = [backtest(synthetic(Traffic(drift=drift, seed=seed)).history, top=200).gap_closed for seed in (1, 2, 3)]
    assert statistics.median(value for value in runs if value is not None) >= 0.5
