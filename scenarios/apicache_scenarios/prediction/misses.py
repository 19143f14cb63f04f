"""How many requests miss in an LRU cache of each of some sizes, with entries that end."""

import math
from collections.abc import Sequence

import numpy as np

from apicache_scenarios.prediction.stack_distances import Distances


def sizes_between(found: Distances, points: int) -> np.ndarray:
    """Sizes from that of the shallowest hit to that of all keys, evenly spaced in their logarithm."""
    hits = found.depth[np.isfinite(found.depth)]
    largest = max(found.footprint, 1.0)
    smallest = min(float(hits.min()), largest) if len(hits) else 1.0
    sizes = np.geomspace(max(smallest, 1.0), largest, max(2, points))
    sizes[-1] = largest  # not a rounding error less
    return np.unique(np.ceil(sizes))


def miss_counts(found: Distances, sizes: np.ndarray, times: Sequence[float] | None, ttl: float | None) -> list[int]:
    """The misses at each size."""
    number = len(found.depth)
    if ttl is None or times is None or math.isinf(ttl) or not number:
        hits = np.searchsorted(np.sort(found.depth), sizes, side="right")
        return [int(number - hit) for hit in hits]
    chain = _Chains(found, np.asarray(times, dtype=np.float64), ttl)
    return [chain.loads(float(size)) for size in sizes]


class _Chains:
    """Each key's requests one after another: its loads are a walk along them.

    A load is followed by the key's first request that comes a ttl later, or that finds the entry evicted, whichever is
    first. The size decides on evictions alone, so where a ttl leads to is worked out once.
    """

    def __init__(self, found: Distances, times: np.ndarray, ttl: float) -> None:
        number = len(times)
        order = np.argsort(found.keys, kind="stable")
        run = found.keys[order]
        self._depth = found.depth[order]
        self._begins = np.flatnonzero(np.diff(run, prepend=-1))
        self._ends = np.append(self._begins[1:], number)[run]
        at = times[order] - times[0]
        shifted = at + run * (float(times[-1] - times[0]) + ttl + 1.0)  # no key's times meet another's
        self._expired = np.searchsorted(shifted, shifted + ttl, side="left")

    def loads(self, size: float) -> int:
        """How many requests load at a cache size."""
        number = len(self._depth)
        places = np.where(self._depth > size, np.arange(number), number)
        evicted = np.append(np.minimum.accumulate(places[::-1])[::-1], number)[1:]
        following = np.minimum(self._expired, evicted)
        following = np.where(following < self._ends, following, number)
        loads, here = 0, self._begins
        while len(here):
            loads += len(here)
            here = following[here]
            here = here[here < number]
        return loads
