"""hotspot: a share of the keys (`hot`) gets a share of the requests (`hot_traffic`), uniform within each part."""

from typing import TYPE_CHECKING

from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw

if TYPE_CHECKING:
    import numpy as np


def create(keys: Keys, population: int, seed: int) -> Draw:
    """The first keys are the hot ones, one at least."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    generator = np.random.default_rng(seed)
    hot = min(population, max(1, round(population * keys.hot)))

    def draw(count: int) -> "np.ndarray":
        is_hot = generator.random(count) < keys.hot_traffic
        among_hot = generator.integers(0, hot, size=count, dtype=np.int32)
        if hot == population:
            return among_hot
        return np.where(is_hot, among_hot, generator.integers(hot, population, size=count, dtype=np.int32))

    return draw
