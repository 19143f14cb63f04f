from collections import Counter

import pytest

from apicache_scenarios.keys import zipf_keys

POPULATION = 50
DRAWS = 50_000
# Chi-square with 49 degrees of freedom passes 85.35 once in a thousand.
CRITICAL = 85.35


def chi_square(keys, exponent):
    weights = [1 / rank**exponent for rank in range(1, POPULATION + 1)]
    counts = Counter(keys)
    expected = [DRAWS * weight / sum(weights) for weight in weights]
    return sum((counts[key] - value) ** 2 / value for key, value in enumerate(expected))


@pytest.mark.parametrize("exponent", [0.5, 0.99, 1.2])
@pytest.mark.parametrize("seed", [1, 2])
def test_draws_follow_zipfs_law(exponent, seed):
    assert chi_square(zipf_keys(POPULATION, DRAWS, seed=seed, exponent=exponent), exponent) < CRITICAL


def test_the_chi_square_tells_another_skew_apart():
    assert chi_square(zipf_keys(POPULATION, DRAWS, seed=1, exponent=0.9), 0.99) > CRITICAL


def test_a_seed_gives_the_same_keys_and_another_seed_others():
    assert zipf_keys(500, 100, seed=42) == zipf_keys(500, 100, seed=42)
    assert zipf_keys(500, 100, seed=42) != zipf_keys(500, 100, seed=43)


def test_keys_lie_within_the_population():
    assert set(zipf_keys(3, 1000, seed=0)) == {0, 1, 2}
    assert zipf_keys(1, 3, seed=0) == [0, 0, 0]
