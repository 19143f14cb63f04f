"""Which calls to make ahead of time: hit probability x (saved cost + value of saved latency) / price."""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from apicache_scenarios.prediction.history import Call, History
from apicache_scenarios.prediction.markov import expected_next
from apicache_scenarios.prediction.popularity import Model, best, choose

DAY: Final = 86_400.0
CALL_USD: Final = 0.0001
"""What any call costs beside its price: its share of a rate limit. It keeps free calls from being worth infinitely."""
_COMPARED_SHARE: Final = 10
"""Models are compared by the first tenth of all calls at least: what a few calls come to is chance."""


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A call worth making; `probability` is that of a request while its entry lives, within the horizon."""

    call: Call
    probability: float
    expected_uses: float
    saving_usd: float
    """Expected: cost, and waiting by its value."""
    price_usd: float


class Ranking(msgspec.Struct, frozen=True):
    """Calls, the best first, and in words the model of their popularity that was chosen."""

    calls: tuple[Ranked, ...]
    model: str


class Predicted(NamedTuple):
    """Of each call, requests expected while its entry lives; the chance of one; saving and score."""

    model: Model
    expected: np.ndarray
    probability: np.ndarray
    saving: np.ndarray
    price: np.ndarray

    def ordered(self) -> np.ndarray:
        """The places of all calls, the highest score first; of equal ones, that of the most requests expected."""
        return np.lexsort((-self.expected, -self._score()))

    def best(self, top: int) -> np.ndarray:
        """The places of the `top` calls with the highest scores above 0."""
        order = self.ordered()[:top]
        return np.asarray(order[self._score()[order] > 0])

    def _score(self) -> np.ndarray:
        return np.asarray(self.saving / (self.price + CALL_USD))


def predict(
    history: History, moment: float, *, horizon: float = DAY, top: int | None = None, usd_per_second: float = 0.001
) -> Predicted:
    """What the uses before `moment` let expect of the `horizon` seconds after it.

    A request is a Poisson process of the rate that the chosen model gives, so P(hit) = 1 - exp(-rate * life), the life
    being what the entry lives of the horizon. Where a session goes on, its likely next call adds its own chance.
    """
    uses = history.uses.between(-np.inf, moment)
    model = choose(uses, moment, horizon, max(top or 1, int((uses.counts() > 0).sum()) // _COMPARED_SHARE))
    facts = history.facts_at(moment)
    expected = model.rates(uses, moment) * np.minimum(facts.ttl, horizon)
    following = expected_next(uses, moment)
    if following is not None:
        expected = expected - np.log1p(-np.minimum(following, 1 - 1e-9))  # chances of two kinds: 1 - (1 - p)(1 - q)
    probability = -np.expm1(-expected)
    saving = probability * (facts.cost + usd_per_second * facts.seconds)
    if not saving.any():  # neither costs nor times are known: by probability alone
        saving = probability * CALL_USD
    return Predicted(model, expected, probability, saving, facts.cost)


def rank(
    history: History, moment: float, *, horizon: float = DAY, top: int | None = None, usd_per_second: float = 0.001
) -> Ranking:
    """The calls most worth making at `moment`, the best first; `horizon` in seconds."""
    predicted = predict(history, moment, horizon=horizon, top=top, usd_per_second=usd_per_second)
    calls = tuple(
        Ranked(
            call=history.calls[place],
            probability=float(predicted.probability[place]),
            expected_uses=float(predicted.expected[place]),
            saving_usd=float(predicted.saving[place]),
            price_usd=float(predicted.price[place]),
        )
        for place in predicted.best(len(history.calls) if top is None else top)
    )
    return Ranking(calls, str(predicted.model))


def most_used(history: History, moment: float, top: int) -> np.ndarray:
    """The places of the calls with the most requests before a moment."""
    return best(history.uses.between(-np.inf, moment).counts(), top)
