"""What a ranking would have been worth: it sees the first part of a trace, and is held against the second."""

import math
from typing import Final

import msgspec
import numpy as np

from apicache.errors import InputError
from apicache_scenarios.prediction.history import Facts, History
from apicache_scenarios.prediction.popularity import best
from apicache_scenarios.prediction.ranking import DAY, most_used, predict

_LAST_PART: Final = 5
"""Of a trace shorter than so many horizons, the second part is that fraction."""
_REQUESTS_MIN: Final = 20


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What warming by one ranking would have come to.

    `precision` is the share of the warmed calls that were asked for while their entries lived, `coverage` the share of
    the second part's requests that those entries answer; both 0 to 1, None without calls. Money in US dollars.
    """

    ranking: str
    warmed: int
    used: int
    precision: float | None
    coverage: float
    spent_usd: float
    wasted_usd: float
    """Spent on calls that nobody asked for."""


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """The rankings beside each other; times in seconds since the epoch. `model` is what ours chose, in words.

    `gap_closed` is the part of the way from the most used calls to the oracle that ours goes, by coverage; None where
    the two are one.
    """

    begin: float
    split: float
    end: float
    requests_before: int
    requests_after: int
    top: int
    model: str
    outcomes: tuple[Outcome, ...]
    gap_closed: float | None

    def outcome(self, ranking: str) -> Outcome:
        """That of a ranking: `predicted`, `count`, `oracle` or `nothing`."""
        return next(outcome for outcome in self.outcomes if outcome.ranking == ranking)


def backtest(history: History, *, top: int, horizon: float = DAY, usd_per_second: float = 0.001) -> Backtest:
    """Rank by what came before the last `horizon` seconds of a trace, or its last fifth where it is short.

    The rankings see nothing of the second part, costs and lifetimes included; only the oracle does. Raises InputError
    for a trace too short to be split.
    """
    at = history.uses.at
    if len(at) < _REQUESTS_MIN or at[-1] <= at[0]:
        raise InputError(f"{len(at):,} requests are too few to be split; a backtest needs {_REQUESTS_MIN} and more")
    begin, end = float(at[0]), math.nextafter(float(at[-1]), math.inf)
    length = min(horizon, (end - begin) / _LAST_PART)
    split = end - length
    facts = history.facts_at(split)
    after = history.uses.between(split, end)
    answered = after.calls[after.at < split + facts.ttl[after.calls]]
    asked = np.bincount(answered, minlength=history.uses.total)
    predicted = predict(history, split, horizon=length, top=top, usd_per_second=usd_per_second)
    rankings = {
        "predicted": predicted.best(top),
        "count": most_used(history, split, top),
        "oracle": best(asked, top),
        "nothing": np.array([], dtype=np.int64),
    }
    outcomes = {name: _outcome(name, places, asked, len(after.at), facts) for name, places in rankings.items()}
    return Backtest(
        begin=begin,
        split=split,
        end=end,
        requests_before=len(at) - len(after.at),
        requests_after=len(after.at),
        top=top,
        model=str(predicted.model),
        outcomes=tuple(outcomes.values()),
        gap_closed=gap_closed(*(outcomes[name].coverage for name in ("predicted", "count", "oracle"))),
    )


def gap_closed(ours: float, count: float, oracle: float) -> float | None:
    """Which part of the way from the most used calls to the oracle a coverage goes; None where there is no way."""
    return (ours - count) / (oracle - count) if oracle > count else None


def _outcome(ranking: str, places: np.ndarray, asked: np.ndarray, requests: int, facts: Facts) -> Outcome:
    is_used = asked[places] > 0
    warmed, used = len(places), int(is_used.sum())
    return Outcome(
        ranking=ranking,
        warmed=warmed,
        used=used,
        precision=used / warmed if warmed else None,
        coverage=float(asked[places].sum()) / requests if requests else 0.0,
        spent_usd=float(facts.cost[places].sum()),
        wasted_usd=float(facts.cost[places][~is_used].sum()),
    )
