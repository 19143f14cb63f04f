"""How providers stand: what each answered, failed and cost so far, and whether it may be asked now."""

import logging
import threading
from collections import Counter
from typing import Any, Final

from apicache import forks
from apicache.breaker import Breaker
from apicache.chain.failures import NotAskedError
from apicache.clock import Clock
from apicache.provider import WORTH_A_RETRY, ProviderError, Tokens

_log = logging.getLogger("apicache")

FAILURES_MAX: Final = 6
"""Failed attempts in a row that open the breaker: of a provider that fails one in ten, one row in a million."""
_OPEN_SECONDS: Final = 1.0
_OPEN_SECONDS_MAX: Final = 30.0
_DECAY: Final = 0.2
"""The weight of the latest answer in the mean of the latencies."""


class Standing:
    """How one provider stands. Safe for threads."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._last: tuple[str, int | None, float] = ("", None, 0.0)
        """What the last failed attempt ended with: the text, the status, and until when the upstream asks to wait."""
        self.breaker = Breaker(clock, _OPEN_SECONDS, _OPEN_SECONDS_MAX)
        self.latency: float | None = None
        """A decayed mean of the seconds that its answers took."""
        self._in_a_row = 0
        self._calls = self._answers = self._retries = 0
        self._errors: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._cost = 0.0
        self._after_fork()
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self.breaker.after_fork()

    def begin(self) -> None:
        """An attempt begins; raises NotAskedError while its breaker is open."""
        if not self.breaker.allows():
            self.not_asked()
            raise self._left_alone()
        with self._lock:
            self._calls += 1

    def _left_alone(self) -> NotAskedError:
        """The error in the place of an attempt, with what the upstream answered last."""
        with self._lock:
            told, status, until = self._last
        wait = until - self._clock.monotonic()
        return NotAskedError(
            f"{self.name} has failed {FAILURES_MAX} times in a row: it is left alone; at last, {told}",
            "unavailable",
            status=status,
            retry_after=wait if wait > 0 else None,
        )

    def withdrawn(self) -> None:
        """The attempt that began is not made after all."""
        with self._lock:
            self._calls -= 1

    def answered(self, seconds: float, tokens: Tokens, cost: float | None) -> None:
        """The attempt ended with an answer."""
        self.breaker.succeeded()
        with self._lock:
            self._in_a_row = 0
            self._answers += 1
            self.latency = seconds if self.latency is None else self.latency + _DECAY * (seconds - self.latency)
            self._cost += cost or 0.0
            for name in tokens.__struct_fields__:
                self._tokens[name] += getattr(tokens, name)

    def failed(self, error: ProviderError) -> None:
        """The attempt ended with an error; those that say nothing against the provider leave its breaker alone."""
        until = self._clock.monotonic() + (error.retry_after or 0.0)
        with self._lock:
            self._last = (str(error), error.status, until)
            self._errors[error.kind] += 1
            self._in_a_row = self._in_a_row + 1 if error.kind in WORTH_A_RETRY else 0
            opens = self._in_a_row >= FAILURES_MAX
        if opens or (error.kind in WORTH_A_RETRY and not self.breaker.is_closed()):
            self.breaker.failed()
        elif error.kind not in WORTH_A_RETRY:
            self.breaker.succeeded()

    def abandoned(self) -> None:
        """Nobody waited for the end of an answer that had begun."""
        self.breaker.succeeded()
        with self._lock:
            self._errors["abandoned"] += 1

    def not_asked(self) -> None:
        """Count an attempt that was not made."""
        with self._lock:
            self._errors["not_asked"] += 1

    def retried(self, operation: str, attempt: int) -> None:
        """Count an attempt after the first, and tell of it."""
        with self._lock:
            self._retries += 1
            told = self._last[0]
        _log.info("%s is asked again for %s, attempt %d: %s", self.name, operation, attempt, told)

    def as_dict(self) -> dict[str, Any]:
        """The counts under their public names."""
        with self._lock:
            return {
                "calls": self._calls,
                "answers": self._answers,
                "retries": self._retries,
                "errors": dict(self._errors),
                "latency_seconds": self.latency,
                "breaker": self.breaker.state,
                "tokens": {name: self._tokens[name] for name in Tokens.__struct_fields__},
                "cost": self._cost,
            }
