"""A seeded trace to try predictions on: Zipf's law over calls of which a share is replaced by new ones each day."""

from typing import Final

import msgspec
import numpy as np

from apicache_scenarios.load.zipf_table import ZipfTable
from apicache_scenarios.prediction.history import Call, History, Uses

_DAY: Final = 86_400.0


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The trace's shape; `drift` is the share of the calls, popular or not, that a day replaces.

    They are replaced at `changes` moments of each day, beginning at midnight: with 24 at each hour, with 1 at midnight
    alone.
    """

    drift: float
    seed: int
    days: int = 15
    population: int = 2_000
    exponent: float = 0.99
    requests_a_day: int = 20_000
    changes: int = 24


class Synthetic(msgspec.Struct, frozen=True):
    """A trace, and what nobody who predicts is told: which call had which rank, for each stretch between changes."""

    history: History
    ranked: np.ndarray
    """Rows in the order of the stretches, in each the calls in the order of their popularity."""
    stretch: float
    """Seconds."""

    def most_popular(self, moment: float, top: int) -> np.ndarray:
        """The calls that were truly the most popular just before a moment."""
        row = max(0, int(np.ceil(moment / self.stretch)) - 1)
        found: np.ndarray = self.ranked[row, :top]
        return found


def synthetic(traffic: Traffic) -> Synthetic:
    """The trace of a shape, from second 0 on; each call costs 1 cent, takes a second, lives as long as the trace."""
    chance = np.random.default_rng(traffic.seed)
    table = ZipfTable(traffic.population, traffic.exponent, chance)
    stretches = traffic.days * traffic.changes
    length = _DAY / traffic.changes
    replaced = 1 - (1 - traffic.drift) ** (1 / traffic.changes)
    calls = np.arange(traffic.population)
    ranked = np.empty((stretches, traffic.population), dtype=np.int64)
    latest = traffic.population
    for row in range(stretches):
        if row:
            gone = np.flatnonzero(chance.random(traffic.population) < replaced)
            calls[gone] = np.arange(latest, latest + len(gone))
            latest += len(gone)
        ranked[row] = calls
    number = traffic.requests_a_day * traffic.days
    at = np.sort(chance.random(number)) * length * stretches
    asked = ranked[(at // length).astype(np.int64), table.draw(number)]
    return Synthetic(History(_calls(at, asked, latest, traffic.days), Uses(at, asked, latest), 0), ranked, length)


def _calls(at: np.ndarray, asked: np.ndarray, count: int, days: int) -> tuple[Call, ...]:
    uses = np.bincount(asked, minlength=count).tolist()
    last, first = np.zeros(count), np.zeros(count)
    last[asked] = at
    first[asked[::-1]] = at[::-1]
    return tuple(
        Call(
            operation="completion",
            parameters={"prompt": f"question {number}"},
            uses=uses[number],
            used_at=used_at,
            loaded_at=loaded_at,
            ttl=days * _DAY,
            seconds=1.0,
            cost=0.01,
        )
        for number, (used_at, loaded_at) in enumerate(zip(last.tolist(), first.tolist(), strict=True))
    )
