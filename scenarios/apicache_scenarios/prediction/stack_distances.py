"""How far down the LRU stack each request finds its key: what decides, for every cache size at once, whether it hits.

Mattson, Gecsei, Slutz, Traiger: "Evaluation techniques for storage hierarchies", IBM Systems Journal 9 (1970).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Distances(NamedTuple):
    """Of each request, in their order."""

    depth: np.ndarray
    """What the requested key and all that were used since its last use take, in units; infinite for a first use."""
    keys: np.ndarray
    """The requested key, of `distinct` ones, as a number from 0."""
    distinct: int
    footprint: float
    """Units of all keys."""


def distances(keys: Sequence[int] | np.ndarray, units: Sequence[float] | np.ndarray | None = None) -> Distances:
    """Exact, in O(n log^2 n) of whole-array steps; `units` of each request are its key's size, by default 1.

    With sizes the depth is exact as well, for keys no larger than the cache: what is above a key only grows until it is
    used again, and LRU drops it in the moment when that no longer fits. A key whose size changes counts with its mean.
    """
    _, places = np.unique(np.asarray(keys), return_inverse=True)
    number, total = len(places), int(places.max()) + 1 if len(places) else 0
    order = np.argsort(places, kind="stable")
    is_same = places[order][1:] == places[order][:-1]
    previous = np.full(number, -1)
    previous[order[1:][is_same]] = order[:-1][is_same]
    weights = np.ones(number) if units is None else _means(places, np.asarray(units, dtype=np.float64), total)
    above = _above(previous, weights)
    depth = np.where(previous < 0, math.inf, above + weights)
    return Distances(depth, places, total, float(weights[previous < 0].sum()))


def _means(places: np.ndarray, units: np.ndarray, total: int) -> np.ndarray:
    sums = np.bincount(places, weights=units, minlength=total)
    return np.asarray((sums / np.maximum(np.bincount(places, minlength=total), 1))[places])


def _above(previous: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What the keys take that were used since each request's previous one.

    A key used in between is counted at its first use there: at the j of p(i) < j < i with p(j) <= p(i), p being the
    place of the previous use. Every j <= p(i) has p(j) < p(i) too, so the sum over all j < i less that of the first
    p(i) + 1 is the sum over those in between. The sums over j < i are taken as a merge sort goes: at each doubling of
    the blocks, those of a right block add what their left neighbour has at or below them.
    """
    number = len(previous)
    sums, order, length = np.zeros(number), np.arange(number), 1
    while length < number:
        # `order` has each block of `length` places sorted by p; the pairs of blocks never mix in these values.
        pair = order // (2 * length)
        values = pair * (number + 1) + previous[order]
        is_right = order // length % 2 == 1
        left, right = order[~is_right], order[is_right]
        below = np.concatenate(([0.0], np.cumsum(weights[left])))
        ends = np.searchsorted(values[~is_right], values[is_right], side="right")
        sums[right] += below[ends] - below[pair[is_right] * length]
        order = order[np.argsort(values, kind="stable")]
        length *= 2
    before = np.concatenate(([0.0], np.cumsum(weights)))
    return np.asarray(sums - before[previous + 1])
