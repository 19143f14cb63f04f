"""latest: the newest keys get most requests, and new ones appear; YCSB's workload D (Cooper et al., 2010).

One request in twenty is for a key that is new. Past the population the oldest key's number is taken again.
"""

from typing import TYPE_CHECKING, Final

from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw
from apicache_scenarios.load.zipf_table import ZipfTable

if TYPE_CHECKING:
    import numpy as np

_NEW: Final = 0.05


def create(keys: Keys, population: int, seed: int) -> Draw:
    """Ages are drawn by Zipf's law: 0 is the newest."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    generator = np.random.default_rng(seed)
    ages = ZipfTable(population, keys.s, generator)
    newest = population - 1

    def draw(count: int) -> "np.ndarray":
        nonlocal newest
        is_new = generator.random(count) < _NEW
        latest = newest + np.cumsum(is_new)
        newest = int(latest[-1]) if count else newest
        drawn = np.where(is_new, latest, latest - ages.draw(count))
        return (drawn % population).astype(np.int32)

    return draw
