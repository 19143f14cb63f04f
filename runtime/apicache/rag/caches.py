"""Caches for the RAG service, all of them this package's own behind the service's interfaces."""

from typing import Any, Final, Unpack

import msgspec

from apicache.cache import UnifiedAPICache
from apicache.clock import Clock
from apicache.core import Route
from apicache.planning import Plan, plan_callable
from apicache.policy import Duration, PolicyOptions
from apicache.rag.parts import IRAGCache, IRAGQueryExecutor, RAGQuery, RAGResult, rag_key
from apicache.records import RecordTypes
from apicache.tiers.memory import MemoryTier

_DEFAULT_TTL: Final = "30m"


class UnifiedRAGCache(IRAGCache):
    """A `UnifiedAPICache`, the process-wide one if none is given, with its tiers, statistics and invalidation."""

    def __init__(
        self,
        cache: UnifiedAPICache | None = None,
        *,
        operation: str = "rag",
        **policy: Unpack[PolicyOptions],
    ) -> None:
        """`operation` names the results in statistics and for `invalidate(operation=...)`; their ttl is 30 minutes.

        Raises InputError for a bad policy option.
        """
        self._cache = UnifiedAPICache() if cache is None else cache
        self._operation = operation
        self._options: dict[str, Any] = {"ttl": _DEFAULT_TTL, **policy}
        self._cache.using(**policy)

    async def get(self, key: str) -> RAGResult | None:
        """As the interface says."""
        plan, route = self._plan(key, _Given(None))
        if route is not Route.CACHE:
            return None
        answer, _ = await self._cache.engine.look_up(plan)
        return None if answer is None else answer.value

    async def set(self, key: str, result: RAGResult) -> None:
        """As the interface says; nothing while the cache is off."""
        plan, route = self._plan(key, _Given(result))
        if route is not Route.CACHE:
            return
        answer, _ = await self._cache.engine.look_up(plan)
        if answer is not None:
            await self._cache.invalidate(key=(plan.key or b"").hex())
            plan, _ = self._plan(key, _Given(result))
        await self._cache.engine.answer(plan)

    def _plan(self, key: str, given: "_Given") -> tuple[Plan, Route]:
        engine = self._cache.engine
        policy = engine.policy(self._operation, self._options, {"key": key})
        plan = plan_callable(given.result, (), {}, self._operation, policy)
        plan.types = RecordTypes.of(given.result, engine.setup.allow_modules)
        return plan, engine.route(plan)


class _Given:
    """What is to be kept, as a load."""

    def __init__(self, kept: RAGResult | None) -> None:
        self._kept = kept

    def result(self) -> RAGResult:
        if self._kept is None:
            raise LookupError("looked up only")
        return self._kept


class InMemoryRAGCache(UnifiedRAGCache):
    """Results in this process, in a cache of its own: bounded in entries and bytes, each kept for a time."""

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 2**20,
        ttl: Duration = _DEFAULT_TTL,
        clock: Clock | None = None,
    ) -> None:
        """Past a bound, what was read least goes."""
        tier = MemoryTier(max_bytes=max_bytes, max_entries=max_entries)
        self.cache = UnifiedAPICache.create(tiers=[tier], clock=clock)
        super().__init__(self.cache, ttl=ttl)


class CachedRAGQueryExecutor(IRAGQueryExecutor):
    """Another executor's queries through `cached_api_call`: concurrent callers share one execution.

    Its entries have the tag `rag-profile:<profile id>`. A failed result reaches all who wait for it, and is not kept.
    """

    def __init__(
        self,
        executor: IRAGQueryExecutor,
        cache: UnifiedAPICache | None = None,
        *,
        operation: str = "rag_query",
        **policy: Unpack[PolicyOptions],
    ) -> None:
        """As `UnifiedRAGCache`; tags of the policy's own come in the place of the profile's."""
        self._executor = executor
        self._cache = UnifiedAPICache() if cache is None else cache
        self._operation = operation
        self._options: PolicyOptions = {"ttl": _DEFAULT_TTL, **policy}
        self._cache.using(**policy)

    @property
    def namespace(self) -> str:
        """The other executor's."""
        return self._executor.namespace

    async def execute_query(self, profile_id: int | str, query: RAGQuery) -> RAGResult:
        """The result, `from_cache` when this call did not execute it; raises what the executor raises."""
        key = rag_key(self.namespace, profile_id, query)
        if key is None:
            return await self._executor.execute_query(profile_id, query)
        execution = _Execution(self._executor, profile_id, query)
        options: PolicyOptions = {"tags": [f"rag-profile:{profile_id}"], **self._options, "key": key}
        view = self._cache.using(self._operation, **options)
        try:
            result = await view.cached_api_call(execution.result)
        except _FailedError as failed:
            result = failed.result
        return msgspec.structs.replace(result, from_cache=not execution.has_run)


class _FailedError(Exception):
    """A result that is a failure: raised, it is not stored."""

    def __init__(self, result: RAGResult) -> None:
        super().__init__("the query failed")
        self.result = result


class _Execution:
    def __init__(self, executor: IRAGQueryExecutor, profile_id: int | str, query: RAGQuery) -> None:
        self._executor, self._profile_id, self._query = executor, profile_id, query
        self.has_run = False

    async def result(self) -> RAGResult:
        self.has_run = True
        result = await self._executor.execute_query(self._profile_id, self._query)
        if not result.success:
            raise _FailedError(result)
        return result
