"""A scenario file's workload: its cases, called through the application's cache and past it."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apicache import UnifiedAPICache
from apicache.errors import InputError
from apicache.operations import Operation
from apicache.surface import CallSurface
from apicache_scenarios.application import load_application
from apicache_scenarios.format.declared import register
from apicache_scenarios.format.loading import ScenarioFile, load_files
from apicache_scenarios.format.model import Case
from apicache_scenarios.load.arms import Arm, Ask, CachedArm, DirectArm, observed, told_by_events
from apicache_scenarios.load.embedded import bench_client
from apicache_scenarios.load.own_caches import cache_of, dispose
from apicache_scenarios.load.plan import ArmPlan
from apicache_scenarios.load.workload import Share

if TYPE_CHECKING:
    import httpx

_CONNECTIONS: Final = 1000
"""Of the file's own HTTP operations, at most."""
_THREADS: Final = 256
"""Calls of sync operations under way at once, at most."""


class ScenarioSource(msgspec.Struct, frozen=True, kw_only=True, tag="scenarios"):
    """A file and its application, found again in every process; caches with tiers of their own lie in `directory`."""

    path: str
    application: str | None
    working_directory: str
    directory: str
    population: int

    def open(self, arms: Sequence[ArmPlan], share: Share) -> "ScenarioWorkload":
        """Import the application and read the file; raises InputError as `load_application` and `load_files` do."""
        cache = load_application(self.application, Path(self.working_directory))
        file = read_file(Path(self.path), cache)
        client = bench_client(_CONNECTIONS, "apicache-bench") if file.operations else None
        register(cache, file.operations, client)
        cases = list(islice(file.cases(), self.population))
        return ScenarioWorkload(cache, cases, Path(self.directory), arms, share, client=client)


class ScenarioWorkload:
    """Cases drawn by keys and weights."""

    def __init__(
        self,
        cache: UnifiedAPICache,
        cases: Sequence[Case],
        directory: Path,
        arms: Sequence[ArmPlan],
        share: Share,
        *,
        client: "httpx.AsyncClient | None" = None,
    ) -> None:
        """Caches of its own keep their files in `directory`; `client` is that of the file's own operations."""
        self._client = client
        self._cache, self._cases, self._directory = cache, cases, directory
        self._undo: list[Callable[[], object]] = []
        self._operations = [case.operation for case in cases]
        self._originals = {name: cache.operations[name] for name in set(self._operations) if name in cache.operations}
        self.groups = groups_of(cases)
        self._caches: dict[str, UnifiedAPICache] = {}
        self.arms: Mapping[str, Arm] = {arm.name: self._arm(arm, share) for arm in arms}

    def _arm(self, plan: ArmPlan, share: Share) -> Arm:
        if not plan.uses_cache:
            past = self._cache.using(mode="off")
            return DirectArm(plan.name, self._operations, self._ask(past), plan.max_calls)
        cache = self._cache if plan.tiers is None else self._own_cache(plan)
        self._caches[plan.name] = cache
        self._observe(cache)
        limit = None if plan.max_calls is None else max(1, share.of(plan.max_calls))
        return CachedArm(plan.name, self._operations, self._ask(cache), cache, limit)

    def _own_cache(self, plan: ArmPlan) -> UnifiedAPICache:
        cache = cache_of(plan.tiers or (), self._directory / plan.name, policy={})
        self._undo.append(lambda: dispose(cache))
        for operation in self._originals.values():
            _register(cache, operation, operation.function)
        return cache

    def _observe(self, cache: UnifiedAPICache) -> None:
        """Have the operations' loads tell of themselves.

        A function is wrapped, which leaves the short way of a hit as it is; what is more than a function, a batched or
        built-in operation, tells through a hook.
        """
        plain = {name: each for name, each in self._originals.items() if each.bind is None}
        for operation in plain.values():
            _register(cache, operation, observed(operation.function))
            if cache is self._cache:
                self._undo.append(functools.partial(_register, cache, operation, operation.function))
        others = set(self._operations) - plain.keys()
        if others:
            self._undo.append(cache.add_hook(told_by_events(others), ("miss", "load_error")))

    def _ask(self, surface: CallSurface) -> Ask:
        calls = [case.call() for case in self._cases]
        surfaces = _surfaces(surface, self._cases)
        is_sync = [not self._is_async(name) for name in self._operations]
        if not any(is_sync):
            if surfaces is None:
                return lambda key: surface.cached_api_call(**calls[key])
            return lambda key: surfaces[key].cached_api_call(**calls[key])

        async def ask(key: int) -> Any:
            where = surface if surfaces is None else surfaces[key]
            if is_sync[key]:
                return await asyncio.to_thread(functools.partial(where.cached_api_call_sync, **calls[key]))
            return await where.cached_api_call(**calls[key])

        return ask

    def _is_async(self, name: str) -> bool:
        known = self._originals.get(name)
        return known is None or known.is_async

    async def warm_up(self) -> None:
        """Threads for sync operations."""
        if not all(map(self._is_async, set(self._operations))):
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))

    def costs(self) -> Mapping[str, float]:
        """What the caches saw calls cost, in this run and before it."""
        costs = {}
        for cache in self._caches.values():
            for name, counts in cache.get_stats()["operations"].items():
                saved, hits = counts.get("cost_saved", 0.0), counts.get("cache_hits", 0)
                if saved and hits:
                    costs[name] = saved / hits
        return costs

    async def aclose(self) -> None:
        """Close the client of the file's operations; others are the application's."""
        if self._client is not None:
            await self._client.aclose()

    def close(self) -> None:
        """Dispose of the benchmark's caches; the application's has its own functions again."""
        for undo in reversed(self._undo):
            undo()
        self._cache.flush()


def read_file(path: Path, cache: UnifiedAPICache) -> ScenarioFile:
    """The file, held against the application's operations; raises InputError."""
    (file,) = load_files([path], cache.callable_operations)
    return file


def counted(path: Path, file: ScenarioFile) -> int:
    """How many cases a run draws from: the file's, at most as many as its keys' population; raises InputError."""
    number = sum(1 for _ in islice(file.cases(), file.bench.keys.population))
    if not number:
        raise InputError(f"{path}: no case to ask for; list at least one under scenarios:")
    return number


def groups_of(cases: Sequence[Case]) -> list[tuple[float, list[int]]]:
    """Each entry's weight and the numbers of its cases."""
    groups: dict[tuple[Path, int], tuple[float, list[int]]] = {}
    for number, case in enumerate(cases):
        groups.setdefault((case.path, case.line), (case.weight, []))[1].append(number)
    return [group for group in groups.values() if group[0] > 0]


def _surfaces(surface: CallSurface, cases: Sequence[Case]) -> list[CallSurface] | None:
    """The surface that each case is called on; None when no case has a ttl of its own."""
    lifetimes = {case.ttl for case in cases}
    if lifetimes == {None}:
        return None
    views = {ttl: surface if ttl is None else surface.using(ttl=ttl) for ttl in lifetimes}
    return [views[case.ttl] for case in cases]


def _register(cache: UnifiedAPICache, operation: Operation, function: Callable[..., Any]) -> None:
    """Register an operation with a function in place of its own, or with its own again."""
    if operation.bind is None:
        cache.operation(operation.name, **operation.options)(function)
    else:
        cache._operations.register(operation)  # noqa: SLF001 - a batched operation is described by more than its options
