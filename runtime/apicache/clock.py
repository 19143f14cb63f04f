"""Time, injected: the runtime never asks the system clock itself."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, both in seconds."""

    def now(self) -> float:
        """Wall time since the epoch, comparable between processes; entries are dated with it."""

    def monotonic(self) -> float:
        """A reading for durations inside this process."""


class SystemClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.perf_counter)


class ManualClock:
    """A clock for tests: it stands still until `advance` is called."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """The time it was set to, in seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """The same reading: durations follow `advance` too."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._now += seconds
