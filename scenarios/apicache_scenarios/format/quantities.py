"""Quantities as scenario files write them: durations, rates, shares."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from apicache.errors import InputError
from apicache.policy import seconds

_PERIODS: Final = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_RATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(sec|s|minute|min|m|hour|h)\s*")
_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


class Quantity(msgspec.Struct, frozen=True):
    """How a quantity is read: `parse` gives its number or raises ValueError; `expected` says what it reads."""

    parse: Callable[[Any], Any]
    expected: str
    pattern: str
    """The texts it reads, as a JSON Schema has it."""


def duration(given: Any) -> float:
    """Seconds of `30s`, `5m`, `24h`, or of a number of seconds; raises ValueError."""
    return seconds(given)


def rate(given: Any) -> float:
    """Calls a second of `200/s`, `60/min`, `1000/h`, or of a number of calls a second; raises ValueError."""
    if isinstance(given, str):
        found = _RATE.fullmatch(given)
        if found is None:
            raise InputError(f"the rate {given!r} is not understood")
        given = float(found[1]) / _PERIODS[found[2]]
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise InputError(f"the rate {given!r} is not more than 0")
    return float(given)


def share(given: Any) -> float:
    """0 to 1, of `10%` or of such a number; raises ValueError."""
    if isinstance(given, str):
        found = _PERCENT.fullmatch(given)
        if found is None:
            raise InputError(f"the share {given!r} is not understood")
        given = float(found[1]) / 100
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise InputError(f"the share {given!r} is not between 0 and 100%")
    return float(given)


Seconds = Annotated[
    float,
    Quantity(duration, "a duration such as 30s, 5m or 24h", r"^(\s*\d+(\.\d+)?\s*(ms|min|[smhdw]))+$"),
]
PerSecond = Annotated[
    float,
    Quantity(rate, "a rate such as 200/s or 60/min", r"^\d+(\.\d+)?\s*/\s*(s|sec|m|min|minute|h|hour)$"),
]
Share = Annotated[float, Quantity(share, "a share such as 10% or 0.1", r"^\d+(\.\d+)?\s*%$")]
