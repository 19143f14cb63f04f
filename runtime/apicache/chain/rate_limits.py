"""Rate limits of providers, by the library `limits`: its notation, and its moving window over this cache's clock."""

import threading
from collections import deque
from typing import Any

import limits
from limits.storage.base import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from apicache import forks
from apicache.clock import Clock


class RateLimit:
    """So many calls in any window of that length, such as `60/minute`; raises ValueError for another notation."""

    def __init__(self, given: str, clock: Clock) -> None:
        self._clock = clock
        self._limit = limits.parse(given)
        self._limiter = MovingWindowRateLimiter(_Windows(clock))

    def wait(self) -> float:
        """Take a place in the window: 0 when there was one, else the seconds until there is one to try for."""
        if self._limiter.hit(self._limit):
            return 0.0
        return max(self._limiter.get_window_stats(self._limit).reset_time - self._clock.monotonic(), 0.001)


class _Windows(Storage, MovingWindowSupport):
    """The moments of the latest calls. The library's own storage reads the system's clock, and starts a thread."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._moments: dict[str, deque[float]] = {}
        self._renew_lock()
        forks.on_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether so many more calls fit into the window that ends now; they are in it then."""
        with self._lock:
            moments, now = self._within(key, expiry), self._clock.monotonic()
            if len(moments) + amount > limit:
                return False
            moments.extend([now] * amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - the library's
        """The oldest call in the window that ends now, and how many there are."""
        with self._lock:
            moments = self._within(key, expiry)
            return (moments[0] if moments else self._clock.monotonic()), len(moments)

    def _within(self, key: str, expiry: int) -> deque[float]:
        moments = self._moments.setdefault(key, deque())
        since = self._clock.monotonic() - expiry
        while moments and moments[0] <= since:
            moments.popleft()
        return moments

    # What the library's other strategies would need.

    @property
    def base_exceptions(self) -> type[Exception]:
        """None of its own."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Not for a moving window."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Not for a moving window."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Not for a moving window."""
        raise NotImplementedError

    def check(self) -> bool:
        """It is always there."""
        return True

    def reset(self) -> int | None:
        """Forget every call."""
        self._moments.clear()
        return None

    def clear(self, key: str) -> Any:
        """Forget the calls of a key."""
        self._moments.pop(key, None)
