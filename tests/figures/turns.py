"""Figures that are ratios of runs in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

ROUNDS = 15

Turn = Callable[[], object]
"""Makes the calls that one reading of the clock is for."""
Seconds = Sequence[float]
"""What one call took, in each round."""


class Figure(NamedTuple):
    """One measured ratio, length or count, and the bound it must keep."""

    work: str
    measured: str
    bound: str
    kept: bool


def in_turns(
    turns: Mapping[str, Turn], calls: int, clock: Callable[[], float] = time.process_time, rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds a call of each turn, which makes `calls` of them, by round; after a round that is not counted.

    The collector stays on: what a peer leaves behind is part of its price.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            started = clock()
            turn()
            taken = clock() - started
            if number:
                seconds[name].append(taken / calls)
    return seconds


def ratio(one: Seconds, other: Seconds) -> float:
    """The median of `one` over `other`, round by round."""
    return statistics.median(first / second for first, second in zip(one, other, strict=True))


def at_most(bound: float, work: str, ours: Seconds, other: Seconds) -> Figure:
    """We take no longer than `bound` times the other."""
    measured = ratio(ours, other)
    return Figure(work, _measured(measured, ours, other), f"at most {bound:g}x", measured <= bound)


def times_faster(bound: float, work: str, ours: Seconds, other: Seconds) -> Figure:
    """The other takes at least `bound` times as long as we do."""
    measured = ratio(other, ours)
    wanted = "faster" if bound == 1 else f"at least {bound:g}x faster"
    return Figure(work, _measured(measured, ours, other), wanted, measured >= bound)


def added(one: Seconds, other: Seconds) -> list[float]:
    """Both together, round by round."""
    return [first + second for first, second in zip(one, other, strict=True)]


def _measured(measured: float, ours: Seconds, other: Seconds) -> str:
    return f"{measured:.2f}x ({_micros(ours)} against {_micros(other)} µs)"


def _micros(seconds: Seconds) -> str:
    return f"{statistics.median(seconds) * 1e6:,.3g}"
