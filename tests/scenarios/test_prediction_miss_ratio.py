"""Miss-ratio curves against an LRU cache that is run at each size."""

import random
from array import array
from collections import OrderedDict

import pytest

from apicache.errors import InputError
from apicache.usage.trace import Trace
from apicache_scenarios.prediction.miss_ratio import MissRatios, doubled, ratios_of


def misses(keys, size, *, times=None, ttl=None, units=None):
    """Those of an LRU cache; an entry that has ended keeps its place until it is loaded anew."""
    entries, missed, used = OrderedDict(), 0, 0
    for place, key in enumerate(keys):
        is_fresh = key in entries and (ttl is None or times[place] < entries[key] + ttl)
        if not is_fresh:
            missed += 1
            used += 0 if key in entries else units[key]
            entries[key] = times[place]
        entries.move_to_end(key)
        while used > size:
            gone, _ = entries.popitem(last=False)
            used -= units[gone]
    return missed


def traffic(seed):
    chance = random.Random(seed)  # noqa: S311 - a trace has no secrets
    keys = [min(int(chance.paretovariate(0.5)), 60) for _ in range(chance.randrange(1, 500))]
    return keys, sorted(chance.random() * 100 for _ in keys), {key: chance.randrange(1, 10) for key in range(1, 61)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ttl", [None, 5.0, 30.0])
def test_the_curve_is_that_of_an_lru_cache_run_at_each_size(seed, ttl):
    keys, times, _ = traffic(seed)
    curve = MissRatios(keys, times=times).curve(ttl)
    for size, ratio in zip(curve.sizes, curve.ratios, strict=True):
        expected = misses(keys, size, times=times, ttl=ttl, units=dict.fromkeys(keys, 1))
        assert round(ratio * len(keys)) == expected


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ttl", [None, 20.0])
def test_over_bytes_it_is_exact_for_caches_that_hold_the_largest_answer(seed, ttl):
    keys, times, units = traffic(seed)
    curve = MissRatios(keys, times=times, sizes=[units[key] for key in keys]).curve(ttl)
    largest = max(units[key] for key in keys)
    for size, ratio in zip(curve.sizes, curve.ratios, strict=True):
        if size >= largest:
            assert round(ratio * len(keys)) == misses(keys, size, times=times, ttl=ttl, units=units)


def test_the_largest_size_holds_every_key():
    curve = MissRatios(list("abcabcabd")).curve()
    assert (curve.sizes[-1], curve.ratios[-1]) == (4.0, pytest.approx(4 / 9))
    assert (curve.requests, curve.distinct, curve.footprint, curve.unit) == (9, 4, 4.0, "entries")
    assert curve.at(1_000) == curve.ratios[-1]
    assert curve.at(0) == 1.0


def test_a_ttl_makes_misses_that_no_memory_avoids():
    keys, times = ["a"] * 100, [float(second) for second in range(100)]
    ratios = MissRatios(keys, times=times)
    assert ratios.curve(10).ratios == (0.1,)
    assert ratios.curve(0.5).ratios == (1.0,)
    assert ratios.curve(1e9).ratios == ratios.curve().ratios == (0.01,)


def test_twice_the_memory_is_told_in_a_sentence():
    keys = [number % 4 for number in range(400)]
    curve = MissRatios(keys, sizes=[512] * 400).curve(points=200)
    found = doubled(curve, 1024)
    assert (found.hit_rate, found.gain) == (0.0, pytest.approx(0.99))
    assert str(found) == "double the memory (1.0 KiB to 2.0 KiB) for +99.0% hits (0.0% to 99.0%)"
    entries = doubled(MissRatios(keys).curve(points=200), 2)
    assert str(entries) == "double the memory (2 entries to 4 entries) for +99.0% hits (0.0% to 99.0%)"


def test_a_recorded_trace_has_a_curve_over_bytes_where_all_sizes_are_known():
    at, ids = array("d", [1.0, 2.0, 3.0]), array("q", [7, 8, 7])
    known = ratios_of(Trace(at, ids, array("q", [100, 300, 100]), {})).curve(ttl=5.0)
    assert (known.unit, known.footprint, known.ratios[-1]) == ("bytes", 400.0, pytest.approx(2 / 3))
    assert ratios_of(Trace(at, ids, array("q", [100, -1, 100]), {})).curve().unit == "entries"


def test_no_requests_have_an_empty_cache():
    curve = MissRatios([]).curve()
    assert (curve.requests, curve.distinct, curve.at(10)) == (0, 0, 0.0)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(InputError, match="1 times for 2 requests"):
        MissRatios([1, 2], times=[1.0])
    with pytest.raises(InputError, match="times that fall"):
        MissRatios([1, 2], times=[2.0, 1.0])
    with pytest.raises(InputError, match="needs the times"):
        MissRatios([1, 2]).curve(5.0)
