"""The two sides of a benchmark: the same calls, through a cache and past it."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any

from apicache import UnifiedAPICache
from apicache.errors import ApicacheError
from apicache.hooks import CacheEvent, Hook
from apicache_scenarios.load.result import Outcome

Answered = tuple[int, int, Outcome]
"""When a call was sent and answered, in nanoseconds, and where its answer came from."""
Ask = Callable[[int], Awaitable[Any]]
"""Makes a case's call."""


class CallsSpentError(ApicacheError):
    """An arm may send no more calls: `max_calls` are made."""

    def __init__(self) -> None:
        super().__init__("the arm's max_calls are made")


class First:
    """The first of an arm's requests of one case that are under way at once: the others share its call."""

    __slots__ = ("answered", "arm", "called")

    def __init__(self, arm: "CachedArm") -> None:
        self.arm = arm
        self.called = False
        self.answered = False


_current: ContextVar[First | None] = ContextVar("apicache_bench_request", default=None)
"""The request that a load stands in: loads run in a copy of their caller's context. None in an arm past the cache."""


def observed(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation's function that tells the arm whose request it answers; it raises CallsSpentError in its stead."""
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def load(*args: Any, **kwargs: Any) -> Any:
            first = load_begins()
            result = await function(*args, **kwargs)
            if first is not None:
                first.answered = True
            return result

        return load

    @functools.wraps(function)
    def load_sync(*args: Any, **kwargs: Any) -> Any:
        first = load_begins()
        result = function(*args, **kwargs)
        if first is not None:
            first.answered = True
        return result

    return load_sync


def load_begins() -> First | None:
    """Note that the current request calls the upstream; raises CallsSpentError when its arm may not."""
    first = _current.get()
    if first is not None:
        first.arm.count_call()
        first.called = True
    return first


def told_by_events(operations: Collection[str]) -> Hook:
    """A hook on `miss` and `load_error`, for operations whose functions cannot be observed: the call was made."""

    def load_ended(event: CacheEvent) -> None:
        first = _current.get()
        if first is not None and event.operation in operations:
            first.arm.calls += 1
            first.called = first.answered = True

    return load_ended


class Arm(ABC):
    """Makes cases' calls one way. `operations` has each case's operation."""

    uses_cache: bool

    def __init__(self, name: str, operations: Sequence[str], max_calls: int | None = None) -> None:
        self.name = name
        self.operations = operations
        self.calls = 0
        """Calls to the upstream so far."""
        self._max_calls = max_calls

    @property
    def is_spent(self) -> bool:
        """Whether it may send no more calls."""
        return self._max_calls is not None and self.calls >= self._max_calls

    def count_call(self) -> None:
        """Note that a call goes out; raises CallsSpentError when none may."""
        if self.is_spent:
            raise CallsSpentError
        self.calls += 1

    @abstractmethod
    async def call(self, key: int) -> Answered:
        """Make a case's call. Raises what the call raises."""

    def was_refused(self, error: BaseException) -> bool:
        """Whether a call failed because the arm may send no more."""
        return isinstance(root_cause(error), CallsSpentError)

    def error_class(self, error: BaseException) -> str:
        """`HTTP 500` for an error answer, else the class of the innermost cause: `ConnectionRefusedError`."""
        status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status_code", None)
        return f"HTTP {status}" if isinstance(status, int) else type(root_cause(error)).__name__

    def cache_state(self) -> Mapping[str, Any]:
        """Where its cache stands now."""
        return {"at_start": "none"}

    async def aclose(self) -> None:  # noqa: B027 - most arms hold nothing open
        """Release what it holds open."""


class DirectArm(Arm):
    """Goes past the cache: every request is a call."""

    uses_cache = False

    def __init__(self, name: str, operations: Sequence[str], ask: Ask, max_calls: int | None = None) -> None:
        super().__init__(name, operations, max_calls)
        self._ask = ask

    async def call(self, key: int) -> Answered:
        """Make the call; its outcome is a miss."""
        self.count_call()
        sent = perf_counter_ns()
        await self._ask(key)
        return sent, perf_counter_ns(), "miss"


class CachedArm(Arm):
    """Goes through a cache, whose loads tell it of themselves: see `observed`."""

    uses_cache = True

    def __init__(
        self,
        name: str,
        operations: Sequence[str],
        ask: Ask,
        cache: UnifiedAPICache,
        max_calls: int | None = None,
    ) -> None:
        super().__init__(name, operations, max_calls)
        self.cache = cache
        self._ask = ask
        self._under_way: dict[int, First] = {}
        self._state_before = cache_state(cache)

    async def call(self, key: int) -> Answered:
        """Make the call and tell its outcome."""
        running = self._under_way.get(key)
        first = running or self._under_way.setdefault(key, First(self))
        # Once the first has its answer the cache holds it, though the first may still be busy storing it on disk.
        waits = running is not None and not running.answered
        _current.set(first)
        try:
            sent = perf_counter_ns()
            await self._ask(key)
            answered = perf_counter_ns()
        finally:
            if running is None:
                del self._under_way[key]
        if running is None:
            return sent, answered, "miss" if first.called else "hit"
        return sent, answered, "coalesced" if waits and first.called else "hit"

    def cache_state(self) -> Mapping[str, Any]:
        """What the cache held at the start, what it holds, and what it did since."""
        before, now = self._state_before, cache_state(self.cache)
        entries = sum(tier["entries"] for tier in before["tiers"].values())
        stored = now["stored"] - before["stored"]
        held = [tier for tier in now["tiers"].values() if tier["entries"]]
        return {
            "at_start": "filled" if entries else "empty",
            "mode": self.cache.mode,
            "entries_at_start": entries,
            "entries_stored": stored,
            "hits_by_tier": _since(before["tier_hits"], now["tier_hits"]),
            "coalesced": now["coalesced"] - before["coalesced"],
            "disk_bytes": now["tiers"].get("disk", {}).get("bytes", 0),
            "entry_bytes": held[0]["bytes"] / held[0]["entries"] if held else None,
            "tiers": now["tiers"],
        }


def cache_state(cache: UnifiedAPICache) -> dict[str, Any]:
    """A cache's counters, and what each of its tiers holds."""
    stats = cache.get_stats()
    stack = cache._engine.tiers  # noqa: SLF001 - the runtime tells of near tiers only: reading the others does I/O
    sizes = {tier.name: stack.guarded(tier, tier.size) for tier in (*stack.near, *stack.far)}
    return {
        "stored": stats["stored"],
        "tier_hits": dict(stats["tier_hits"]),
        "coalesced": stats["coalesced"],
        "tiers": {name: {"entries": size.entries, "bytes": size.bytes} for name, size in sizes.items() if size},
    }


def root_cause(error: BaseException) -> BaseException:
    """The innermost of what an error was raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _since(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
