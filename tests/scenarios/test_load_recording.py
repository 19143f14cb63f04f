"""Latencies, folded into histograms, against HdrHistogram's own way of recording."""

from array import array

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from apicache_scenarios.load.recording import Histogram, Latencies, LatencySummary
from apicache_scenarios.load.result import packed, unpacked

HIGHEST = 3_600_000_000_000
nanoseconds = st.integers(min_value=1, max_value=HIGHEST)
samples = st.lists(nanoseconds, min_size=1)
patient = settings(deadline=None, max_examples=40)
"""HdrHistogram's own walk over its buckets takes 100 ms."""
percents = st.floats(min_value=0.1, max_value=100)


def folded(values):
    latencies = Latencies()
    for value in values:
        latencies.record(value)
    return latencies.histogram()


def recorded(values):
    """As HdrHistogram itself records them, one by one."""
    histogram = HdrHistogram(1, HIGHEST, 3)
    for value in values:
        histogram.record_value(value)
    return histogram


@patient
@given(samples)
def test_folding_is_recording_each_sample(values):
    reference = recorded(values)
    assert folded(values).encoded() == reference.encode().decode()


@patient
@given(samples, percents)
def test_percentiles_are_hdr_histograms_own(values, percent):
    reference = recorded(values)
    expected = min(reference.get_value_at_percentile(percent), reference.get_max_value()) / 1e6
    assert folded(values).percentile_ms(percent) == expected


@patient
@given(samples)
def test_the_mean_is_hdr_histograms_own(values):
    assert folded(values).summary().mean_ms == pytest.approx(recorded(values).get_mean_value() / 1e6)


@patient
@given(samples)
def test_percentiles_never_fall_and_never_pass_the_maximum(values):
    summary = folded(values).summary()
    ordered = (summary.p50_ms, summary.p90_ms, summary.p95_ms, summary.p99_ms, summary.p999_ms, summary.max_ms)
    assert list(ordered) == sorted(ordered)
    assert summary.count == len(values)
    assert summary.min_ms <= min(values) / 1e6
    assert max(values) / 1e6 <= summary.max_ms <= max(values) / 1e6 * 1.001


@patient
@given(st.lists(samples, max_size=5))
def test_merging_is_concatenation(lists):
    merged = Histogram.merged(folded(values) for values in lists)
    whole = folded([value for values in lists for value in values])
    assert merged.counts() == whole.counts()
    assert merged.summary() == whole.summary()


@patient
@given(samples)
def test_a_histogram_survives_being_sent(values):
    histogram = folded(values)
    again = Histogram.decoded(histogram.encoded())
    assert again.counts() == histogram.counts()
    assert again.summary() == histogram.summary()


def test_without_samples_there_are_no_figures():
    assert folded([]).summary() == LatencySummary()
    assert folded([]).percentile_ms(99) is None
    assert folded([]).counts() == []


def test_what_took_longer_than_an_hour_counts_as_an_hour():
    assert folded([10 * HIGHEST]).summary().max_ms == pytest.approx(HIGHEST / 1e6, rel=0.001)
    assert folded([0]).summary().count == 1


def test_counts_have_three_digits():
    for value in (1, 1_999, 123_456, 987_654_321):
        ((bucket, count),) = folded([value]).counts()
        assert count == 1
        assert value <= bucket <= value * 1.001


@patient
@given(st.lists(st.integers(min_value=-(2**63), max_value=2**63 - 1)))
def test_integers_survive_being_packed(values):
    assert unpacked(packed(values)) == array("q", values)
    assert unpacked(packed(array("q", values))) == array("q", values)
