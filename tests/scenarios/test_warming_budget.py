"""Budgets, estimates and dry runs."""

import asyncio
from pathlib import Path

import pytest

from apicache import UnifiedAPICache
from apicache.chain.parameters import DEFAULT_MAX_TOKENS
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.format.model import Budget, Case
from apicache_scenarios.warming.estimates import Estimates
from apicache_scenarios.warming.running import dry_run, run_warming
from apicache_scenarios.warming.spending import BudgetExceededError, Spending
from apicache_scenarios.warming.warmer import WarmOptions

TEN = "matrix: {n: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = UnifiedAPICache.create(directory=tmp_path / "cache", usage_log=True)
    cache.made = []

    @cache.operation("answer", cost=0.25)
    async def answer(n: int) -> int:
        cache.made.append(n)
        await asyncio.sleep(0)
        return n

    @cache.operation("chat")
    async def chat(prompt: str, model: str = "gpt-4o-mini", max_tokens: int = 100) -> str:
        cache.made.append(prompt)
        return prompt

    @cache.operation("broken", cost=0.25)
    async def broken(n: int) -> int:
        raise TimeoutError

    yield cache
    cache.close()


def files_of(cache, text):
    Path("faq.yaml").write_text(text)
    return list(load_checked([Path("faq.yaml")], cache.operations).values())


def warm(cache, text, **options):
    [(file, total)] = files_of(cache, text)
    return run_warming(
        cache, [file], WarmOptions(**options), total=total, directory=Path("cache"), on_progress=lambda _: None
    )


def ten(budget, operation="answer", defaults="{concurrency: 4}"):
    return f"""
version: 1
defaults: {defaults}
budget: {budget}
scenarios:
  - {{operation: {operation}, {TEN}, params: {{n: "${{{{ matrix.n }}}}"}}}}
"""


def test_no_call_is_made_past_the_budget_of_calls(cache):
    summary = warm(cache, ten("{calls: 4}")).summary
    assert len(cache.made) == summary.calls == summary.warmed == 4
    assert summary.not_run == 6
    assert summary.stopped == "the budget of 4 calls is used up"
    assert not summary.over_budget


def test_no_call_is_made_that_the_budget_of_dollars_might_not_cover(cache):
    summary = warm(cache, ten("{usd: 1.1}")).summary
    assert len(cache.made) == 4
    assert summary.cost == 1.0
    assert "$1.1000 would not cover a further call of up to $0.2500" in summary.stopped


def test_a_budget_may_count_as_a_failure(cache):
    assert warm(cache, ten("{calls: 1, on_exceed: error}")).summary.over_budget


def test_what_is_fresh_costs_nothing_of_the_budget(cache):
    warm(cache, ten("{calls: 10}"))
    summary = warm(cache, ten("{calls: 0}")).summary
    assert (summary.fresh, summary.calls, summary.stopped) == (10, 0, None)


def test_every_attempt_counts_as_a_call(cache):
    defaults = "{retries: {max: 2, backoff: constant, first: 0s}, concurrency: 1}"
    summary = warm(cache, ten("{calls: 7}", "broken", defaults)).summary
    assert summary.calls == 7
    assert summary.failed == 2
    assert summary.failures == {"TimeoutError": 2}


def test_calls_under_way_hold_what_they_may_cost():
    spending = Spending(Budget(usd=1.0))
    with spending.reserved(0.6) as first:
        with pytest.raises(BudgetExceededError, match=r"\$0\.6000 held by calls under way"), spending.reserved(0.6):
            pass
        first.cost = 0.1
    with spending.reserved(0.6):
        pass
    assert spending.usd == pytest.approx(0.7)


def test_a_call_that_was_not_made_gives_its_place_back():
    spending = Spending(Budget(calls=1))
    with spending.reserved(0.0) as reservation:
        reservation.is_made = False
    with spending.reserved(0.0):
        pass
    assert spending.calls == 1


def case(operation, **params):
    return Case(path=Path("x.yaml"), line=1, operation=operation, params=params)


def test_a_ceiling_is_the_policy_s_cost_or_comes_from_the_price_of_the_tokens(cache):
    estimates = Estimates(cache)
    assert estimates.of(case("answer", n=1)).ceiling == 0.25
    short, long = (estimates.of(case("chat", prompt="x" * size)).ceiling for size in (10, 10_000))
    assert 0 < short < long
    more = estimates.of(case("chat", prompt="x" * 10, max_tokens=1000)).ceiling
    assert more > short


def test_of_an_unknown_model_nothing_is_known(cache):
    assert Estimates(cache).of(case("chat", prompt="x", model="never-heard-of")).ceiling is None


def test_a_dry_run_makes_no_call_and_tells_what_there_would_be(cache):
    warm(cache, ten("{calls: 3}"))
    made = list(cache.made)
    [(file, _)] = files_of(cache, ten("{usd: 1.0}"))
    plan = dry_run(cache, [file], WarmOptions(), directory=Path("cache"))
    assert cache.made == made
    assert (plan.scenarios, plan.fresh, plan.calls) == (10, 3, 7)
    assert plan.ceiling == pytest.approx(1.75)
    assert not plan.within_budget
    assert plan.unknown == {}


def test_a_dry_run_tells_how_long_the_declared_rate_makes_it_take(cache):
    [(file, _)] = files_of(cache, ten("{}", defaults="{rate: 60/min}"))
    assert dry_run(cache, [file], WarmOptions(), directory=Path("cache")).seconds == 9.0


def test_an_answer_without_a_bound_is_estimated_at_what_the_built_in_operations_ask_for(cache):
    estimates = Estimates(cache)
    unbounded, bounded = (
        estimates.of(case("completion", prompt="x", model="gpt-4o-mini", max_tokens=bound)).ceiling
        for bound in (None, DEFAULT_MAX_TOKENS)
    )
    assert unbounded == bounded > 0
