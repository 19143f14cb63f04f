"""Miss ratio against cache size: what more memory, or a longer ttl, would be worth, from recorded requests.

LRU is what is modelled. The memory tier's own policy resists scans and mostly does better: a curve is a lower bound
of what to expect.
"""

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from apicache.errors import InputError
from apicache.usage.trace import Trace

if TYPE_CHECKING:
    import numpy as np

    from apicache_scenarios.prediction.stack_distances import Distances

POINTS: Final = 64
"""Sizes that a curve is given at, evenly spaced in their logarithm."""

Unit = Literal["entries", "bytes"]


class MissRatioCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Miss ratios (0 to 1) at growing cache sizes, and what the requests were.

    The last size holds every key; a larger cache misses no less. `ttl` is in seconds, None for entries that never end.
    """

    unit: Unit
    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    ttl: float | None
    requests: int
    distinct: int
    footprint: float
    """Units that all keys take together."""

    def at(self, size: float) -> float:
        """The miss ratio of a cache of that size: that of the next smaller point, so never a promise too good."""
        place = bisect_right(self.sizes, size)
        return self.ratios[place - 1] if place else 1.0


class Doubling(msgspec.Struct, frozen=True, kw_only=True):
    """What twice the memory would bring; `gain` is the difference of the hit rates, 0 to 1."""

    unit: Unit
    size: float
    hit_rate: float
    doubled_hit_rate: float
    gain: float

    def __str__(self) -> str:
        sizes = f"{_amount(self.size, self.unit)} to {_amount(2 * self.size, self.unit)}"
        rates = f"{self.hit_rate:.1%} to {self.doubled_hit_rate:.1%}"
        return f"double the memory ({sizes}) for {100 * self.gain:+.1f}% hits ({rates})"


class MissRatios:
    """Requests whose stack distances are worked out once, for curves of any ttl.

    `keys` names each request's key; `sizes` has the bytes of its answer, and makes the curves ones over bytes; `times`,
    in seconds and rising, are needed for a ttl.
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        *,
        sizes: Sequence[float] | None = None,
        times: Sequence[float] | None = None,
    ) -> None:
        from apicache_scenarios.prediction.stack_distances import distances  # noqa: PLC0415 - brings in numpy

        for name, given in (("sizes", sizes), ("times", times)):
            if given is not None and len(given) != len(keys):
                raise InputError(f"{len(given):,} {name} for {len(keys):,} requests; give one for each")
        if times is not None and any(later < earlier for earlier, later in pairwise(times)):
            raise InputError("times that fall; give requests in the order in which they came")
        numbers: dict[Hashable, int] = {}
        self._keys = [numbers.setdefault(key, len(numbers)) for key in keys]
        self._times = times
        self._unit: Unit = "entries" if sizes is None else "bytes"
        self._distances: Distances = distances(self._keys, sizes)

    def curve(self, ttl: float | None = None, points: int = POINTS) -> MissRatioCurve:
        """The curve for entries that are fresh for `ttl` seconds after their load; exact at each of its sizes.

        Raises InputError for a ttl without times.
        """
        from apicache_scenarios.prediction.misses import miss_counts, sizes_between  # noqa: PLC0415 - brings in numpy

        if ttl is not None and self._times is None:
            raise InputError("a ttl needs the times of the requests; give times=...")
        found = self._distances
        sizes: np.ndarray = sizes_between(found, points)
        counts = miss_counts(found, sizes, self._times, ttl)
        number = len(self._keys)
        return MissRatioCurve(
            unit=self._unit,
            sizes=tuple(sizes.tolist()),
            ratios=tuple(misses / max(1, number) for misses in counts),
            ttl=ttl,
            requests=number,
            distinct=found.distinct,
            footprint=found.footprint,
        )


def ratios_of(trace: Trace) -> MissRatios:
    """Those of a recorded trace: over bytes where the sizes of all answers are known, else over entries."""
    sizes = trace.sizes if len(trace.sizes) and min(trace.sizes) >= 0 else None
    return MissRatios(trace.ids, sizes=sizes, times=trace.at)


def doubled(curve: MissRatioCurve, size: float) -> Doubling:
    """What twice as much memory as `size` would bring."""
    one, two = 1 - curve.at(size), 1 - curve.at(2 * size)
    return Doubling(unit=curve.unit, size=size, hit_rate=one, doubled_hit_rate=two, gain=two - one)


def _amount(size: float, unit: Unit) -> str:
    if unit == "entries":
        return f"{size:,.0f} entries"
    power = min(3, int(math.log(max(size, 1), 1024)))
    return f"{size / 1024**power:,.{1 if power else 0}f} {('B', 'KiB', 'MiB', 'GiB')[power]}"
