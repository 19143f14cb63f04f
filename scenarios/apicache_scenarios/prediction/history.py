"""What a usage log knows, as arrays: the calls that can be made again, and when each was asked for."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from apicache.errors import InputError
from apicache.usage.log import UsageLog
from apicache.usage.trace import TracedKey, trace


class Uses(NamedTuple):
    """Requests in the order of their times."""

    at: np.ndarray
    """Seconds."""
    calls: np.ndarray
    """Of each request, the place of its call among `total` calls."""
    total: int

    def between(self, begin: float, end: float) -> "Uses":
        """Those from `begin` to just before `end`."""
        first, last = np.searchsorted(self.at, (begin, end))
        return Uses(self.at[first:last], self.calls[first:last], self.total)

    def counts(self) -> np.ndarray:
        """How often each call was asked for."""
        return np.bincount(self.calls, minlength=self.total)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the log knows it; `uses` counts those too that the trace no longer has."""

    operation: str
    parameters: Mapping[str, Any]
    uses: int
    used_at: float
    loaded_at: float
    ttl: float
    seconds: float
    cost: float


class Facts(NamedTuple):
    """What making each call again takes, as it was known at a moment: an array each."""

    cost: np.ndarray
    """US dollars."""
    seconds: np.ndarray
    ttl: np.ndarray
    """Seconds; infinite where it is not known."""


class History(msgspec.Struct, frozen=True):
    """The calls that can be made again, and their requests; `incomplete` others are not in it."""

    calls: tuple[Call, ...]
    uses: Uses
    incomplete: int

    def facts_at(self, moment: float) -> Facts:
        """What was known by then: of a call that was loaded later, what its operation's calls took on average."""
        known = np.array([call.loaded_at < moment for call in self.calls], dtype=bool)
        _, operations = np.unique([call.operation for call in self.calls], return_inverse=True)
        cost, seconds, ttl = (
            _known(np.array([getattr(call, name) for call in self.calls], dtype=np.float64), known, operations)
            for name in ("cost", "seconds", "ttl")
        )
        return Facts(cost, seconds, np.where(ttl > 0, ttl, math.inf))


def _known(values: np.ndarray, known: np.ndarray, operations: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    number = np.bincount(operations[known], minlength=int(operations.max()) + 1)
    total = np.bincount(operations[known], weights=values[known], minlength=len(number))
    return np.where(known, values, (total / np.maximum(number, 1))[operations])


def read_history(log: UsageLog, since: float = -math.inf, min_uses: int = 1) -> History:
    """The calls used since a time, at least so often; raises InputError for a log that is locked or damaged."""
    found = trace(log, since)
    recent = [key for key in found.keys.values() if key.used_at >= since]
    usable = {key.id: key for key in recent if _is_whole(key) and key.uses >= min_uses}
    places = {number: place for place, number in enumerate(usable)}
    kept = [(at, places[number]) for at, number in zip(found.at, found.ids, strict=True) if number in places]
    at = np.array([each[0] for each in kept], dtype=np.float64)
    calls = np.array([each[1] for each in kept], dtype=np.int64)
    incomplete = sum(not _is_whole(key) for key in recent)
    return History(tuple(map(_call, usable.values())), Uses(at, calls, len(usable)), incomplete)


def refuse_empty(history: History, where: str) -> None:
    """Raises InputError when nothing can be learned from a history."""
    if history.calls and len(history.uses.at):
        return
    if history.incomplete:
        raise InputError(
            f"{where} holds no call with its parameters ({history.incomplete:,} without); "
            "add record=True to the operations whose calls are to be suggested"
        )
    raise InputError(f"{where} holds no calls of that time; run the application with its usage log on")


def _is_whole(key: TracedKey) -> bool:
    return key.complete and key.parameters is not None


def _call(key: TracedKey) -> Call:
    return Call(
        operation=key.operation,
        parameters=key.parameters or {},
        uses=key.uses,
        used_at=key.used_at,
        loaded_at=key.loaded_at,
        ttl=key.ttl,
        seconds=key.seconds,
        cost=key.cost,
    )
