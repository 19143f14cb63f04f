"""The breaker of a tier: after a failure it is left alone for a while, then one caller tries it."""

import threading
from typing import Final, Literal

from apicache.clock import Clock

_PROBE_LOST_SECONDS: Final = 1.0
"""A probe without a report after this long (or the open time, if longer) died with its caller: another may try."""


class Breaker:
    """Closed until a failure; then open, then half-open: one probe decides. Nygard, "Release It!" (2007), chapter 5.

    Whoever was allowed reports `succeeded` or `failed`. Each failed probe doubles the open time, up to a bound; a
    success ends the doubling. Reports of calls that began before it opened change nothing while it is open. All times
    are monotonic seconds.
    """

    def __init__(self, clock: Clock, open_seconds: float = 0.5, max_open_seconds: float = 30.0) -> None:
        self._clock = clock
        self._first_seconds = min(open_seconds, max_open_seconds)
        self._max_seconds = max_open_seconds
        self._probe_seconds = max(open_seconds, _PROBE_LOST_SECONDS)
        self._open_seconds = self._first_seconds
        self._probe_at: float | None = None
        """When the next probe may pass; None while closed."""
        self._probing = False
        self._probe = 0
        """The number of the latest probe, from 1."""
        self.after_fork()

    def after_fork(self) -> None:
        """Take a new lock, for a thread that is gone may have held the old one; a parent's probe counts as lost."""
        self._lock = threading.RLock()

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """Open lasts until a probe is asked for, not merely until its time is over."""
        with self._lock:
            if self._probe_at is None:
                return "closed"
            return "half-open" if self._probing else "open"

    def allows(self) -> bool:
        """Whether the caller may use the tier now; the caller that gets True while it is open is the probe."""
        return self.admits() is not None

    def admits(self) -> int | None:
        """As `allows`: None where the caller may not; 0 while it is closed; else the number of the probe it is."""
        if self.is_closed():  # without the lock: at worst one more call reaches a tier that just failed
            return 0
        with self._lock:
            if self._probe_at is None:
                return 0
            now = self._clock.monotonic()
            if now < self._probe_at:
                return None
            self._probing = True
            self._probe += 1
            self._probe_at = now + self._probe_seconds
            return self._probe

    def is_due(self) -> bool:
        """Whether `allows` would say so; takes no probe."""
        at = self._probe_at
        return at is None or self._clock.monotonic() >= at

    def given_back(self, probe: int) -> None:
        """What was admitted has ended without telling anything of the tier: another may be that probe, at once."""
        with self._lock:
            if probe and probe == self._probe and self._probing:
                self._probing = False
                self._probe_at = self._clock.monotonic()

    def succeeded(self) -> None:
        """The tier answered: a probe's success closes the breaker."""
        if self.is_closed():
            return
        with self._lock:
            if self._probing:
                self._probing = False
                self._probe_at = None
                self._open_seconds = self._first_seconds

    def failed(self) -> None:
        """The tier failed: opens the breaker, or opens it again for twice as long when it was the probe."""
        with self._lock:
            if self._probing:
                self._open_seconds = min(2 * self._open_seconds, self._max_seconds)
            elif self._probe_at is not None:
                return
            self._probing = False
            self._probe_at = self._clock.monotonic() + self._open_seconds

    def is_closed(self) -> bool:
        """Whether the tier is in order, as far as is known."""
        return self._probe_at is None
