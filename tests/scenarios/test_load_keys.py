"""What each key distribution draws, against its law."""

import itertools
from collections import Counter

import numpy as np
import pytest

from apicache import InputError
from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.drawing import SharedKeys, mixed, thinned
from apicache_scenarios.load.keys import distribution_names, draws

POPULATION = 50
DRAWS = 50_000
# Chi-square with 49 degrees of freedom passes 85.35 once in a thousand.
CRITICAL = 85.35


def drawn(population=POPULATION, count=DRAWS, seed=1, **keys):
    return draws(Keys(**keys), population, seed)(count).tolist()


def chi_square(keys, weights):
    counts = Counter(keys)
    expected = [len(keys) * weight / sum(weights) for weight in weights]
    return sum((counts[key] - value) ** 2 / value for key, value in enumerate(expected))


def zipf(exponent, population=POPULATION):
    return [1 / rank**exponent for rank in range(1, population + 1)]


def test_the_distributions_are_the_files_of_their_folder():
    assert distribution_names() == ["hotspot", "latest", "trace", "uniform", "zipf"]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.99, 1.2])
@pytest.mark.parametrize("seed", [1, 2])
def test_zipf_follows_its_law(exponent, seed):
    assert chi_square(drawn(dist="zipf", s=exponent, seed=seed), zipf(exponent)) < CRITICAL


def test_the_chi_square_tells_another_skew_apart():
    assert chi_square(drawn(dist="zipf", s=0.9), zipf(0.99)) > CRITICAL


@pytest.mark.parametrize("population", [1, 2, 3, 100_000])
def test_zipf_stays_within_its_population_and_prefers_the_first(population):
    keys = drawn(population=population, count=20_000, dist="zipf", s=0.99)
    assert 0 <= min(keys) <= max(keys) < population
    assert Counter(keys).most_common(1)[0][0] == 0


def test_zipf_over_many_keys_follows_its_law_by_decades():
    population = 1_000_000
    keys = np.asarray(drawn(population=population, count=200_000, dist="zipf", s=0.99))
    weights = np.arange(1, population + 1) ** -0.99
    edges = [0, 1, 10, 100, 1000, 10_000, 100_000, population]
    shares = [weights[low:high].sum() / weights.sum() for low, high in itertools.pairwise(edges)]
    counted = np.histogram(keys, edges)[0]
    # Chi-square with 6 degrees of freedom passes 22.46 once in a thousand.
    assert sum((counted - len(keys) * np.asarray(shares)) ** 2 / (len(keys) * np.asarray(shares))) < 22.46


def test_uniform_asks_for_every_key_equally_often():
    assert chi_square(drawn(dist="uniform"), [1] * POPULATION) < CRITICAL


def test_hotspot_gives_its_share_of_requests_to_its_share_of_keys():
    weights = [0.8 / 10] * 10 + [0.2 / 40] * 40
    assert chi_square(drawn(dist="hotspot", hot=0.2, hot_traffic=0.8), weights) < CRITICAL


def test_a_hotspot_of_all_keys_is_uniform():
    assert chi_square(drawn(dist="hotspot", hot=1.0), [1] * POPULATION) < CRITICAL


def test_latest_asks_for_the_newest_and_moves_on():
    keys = drawn(dist="latest", s=0.99)
    ages, newest, new = Counter(), POPULATION - 1, 0
    for key in keys:
        if key == (newest + 1) % POPULATION:  # new, or the oldest one by its age
            newest, new = newest + 1, new + 1
        else:
            ages[(newest - key) % POPULATION] += 1
    assert 0.04 < new / len(keys) < 0.07
    assert ages[0] > ages[1] > ages[5] > ages[30] > 0


def test_a_trace_is_replayed_in_its_order_and_again(tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text("b\na\n\nb\nc\n")
    assert drawn(count=6, dist="trace", file=file) == [0, 1, 0, 2, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "keys of dist: trace need file:"), ("missing", "cannot be read"), ("\n\n", "is empty")],
)
def test_a_trace_that_cannot_be_replayed_is_refused(tmp_path, content, message):
    file = tmp_path / "trace.txt"
    if content and content != "missing":
        file.write_text(content)
    with pytest.raises(InputError, match=message):
        drawn(dist="trace", file=file if content else None)


def test_an_unknown_distribution_is_refused_with_the_close_one():
    with pytest.raises(InputError, match=r"unknown key distribution 'zif'; did you mean 'zipf'\?"):
        drawn(dist="zif")


@pytest.mark.parametrize("dist", ["hotspot", "latest", "uniform", "zipf"])
def test_a_seed_gives_the_same_keys_however_they_are_asked_for_and_another_others(dist):
    assert drawn(dist=dist, seed=42) == drawn(dist=dist, seed=42)
    assert drawn(dist=dist, seed=42) != drawn(dist=dist, seed=43)


def test_equal_weights_leave_all_cases_to_the_distribution():
    groups = [(1.0, [0]), (1.0, list(range(1, 50)))]
    assert mixed(Keys(), 50, 1, groups)(1000).tolist() == draws(Keys(), 50, 1)(1000).tolist()


def test_unequal_weights_are_the_shares_of_the_mix():
    groups = [(3.0, [0, 1, 2]), (1.0, [3]), (1.0, [4])]
    keys = Counter(mixed(Keys(dist="uniform"), 5, 1, groups)(50_000).tolist())
    assert abs((keys[0] + keys[1] + keys[2]) / 50_000 - 0.6) < 0.01
    assert abs(keys[3] / 50_000 - 0.2) < 0.01


def taken(keys, number):
    return [next(keys) for _ in range(number)]


def test_every_arm_of_a_round_gets_the_same_keys_and_the_next_round_goes_on():
    whole = draws(Keys(), 50, 1)(100).tolist()
    shared = SharedKeys(lambda: mixed(Keys(), 50, 1))
    slow, fast = shared.of_round(0), shared.of_round(0)
    assert taken(slow, 3) == whole[:3]
    assert taken(fast, 10) == whole[:10]
    assert taken(shared.of_round(1), 5) == whole[10:15]


def test_keys_can_be_asked_for_again():
    shared = SharedKeys(lambda: mixed(Keys(), 50, 1))
    first = taken(shared.of_round(0), 20)
    shared.rewind()
    assert taken(shared.of_round(1), 20) == first


@pytest.mark.parametrize(("share", "expected"), [(1.0, 10), (0.5, 5), (0.25, 2), (0.0, 0)])
def test_thinning_picks_a_share_evenly(share, expected):
    picked = thinned(0, 10, share)
    assert len(picked) == expected
    assert max(np.diff(picked), default=0) <= (1 / share if share else 0)


def test_thinning_of_blocks_adds_up_to_the_thinning_of_all():
    whole = thinned(0, 97, 0.3)
    parts = [first + place for first in range(0, 97, 10) for place in thinned(first, min(10, 97 - first), 0.3)]
    assert parts == whole
