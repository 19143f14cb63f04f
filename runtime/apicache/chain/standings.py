"""How providers stand: what each answered, failed and cost so far, and whether it may be asked now."""

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from apicache import forks
from apicache.breaker import Breaker
from apicache.chain.failures import NotAskedError
from apicache.clock import Clock
from apicache.provider import FALLS_THROUGH, WORTH_A_RETRY, ErrorKind, ProviderError, Tokens

_log = logging.getLogger("apicache")

FAILURES_MAX: Final = 6
"""Failed attempts in a row that open the breaker: of a provider that fails one in ten, one row in a million."""
_FAILING: Final = 2
"""Failed attempts in a row after which a stored answer of another provider is enough: those of one call, by default."""
_OPEN_SECONDS: Final = 1.0
_OPEN_SECONDS_MAX: Final = 30.0
WAIT_MAX: Final = 60.0
"""Seconds that a provider is left alone at most because it asked for it: who names an hour is asked each minute."""
_MODELS_MAX: Final = 1000
_DECAY: Final = 0.2
"""The weight of the latest answer in the mean of the latencies."""


class _Wait(NamedTuple):
    """A provider's word that it is to be left alone; `until` in monotonic seconds."""

    until: float
    told: str
    kind: ErrorKind
    status: int | None


class Standing:
    """How one provider stands. Safe for threads."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._last: tuple[str, int | None, float] = ("", None, 0.0)
        """What the last failed attempt ended with: the text, the status, and until when the upstream asks to wait."""
        self._waits: dict[str, _Wait] = {}
        """By model: a rate limit is a model's own."""
        self._failing, self._failed_at = 0, 0.0
        """How many of the last attempts failed, in a way that another provider need not, and when the last one did."""
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

    def check(self) -> None:
        """Raises NotAskedError while its breaker is open; takes no probe."""
        if not self.breaker.is_due():
            self.not_asked()
            raise self._left_alone()

    @contextlib.contextmanager
    def attempt(self, model: str) -> Iterator[None]:
        """Around an attempt, of which a failure is noted; raises NotAskedError while its breaker is open.

        One that ends without an answer or a ProviderError, such as a cancelled one, gives the breaker's probe back.
        """
        probe = self.breaker.admits()
        if probe is None:
            self.not_asked()
            raise self._left_alone()
        with self._lock:
            self._calls += 1
        try:
            yield
        except ProviderError as error:
            self.failed(error, model)
            raise
        except BaseException:
            self.breaker.given_back(probe)
            raise

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

    def waits(self, model: str) -> float:
        """Seconds for which it is to be left alone, by its own word; 0 for none."""
        wait = self._waits.get(model)
        return 0.0 if wait is None else max(0.0, wait.until - self._clock.monotonic())

    def told_to_wait(self, model: str) -> NotAskedError:
        """The error in the place of an attempt within that time."""
        wait, left = self._waits[model], self.waits(model)
        self.not_asked()
        told = f"{self.name} was not asked: it is left alone for another {left:.3g} s, as it asked for; {wait.told}"
        return NotAskedError(told, wait.kind, status=wait.status, retry_after=left)

    def passed_over(self) -> NotAskedError:
        """The error in the place of an attempt that a stored answer of another provider makes needless."""
        self.not_asked()
        told = f"{self.name} was not asked: it failed a moment ago, and what another one answered then is stored"
        return NotAskedError(told, "unavailable")

    def is_ready(self) -> bool:
        """Whether it can be counted on, as far as is known."""
        return self.breaker.is_closed() and not any(map(self.waits, list(self._waits)))

    def fails(self, model: str) -> bool:
        """Whether it is left alone, or has failed again and again until a moment ago."""
        is_failing = self._failing >= _FAILING and self._clock.monotonic() - self._failed_at < _OPEN_SECONDS_MAX
        return is_failing or not self.breaker.is_closed() or self.waits(model) > 0

    def answered(self, seconds: float, tokens: Tokens, cost: float | None) -> None:
        """The attempt ended with an answer."""
        self.breaker.succeeded()
        with self._lock:
            self._in_a_row = 0
            self._failing = 0
            self._answers += 1
            self.latency = seconds if self.latency is None else self.latency + _DECAY * (seconds - self.latency)
            self._cost += cost or 0.0
            for name in tokens.__struct_fields__:
                self._tokens[name] += getattr(tokens, name)

    def failed(self, error: ProviderError, model: str) -> None:
        """The attempt ended with an error; those that say nothing against the provider leave its breaker alone."""
        now = self._clock.monotonic()
        until = now + (error.retry_after or 0.0)
        with self._lock:
            self._last = (str(error), error.status, until)
            self._failing, self._failed_at = (self._failing + 1 if error.kind in FALLS_THROUGH else 0), now
            if error.retry_after and error.kind in WORTH_A_RETRY:
                if len(self._waits) >= _MODELS_MAX:  # names come from callers
                    del self._waits[next(iter(self._waits))]
                self._waits[model] = _Wait(now + min(error.retry_after, WAIT_MAX), str(error), error.kind, error.status)
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
            self._failing = 0
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
