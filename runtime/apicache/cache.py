"""`UnifiedAPICache`: the process-wide cache, and isolated ones for tests and tools."""

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypedDict, Unpack, final

from apicache.batching.entries import checked_call, numbered
from apicache.batching.many import check_bounds, filled_in, missing_in
from apicache.batching.spreading import spread
from apicache.bound import BoundOperation
from apicache.clock import Clock, SystemClock
from apicache.engine import Engine
from apicache.errors import InputError, did_you_mean
from apicache.hooks import EventKind, Hook
from apicache.markers import Scope
from apicache.modes import Switch
from apicache.operations import Operation, OperationTable
from apicache.planning import Plan
from apicache.policy import PolicyOptions, checked
from apicache.resources import Setup
from apicache.surface import CallSurface
from apicache.tier import Tier
from apicache.warming import OnOutcome, WarmOutcome, refused, warm

if TYPE_CHECKING:
    from pathlib import Path

    from apicache.chain.senders import Sender
    from apicache.chain.settings import ProviderOptions, ProviderSettings


class Concerned(TypedDict, total=False):
    """What an invalidation concerns."""

    key: str
    tags: Sequence[str]
    prefix: str
    operation: str
    everything: bool


_KEY: Final = "[0-9a-f]{64}"


def _defaults() -> ModuleType:
    """Settings and tiers, imported with the first call: 6 ms that `import apicache` does not cost."""
    from apicache import defaults  # noqa: PLC0415

    return defaults


def _builtin(engine: Engine) -> Mapping[str, Operation]:
    """What providers offer, imported when a name is looked up that the application has not registered."""
    from apicache.chain import builtin  # noqa: PLC0415

    return builtin.operations_of(engine.setup.providers)


@final
class UnifiedAPICache(CallSurface):
    """One cache for all of a process's external API calls.

    `UnifiedAPICache()` is always the same, process-wide instance; its tiers and mode are set up on first use.
    `UnifiedAPICache.create(...)` makes an isolated one.
    """

    _process_wide: ClassVar["UnifiedAPICache | None"] = None
    _building: ClassVar[threading.Lock] = threading.Lock()

    def __new__(cls) -> "UnifiedAPICache":
        """The process-wide instance."""
        with cls._building:
            if cls._process_wide is None:
                cls._process_wide = cls._new(lambda: _defaults().project_setup(), SystemClock())
            return cls._process_wide

    @classmethod
    def create(
        cls,
        *,
        tiers: Sequence[Tier] | None = None,
        directory: "Path | str | None" = None,
        clock: Clock | None = None,
        mode: str = "on",
        policy: PolicyOptions | None = None,
        hooks: Sequence[Hook] = (),
        allow_modules: Sequence[str] = (),
        tier_timeout: float = 0.25,
        usage_log: bool = False,
        providers: "ProviderOptions | None" = None,
        sender: "Sender | None" = None,
    ) -> "UnifiedAPICache":
        """An isolated cache.

        It has the given tiers, from nearest to farthest; or memory and a disk tier in `directory`; or memory alone.
        `mode` is `off`, `observe`, `shadow`, `on`, or a percentage of the keys; `policy` lies under each operation's
        own; `tier_timeout` is in seconds; `usage_log` needs a directory; `providers` is what otherwise
        `[tool.apicache.providers]` sets, `sender` what their requests are sent by. Raises InputError for what does
        not fit.
        """
        if tiers is not None:
            _check_tiers(tiers, directory)
        if usage_log and directory is None:
            raise InputError("usage_log needs a directory to lie in; give directory=...")
        options: dict[str, Any] = dict(policy or {})
        checked(options)
        switch = Switch.parse(mode)

        def build_tiers() -> Sequence[Tier]:
            if tiers is not None:
                return tiers
            defaults = _defaults()
            built: Sequence[Tier] = defaults.memory_alone() if directory is None else defaults.tiers_in(directory)
            return built

        setup = Setup(
            build_tiers=build_tiers,
            switch=switch,
            global_options=options,
            allow_modules=tuple(allow_modules),
            timeout=tier_timeout,
            build_usage_log=(lambda: _defaults().usage_log_in(directory)) if usage_log else None,
            providers=None if providers is None else _provider_settings(providers),
            sender=sender,
        )
        cache = cls._new(lambda: setup, clock or SystemClock())
        for hook in hooks:
            cache.add_hook(hook)
        return cache

    @classmethod
    def _new(cls, find_setup: Callable[[], Setup], clock: Clock) -> "UnifiedAPICache":
        cache = super().__new__(cls)
        cache._engine = Engine(find_setup, clock)
        cache._operations = OperationTable(lambda: _builtin(cache._engine))
        cache._operation, cache._options = None, {}
        cache._bound, cache._policies = {}, {}
        return cache

    @contextlib.contextmanager
    def isolated(self, *, clock: Clock | None = None) -> Iterator["UnifiedAPICache"]:
        """This cache, for the length of a test: on, empty, in memory alone, on that clock; then as it was."""
        before = self._engine
        setup = Setup(build_tiers=lambda: _defaults().memory_alone())
        self._engine = Engine(lambda: setup, clock or SystemClock())
        try:
            yield self
        finally:
            self.close()
            self._engine = before

    @property
    def clock(self) -> Clock:
        """The clock that it goes by."""
        return self._engine.clock

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The registered operations by name."""
        return self._operations

    @property
    def callable_operations(self) -> Mapping[str, Operation]:
        """The operations that can be called by name: the registered and the built-in ones."""
        return self._operations.with_builtin()

    @property
    def mode(self) -> str:
        """`on`, `off`, `observe`, `shadow`, or the percentage of the keys that it is on for."""
        return str(self._engine.switch)

    def add_hook(self, hook: Hook, kinds: Sequence[EventKind] | None = None) -> Callable[[], None]:
        """Have `hook` called with a `CacheEvent` for what happens, or for those kinds; gives a function that ends it.

        It runs in the thread of the call; what it raises is logged once. Raises InputError for an async function or an
        unknown kind.
        """
        return self._engine.hooks.add(hook, kinds)

    async def cached_api_calls(
        self,
        calls: Sequence[Mapping[str, Any]],
        *,
        concurrency: int = 16,
        batch_size: int | None = None,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Answers to many calls (`{"operation": ..., **parameters}`), in their order.

        What the tiers have is read at once; the rest is loaded, each key once, at most `concurrency` at a time, sync
        operations one after another in the caller's thread, unless their policy has `threads`; with
        `batch_size` in waves of so many keys, of which one begins when the one before it has ended. Calls of batched
        operations are bounded by these waves and by the operation's own `batch_size` and `concurrency` alone. The first
        exception is raised when all have ended, or each stands in its call's place with `return_exceptions`. Raises
        InputError, before any call, for an unknown operation or a bound below 1.
        """
        check_bounds(concurrency=concurrency, batch_size=batch_size)
        found = [self._look_up_entry(place, call) for place, call in numbered("cached_api_calls", calls)]
        missing = missing_in(found)
        calls_made = tuple(missing.values()) if concurrency == 1 else spread(missing.values())
        loaded = await self._engine.answer_many(calls_made, concurrency, batch_size) if missing else ()
        return filled_in(found, missing, loaded, return_exceptions=return_exceptions)

    def cached_api_calls_sync(
        self,
        calls: Sequence[Mapping[str, Any]],
        *,
        concurrency: int = 1,
        batch_size: int | None = None,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """As `cached_api_calls`, for sync code; a call of an async operation that has to be loaded raises TypeError.

        Loads run in the caller's thread, one after another; with a `concurrency` of more than 1 in threads, but those
        of batched operations.
        """
        from apicache.batching.sync_many import answer_many_sync  # noqa: PLC0415 - for sync code with many calls

        check_bounds(concurrency=concurrency, batch_size=batch_size)
        found = [self._look_up_entry(place, call) for place, call in numbered("cached_api_calls_sync", calls)]
        missing = missing_in(found)
        loaded = answer_many_sync(self._engine, tuple(missing.values()), concurrency, batch_size) if missing else ()
        return filled_in(found, missing, loaded, return_exceptions=return_exceptions)

    def key_of(self, *, operation: str, **parameters: Any) -> str:
        """The key of an operation's call, 64 hexadecimal digits; raises InputError when it has none."""
        plan = self.plan_of(operation=operation, **parameters)
        if plan.key is None:
            raise InputError(f"a call of {operation!r} with these parameters has no key: {plan.bypass}")
        return plan.key.hex()

    async def invalidate(self, **concerned: Unpack[Concerned]) -> None:
        """Forget entries: they are not served again, and what was loading when it was called is not kept either.

        By `key` (hexadecimal digits), `tags`, `prefix` or `operation` (names), or `everything=True`; several are
        several. Other processes follow. Raises InputError when nothing was named.
        """
        await self._engine.off_loop(functools.partial(self.invalidate_sync, **concerned))

    async def expire(self, **concerned: Unpack[Concerned]) -> None:
        """As `invalidate`, but soft: entries are stale, and still served when loading fails within their grace."""
        await self._engine.off_loop(functools.partial(self.expire_sync, **concerned))

    def invalidate_sync(self, **concerned: Unpack[Concerned]) -> None:
        """As `invalidate`, for sync code."""
        places = _places(concerned)
        self._engine.invalidate(places, hard=True)
        keys = [bytes.fromhex(value) for scope, value in places if scope == "key"]
        if keys:
            self._engine.tiers.forget(keys)

    def expire_sync(self, **concerned: Unpack[Concerned]) -> None:
        """As `expire`, for sync code."""
        self._engine.invalidate(_places(concerned), hard=False)

    async def warm_cache(
        self,
        entries: Sequence[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        on_outcome: OnOutcome | None = None,
        return_exceptions: bool = False,
    ) -> list[WarmOutcome]:
        """Make each entry's call (`{"operation": ..., **parameters}`) unless a fresh entry exists.

        Outcomes come in the entries' order, and through `on_outcome` as they happen. Raises InputError, before any
        call, for an unknown operation or parameters that it does not take; with `return_exceptions` such an entry is a
        failed outcome, and the others are warmed.
        """
        plan = self._plan_or_refuse if return_exceptions else self._plan_entry
        plans = [plan(position, entry) for position, entry in numbered("warm_cache", entries)]
        return await warm(self._engine, plans, concurrency, on_outcome)

    def _look_up_entry(self, position: int, entry: object) -> Any:
        return self._from_entry(position, entry, _answered)

    def _plan_entry(self, position: int, entry: object) -> Plan | WarmOutcome:
        planned: Plan = self._from_entry(position, entry, _planned)
        return planned

    def _plan_or_refuse(self, position: int, entry: object) -> Plan | WarmOutcome:
        try:
            return self._plan_entry(position, entry)
        except InputError as error:
            return refused(position, entry, error)

    def _from_entry(self, position: int, given: object, take: Callable[[BoundOperation, dict[str, Any]], Any]) -> Any:
        is_plain = type(given) is dict and "operation" in given  # as nearly all: a function less
        entry = dict(given) if is_plain else checked_call(position, given)  # type: ignore[call-overload] # a dict
        try:
            name = entry.pop("operation")
            bound = self._bound.get(name)
            if bound is None or bound.engine is not self._engine or bound.version != self._operations.version:
                bound = self._bound_operation(name)
            return take(bound, entry)
        except TypeError as error:
            raise InputError(f"entry {position}: {error}") from None

    def get_stats(self) -> dict[str, Any]:
        """What the cache did since it was built.

        `cache_hits`, `cache_misses`, `hit_rate` (0 to 1), `coalesced`, `stale`, `early_refreshes`, `bypassed`,
        `stored`, `not_stored`, `errors` (of tiers), `tier_hits`, `evictions`, `latency_saved_seconds`, `cost_saved`
        (US dollars), `bytes` in memory; over the last minutes under `windows`, all of it also under `operations`;
        and under `providers` each one's calls, errors, latency, tokens, cost, and the state of its breaker.
        """
        return self._engine.stats() | {"providers": self._engine.provider_counts()}

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until refreshes and streams have ended and all is written, at most so long; whether it is."""
        return self._engine.flush(seconds)

    def clear(self) -> None:
        """Forget every entry in every tier."""
        self.invalidate_sync(everything=True)
        self._engine.tiers.clear()

    def close(self) -> None:
        """Write what waits and release what the tiers hold open; the next call opens it again."""
        self._engine.close_providers()
        self._engine.close()


def _check_tiers(tiers: object, directory: object) -> None:
    """Raises InputError for names in the tiers' place, and for a folder beside them."""
    for_names = "memory alone: leave tiers out; memory and a disk tier: directory='...' alone; any others: tiers=[...]"
    if directory is not None:
        raise InputError(f"both tiers and directory were given; a directory is the default disk tier's. {for_names}")
    listed = list(tiers) if isinstance(tiers, Iterable) and not isinstance(tiers, str | Mapping) else None
    if listed is None or not all(hasattr(tier, "get_many") for tier in listed):
        raise InputError(
            f"tiers={tiers!r} is no list of tiers. {for_names} of objects such as "
            "apicache.tiers.memory.MemoryTier(); names belong into [tool.apicache], as tiers = ['memory', 'disk']"
        )


def _provider_settings(options: "ProviderOptions") -> "ProviderSettings":
    from apicache.chain.settings import settings_of  # noqa: PLC0415 - for caches that are given some

    return settings_of(options)


def _answered(bound: BoundOperation, parameters: dict[str, Any]) -> Any:
    return bound.answer(parameters)  # not `BoundOperation.answer`: a built-in operation has its own


def _planned(bound: BoundOperation, parameters: dict[str, Any]) -> Plan:
    return bound.plan(parameters)


def _places(concerned: Concerned) -> list[tuple[Scope, str]]:
    unknown = concerned.keys() - Concerned.__annotations__.keys()
    if unknown:
        name = min(unknown)
        raise InputError(f"{name!r} names nothing to invalidate; {did_you_mean(name, Concerned.__annotations__)}")
    places: list[tuple[Scope, str]] = []
    if concerned.get("everything"):
        places.append(("all", ""))
    places += [("tag", tag) for tag in _texts(concerned.get("tags", ()))]
    if concerned.get("operation"):
        places.append(("operation", _text("operation", concerned["operation"])))
    if concerned.get("prefix"):
        places.append(("prefix", _text("prefix", concerned["prefix"])))
    key = concerned.get("key")
    if key:
        if not re.fullmatch(_KEY, _text("key", key)):
            raise InputError(f"key={key!r} is not a key; give its 64 hexadecimal digits, as key_of returns them")
        places.append(("key", key))
    if not places:
        raise InputError("nothing was named; give key=, tags=, prefix=, operation= or everything=True")
    return places


def _text(name: str, given: object) -> str:
    if not isinstance(given, str):
        raise InputError(f"{name}={given!r} is a {type(given).__name__}; give one text")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name}={given!r} has a lone surrogate; give a text that UTF-8 can encode") from None
    return given


def _texts(tags: object) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise InputError(f"tags={tags!r} is one text; give a list of them")
    if not isinstance(tags, Iterable):
        raise InputError(f"tags={tags!r} is a {type(tags).__name__}; give a list of texts")
    return tuple(_text("a tag", tag) for tag in tags)
