"""uniform: every key equally often; a cache's worst case."""

from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw


def create(keys: Keys, population: int, seed: int) -> Draw:  # noqa: ARG001 - of every distribution
    """Keys in no order."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    generator = np.random.default_rng(seed)
    return lambda count: generator.integers(0, population, size=count, dtype=np.int32)
