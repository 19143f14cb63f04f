"""Which cases a run asks for: drawn once for all arms, so that each asks for the same, cut into blocks."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final

from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw, draws

if TYPE_CHECKING:
    import numpy as np

_CHUNK: Final = 4096


def mixed(keys: Keys, population: int, seed: int, groups: Sequence[tuple[float, Sequence[int]]] = ()) -> Draw:
    """Draws of cases' numbers.

    `groups` are (weight, numbers of its cases). With unequal weights a request is first for a group, by the weights,
    then for one of its cases, by the keys' distribution; with equal ones the distribution goes over all cases. A trace
    says itself how often what is asked for.
    """
    weights = [weight for weight, _ in groups]
    if len(set(weights)) <= 1 or keys.dist == "trace":
        return draws(keys, population, seed)
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    generator = np.random.default_rng([seed, 1])
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    inner = [
        (np.asarray(cases, dtype=np.int32), draws(keys, len(cases), seed + n)) for n, (_, cases) in enumerate(groups)
    ]

    def draw(count: int) -> "np.ndarray":
        chosen = generator.choice(len(inner), size=count, p=shares)
        drawn = np.empty(count, dtype=np.int32)
        for number, (cases, of_group) in enumerate(inner):
            places = np.flatnonzero(chosen == number)
            drawn[places] = cases[of_group(len(places))]
        return drawn

    return draw


class SharedKeys:
    """The keys of rounds, drawn as far as the fastest arm needs them; every arm of a round gets the same.

    A round begins where the fastest arm of the round before ended.
    """

    def __init__(self, start: Callable[[], Draw]) -> None:
        """`start` begins the draws from the first."""
        self._start = start
        self.rewind()

    def rewind(self) -> None:
        """Begin from the first key again."""
        self._draw = self._start()
        self._round: object = None
        self._drawn: list[int] = []
        self._used = 0

    def of_round(self, identity: object) -> Iterator[int]:
        """The keys of a round, without end."""
        if identity != self._round:
            del self._drawn[: self._used]
            self._round, self._used = identity, 0
        return self._from_first()

    def _from_first(self) -> Iterator[int]:
        for position in count():
            if position >= len(self._drawn):
                self._drawn += self._draw(_CHUNK).tolist()
            self._used = max(self._used, position + 1)
            yield self._drawn[position]


def thinned(first: int, number: int, share: float) -> list[int]:
    """Places from 0 to `number` - 1, `share` of them, evenly picked; `first` is the first one's number over all."""
    if share >= 1:
        return list(range(number))
    return [place for place in range(number) if int((first + place + 1) * share) > int((first + place) * share)]
