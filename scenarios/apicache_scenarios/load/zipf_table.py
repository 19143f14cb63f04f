"""Draws by Zipf's law, exact, from a finite population: key k with a probability proportional to 1 / (k + 1) ** s.

Inversion by a guide table (Chen and Asau, "On generating random variates from an empirical distribution", 1974;
Devroye, "Non-Uniform Random Variate Generation", 1986, section III.2.4): the leading bits of a random number mostly
decide on the key; where they do not, the distribution is searched.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

_BITS: Final = 32
_TABLE_BITS: Final = 18
"""Entries of the table, as a power of two: 2**18 of 4 bytes stay in a processor's second cache."""
_CHUNK: Final = 1 << 16
_UNDECIDED: Final = -1


class ZipfTable:
    """Draws of one distribution; `s` is the exponent, 0 for a uniform one."""

    def __init__(self, population: int, s: float, generator: "np.random.Generator") -> None:
        import numpy as np  # noqa: PLC0415 - 132 ms, for benchmarks only

        self._np: Any = np
        self._generator = generator
        weights = np.arange(1, population + 1, dtype=np.float64) ** -s
        self._cumulative = np.cumsum(weights)
        self._cumulative /= self._cumulative[-1]
        bits = min(_BITS - 4, max(_TABLE_BITS, int(population).bit_length() + 2))
        self._shift = _BITS - bits
        edges = np.searchsorted(self._cumulative, np.arange(2**bits + 1) / 2.0**bits, side="right")
        edges = np.minimum(edges, population - 1)
        self._table = np.where(edges[:-1] == edges[1:], edges[:-1], _UNDECIDED).astype(np.int32)

    def draw(self, count: int) -> "np.ndarray":
        """The next `count` keys, an array of int32."""
        keys: np.ndarray = self._np.empty(count, dtype=self._np.int32)
        for begin in range(0, count, _CHUNK):
            self._fill(keys[begin : begin + _CHUNK])
        return keys

    def _fill(self, keys: "np.ndarray") -> None:
        np = self._np
        drawn = self._generator.integers(0, 2**_BITS, size=len(keys), dtype=np.uint32)
        np.take(self._table, drawn >> self._shift, out=keys)
        undecided = np.flatnonzero(keys == _UNDECIDED)
        if len(undecided):
            position = (drawn[undecided] + self._generator.random(len(undecided))) / 2.0**_BITS
            keys[undecided] = np.minimum(
                np.searchsorted(self._cumulative, position, side="right"), len(self._cumulative) - 1
            )
