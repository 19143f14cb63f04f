"""Calls from a usage log, ranked: what operations with `record=True` were asked, ready to be asked again."""

import math
import time
from collections.abc import Iterator
from typing import Any, Final

from apicache.usage.log import UsageLog
from apicache.usage.report import Frequent, frequent
from apicache_scenarios.format.entries import UsageSource

_HALF_LIFE: Final = 86_400.0
"""Seconds after which a use counts half: a day, the period of most traffic."""
_READ_MAX: Final = 1_000_000


def recorded_calls(source: UsageSource, now: float | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operation and parameters of the calls that a log holds whole, the best first.

    Raises InputError for a log that is damaged or locked.
    """
    moment = time.time() if now is None else now
    log = UsageLog(source.usage)
    try:
        found = frequent(log, None, _READ_MAX)
    finally:
        log.close()
    earliest = -math.inf if source.since is None else moment - source.since
    usable = [
        each
        for each in found
        if each.complete
        and each.parameters is not None
        and each.used_at >= earliest
        and each.hits + each.loads >= source.min_hits
    ]
    usable.sort(key=lambda each: _score(each, source.by, moment), reverse=True)
    for each in usable[: source.top]:
        yield each.operation, dict(each.parameters or {})


def _score(each: Frequent, by: str, now: float) -> float:
    """By count, or by frecency: uses, halved for each day since the last."""
    uses = each.hits + each.loads
    return uses if by == "count" else uses * 0.5 ** (max(0.0, now - each.used_at) / _HALF_LIFE)
