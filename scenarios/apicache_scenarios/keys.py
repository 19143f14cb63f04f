"""Which key each request of a benchmark asks for."""

import random
from itertools import accumulate

ZIPF_EXPONENT = 0.99
"""YCSB's default skew (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010)."""


def zipf_keys(population: int, count: int, *, seed: int, exponent: float = ZIPF_EXPONENT) -> list[int]:
    """`count` draws from 0 to population-1, key k with a probability proportional to 1 / (k + 1) ** exponent."""
    weights = accumulate(1 / rank**exponent for rank in range(1, population + 1))
    draws = random.Random(seed)  # noqa: S311 - a repeatable sequence is the purpose, nothing is secret
    return draws.choices(range(population), cum_weights=list(weights), k=count)
