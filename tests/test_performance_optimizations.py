"""The source document's performance test, "Step 5: Validate Performance": its three expectations, measured.

    python tests/test_performance_optimizations.py

prints them; under pytest the same run is held against them. The upstream is embedded, its answers take about 100 ms.
"""

import sys

import pytest

from apicache_scenarios.load.default_run import run_default
from apicache_scenarios.load.result import BenchResult
from apicache_scenarios.load.settings import BenchSettings

pytestmark = pytest.mark.xdist_group("performance")  # they look at one run

# A small run: the figures are far from the bounds, whatever else the machine does.
SETTINGS = BenchSettings(requests=600, direct_calls=100, population=100, concurrency=16)
EXPECTED_HIT_RATE = 0.5
EXPECTED_REDUCTION = 0.5
EXPECTED_SPEEDUP = 100.0


def lines(result: BenchResult) -> list[str]:
    """What the source document expects to see."""
    hit_rate = result.arms["cached"].hit_rate
    reduction = result.api_call_reduction or 0.0
    speedup = result.speedup_hit_p50 or 0.0
    return [
        f"Cache hit rate: {hit_rate:.1%} (expected >50%)",
        f"API reduction: {reduction:.1%} (expected >50%)",
        f"Response time improvement: {speedup:,.0f}x for cached (expected >100x)",
    ]


@pytest.fixture(scope="module")
def result() -> BenchResult:
    return run_default(SETTINGS)


def test_the_cache_hit_rate_is_above_half(result: BenchResult) -> None:
    assert result.arms["cached"].hit_rate > EXPECTED_HIT_RATE


def test_more_than_half_of_the_api_calls_are_saved(result: BenchResult) -> None:
    assert result.api_call_reduction is not None
    assert result.api_call_reduction > EXPECTED_REDUCTION


def test_cached_responses_are_more_than_a_hundred_times_faster(result: BenchResult) -> None:
    # 100 ms against some 10 µs: a machine would have to be a hundred times slower for this to hang on its speed.
    assert result.speedup_hit_p50 is not None
    assert result.speedup_hit_p50 > EXPECTED_SPEEDUP


def test_every_request_is_answered(result: BenchResult) -> None:
    assert result.errors == 0


def test_the_script_prints_what_the_source_document_expects(result: BenchResult) -> None:
    hit_rate, reduction, improvement = lines(result)
    assert hit_rate.startswith("Cache hit rate: ")
    assert reduction.startswith("API reduction: ")
    assert improvement.startswith("Response time improvement: ")


def main() -> int:
    """Print the three figures; 1 when one is not as expected."""
    result = run_default(SETTINGS)
    print("\n".join(lines(result)))  # noqa: T201 - a script
    as_expected = (
        result.arms["cached"].hit_rate > EXPECTED_HIT_RATE
        and (result.api_call_reduction or 0.0) > EXPECTED_REDUCTION
        and (result.speedup_hit_p50 or 0.0) > EXPECTED_SPEEDUP
        and result.errors == 0
    )
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
