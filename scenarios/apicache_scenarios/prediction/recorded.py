"""Calls from a usage log, ranked: what operations with `record=True` were asked, ready to be asked again."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from apicache.usage.log import UsageLog
from apicache_scenarios.format.entries import UsageSource
from apicache_scenarios.prediction.history import History, read_history
from apicache_scenarios.prediction.ranking import predict

_HALF_LIFE: Final = 86_400.0
"""Seconds after which a use counts half: a day, the period of most traffic."""


def recorded_calls(source: UsageSource, now: float | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operation and parameters of the calls that a log holds whole, the best first.

    Raises InputError for a log that is damaged or locked.
    """
    moment = time.time() if now is None else now
    log = UsageLog(source.usage)
    try:
        history = read_history(log, -math.inf if source.since is None else moment - source.since, source.min_hits)
    finally:
        log.close()
    for place in _RANKINGS[source.by](history, moment, source)[: source.top]:
        call = history.calls[place]
        yield call.operation, dict(call.parameters)


def _by_count(history: History, _moment: float, _source: UsageSource) -> np.ndarray:
    return _highest(np.array([call.uses for call in history.calls]))


def _by_frecency(history: History, moment: float, _source: UsageSource) -> np.ndarray:
    return _highest(frecency(history, moment))


def _by_prediction(history: History, moment: float, source: UsageSource) -> np.ndarray:
    predicted = predict(history, moment, horizon=source.horizon, top=source.top, usd_per_second=source.usd_per_second)
    return predicted.ordered()


_RANKINGS: Final[Mapping[str, Callable[[History, float, UsageSource], np.ndarray]]] = {
    "count": _by_count,
    "frecency": _by_frecency,
    "predicted": _by_prediction,
}


def frecency(history: History, moment: float) -> np.ndarray:
    """Each call's uses, halved for each day since they were made.

    Uses that the trace does not have are dated with its begin, or with the call's last use where that is earlier.
    """
    uses = history.uses
    traced = np.bincount(uses.calls, weights=_halved(moment - uses.at), minlength=uses.total)
    begin = float(uses.at[0]) if len(uses.at) else moment
    last = np.array([call.used_at for call in history.calls], dtype=np.float64)
    untraced = np.maximum(0, np.array([call.uses for call in history.calls], dtype=np.float64) - uses.counts())
    dated = np.where(uses.counts() > 0, np.minimum(begin, last), last)
    return np.asarray(traced + untraced * _halved(moment - dated))


def _halved(ages: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp2(-np.maximum(0.0, ages) / _HALF_LIFE))


def _highest(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.argsort(-scores, kind="stable"))
