"""How often each call will be asked for: models of its popularity, and the choice among them on past days.

No model is best for all traffic: where nothing changes, every use counts the same; where calls come and go, old uses
mislead. So each model predicts stretches of the past from what came before them, and the best one predicts the future.
"""

import math
from typing import Final, Protocol

import msgspec
import numpy as np

from apicache_scenarios.prediction.history import Uses

_WINDOWS: Final = 3
"""Stretches of the past that models are tried on."""
_HALF_LIVES: Final = (1 / 12, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
_ENDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_FIRST_WAITS: Final = (0.1, 0.5)
_EXPONENT_MAX: Final = 700.0
"""Of what `exp` can give as a float."""


class Model(Protocol):
    """A way to tell the future from the past."""

    def rates(self, uses: Uses, moment: float) -> np.ndarray:
        """Expected requests a second of each call from `moment` on, of uses before it."""


class Constant(msgspec.Struct, frozen=True):
    """Nothing changes: a call's rate is its share of all uses."""

    def rates(self, uses: Uses, moment: float) -> np.ndarray:
        """Uses over the time that they took."""
        return uses.counts() / max(_span(uses, moment), 1e-9)

    def __str__(self) -> str:
        return "every use counts the same"


class Decayed(msgspec.Struct, frozen=True):
    """Uses count half for each `half_life`, in seconds, since they were made."""

    half_life: float

    def rates(self, uses: Uses, moment: float) -> np.ndarray:
        """Weights over what a use a second would have weighed."""
        weights = np.exp2((uses.at - moment) / self.half_life)
        whole = self.half_life / math.log(2) * -math.expm1(-_span(uses, moment) / self.half_life * math.log(2))
        return np.bincount(uses.calls, weights=weights, minlength=uses.total) / max(whole, 1e-9)

    def __str__(self) -> str:
        return f"uses count half after {self.half_life / 3600:.3g} h"


class Ending(msgspec.Struct, frozen=True):
    """Calls begin, are asked for at a rate of their own, and end; the longer one is missed, the surer it has ended.

    Schmittlein, Morrison, Colombo: "Counting Your Customers: Who Are They and What Will They Do Next?", Management
    Science 33 (1987), the likelihood that a customer is alive given the number and the last of his purchases; here
    with one death rate for all (`ends`, a second), and a rate of each call's own from its uses between the first and
    the last, over that time and `first_wait` seconds, so that one use makes no high rate.
    """

    ends: float
    first_wait: float

    def rates(self, uses: Uses, moment: float) -> np.ndarray:
        """The call's rate while it lives, times the likelihood that it does."""
        counts = uses.counts()
        seen = counts > 0
        first, last = np.full(uses.total, moment), np.full(uses.total, moment)
        first[uses.calls[::-1]] = uses.at[::-1]  # of several writes to one place, the last one stays
        last[uses.calls] = uses.at
        rate = np.where(seen, counts / (last - first + self.first_wait), 0.0)
        exponent = np.minimum((rate + self.ends) * (moment - last), _EXPONENT_MAX)
        alive = 1 / (1 + self.ends / (rate + self.ends) * np.expm1(exponent))
        return np.asarray(rate * alive)

    def __str__(self) -> str:
        return f"calls end, after {1 / self.ends / 86400:.3g} d on average"


def models_for(horizon: float) -> tuple[Model, ...]:
    """The models that are tried, their times measured in the time that is to be predicted; of equal ones, the first."""
    decayed = [Decayed(horizon * half_life) for half_life in _HALF_LIVES]
    ending = [Ending(ends / horizon, horizon * wait) for ends in _ENDS for wait in _FIRST_WAITS]
    return (Decayed(horizon), Constant(), *decayed, *ending)


def choose(uses: Uses, moment: float, horizon: float, top: int) -> Model:
    """The model whose first `top` calls would have had the most requests in the last few stretches before `moment`.

    Nothing from `moment` on is looked at. A log too short for a trial gives uses half their weight for each horizon.
    """
    begin = float(uses.at[0]) if len(uses.at) else moment
    splits = [split for number in range(_WINDOWS) if (split := moment - horizon * (number + 1)) - begin >= horizon]
    trials = [(split, uses.between(begin, split), uses.between(split, split + horizon).counts()) for split in splits]
    models = models_for(horizon)
    if not trials:
        return Decayed(horizon)

    def covered(model: Model) -> float:
        return sum(
            float(asked[best(model.rates(past, split), top)].sum()) / max(1, int(asked.sum()))
            for split, past, asked in trials
        )

    return max(models, key=covered)


def best(scores: np.ndarray, top: int) -> np.ndarray:
    """The places of the `top` highest scores above 0, the highest first; of equal ones, the first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return order[scores[order] > 0]


def _span(uses: Uses, moment: float) -> float:
    return moment - float(uses.at[0]) if len(uses.at) else 0.0
