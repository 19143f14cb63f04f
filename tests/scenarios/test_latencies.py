from hypothesis import given
from hypothesis import strategies as st

from apicache_scenarios.latencies import Latencies, LatencySummary, nearest_rank

seconds = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def recorded(samples):
    latencies = Latencies()
    for sample in samples:
        latencies.record(sample)
    return latencies


@given(st.lists(seconds, min_size=1))
def test_percentiles_never_fall_and_never_pass_the_maximum(samples):
    summary = recorded(samples).summary()
    assert summary.p50_ms <= summary.p95_ms <= summary.p99_ms <= summary.max_ms == max(samples) * 1000


@given(st.lists(seconds, min_size=1), st.integers(min_value=1, max_value=100))
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(samples, percent):
    def covers(value):
        return 100 * sum(sample <= value for sample in samples) >= percent * len(samples)

    found = nearest_rank(sorted(samples), percent)
    assert found == min(sample for sample in samples if covers(sample))


def test_the_percentiles_of_one_to_hundred_are_their_own_numbers():
    summary = recorded(number / 1000 for number in range(100, 0, -1)).summary()
    assert summary == LatencySummary(p50_ms=50.0, p95_ms=95.0, p99_ms=99.0, max_ms=100.0)


def test_without_samples_there_are_no_figures():
    assert Latencies().summary() == LatencySummary(p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
