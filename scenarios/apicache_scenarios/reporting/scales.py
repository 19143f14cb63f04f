"""Axes of charts: where a value lies, and which values are named."""

import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

_STEPS: Final = (1, 2, 2.5, 5, 10)
_LINEAR_TICKS: Final = 4


class Axis(NamedTuple):
    """From `low` to `high`, linear or logarithmic; `name` writes a value."""

    low: float
    high: float
    is_log: bool
    name: Callable[[float], str]

    def place(self, value: float, begin: float, end: float) -> float:
        """Where a value lies between two coordinates."""
        low, high, at = (self._scaled(each) for each in (self.low, self.high, max(self.low, min(self.high, value))))
        return begin + (at - low) / ((high - low) or 1.0) * (end - begin)

    def ticks(self, most: int = 6) -> list[float]:
        """The values to name: powers of ten, or round ones."""
        if not self.is_log:
            step = _step((self.high - self.low) / _LINEAR_TICKS)
            first = math.ceil(self.low / step)
            return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
        every = max(1, math.ceil(len(powers) / most))
        return [10.0**power for power in powers[::every]]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_log else value


def logarithmic(values: Iterable[float], name: Callable[[float], str]) -> Axis:
    """An axis of whole decades around the values above 0."""
    above = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(above))), math.ceil(math.log10(max(above)))
    return Axis(10.0**low, 10.0 ** max(high, low + 1), is_log=True, name=name)


def linear(values: Iterable[float], name: Callable[[float], str]) -> Axis:
    """An axis from 0 to a round value at or above the largest."""
    highest = max([*values, 0.0]) or 1.0
    step = _step(highest / _LINEAR_TICKS)
    return Axis(0.0, math.ceil(highest / step - 1e-9) * step, is_log=False, name=name)


def shares(name: Callable[[float], str]) -> Axis:
    """From 0 to 1."""
    return Axis(0.0, 1.0, is_log=False, name=name)


def fitting(values: Iterable[float], name: Callable[[float], str], spread: float = 20.0) -> Axis:
    """Logarithmic where the largest value is that many times the smallest, else linear."""
    found = [value for value in values if value > 0]
    return logarithmic(found, name) if found and max(found) / min(found) > spread else linear(found, name)


def _step(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width)) if width > 0 else 1.0
    return next(step * power for step in _STEPS if step * power >= width * (1 - 1e-9))
