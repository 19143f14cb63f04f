"""zipf: a few keys get most requests; `s` is the exponent, 0.99 as in YCSB (Cooper et al., 2010)."""

from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw
from apicache_scenarios.load.zipf_table import ZipfTable


def create(keys: Keys, population: int, seed: int) -> Draw:
    """Key 0 is the most frequent."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    return ZipfTable(population, keys.s, np.random.default_rng(seed)).draw
