"""The batched RAG service: many queries about one profile at once, each answered, or failing, by itself.

Everything is injected: who executes a query, what caches its result, what counts. A cache that fails is gone without.
"""

import asyncio
import contextlib
import copy
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from apicache.rag.parts import (
    BatchedRAGRequest,
    IRAGCache,
    IRAGMetrics,
    IRAGQueryExecutor,
    RAGQuery,
    RAGResult,
    rag_key,
)
from apicache.scrubbing import told

_log = logging.getLogger("apicache")

TIMED_OUT: Final = "timeout"
"""The error of a query that took longer than its request's `timeout`."""
FAILED: Final = "failed"
"""What metrics are told of a result that its executor itself calls a failure: its own words may hold anything."""


class BatchedRAGService:
    """Answers batches of queries."""

    def __init__(
        self,
        query_executor: IRAGQueryExecutor,
        cache: IRAGCache | None = None,
        metrics: IRAGMetrics | None = None,
        *,
        cache_timeout: float = 0.25,
    ) -> None:
        """`cache_timeout` is in seconds: a cache that takes longer counts as one that failed."""
        self._executor, self._cache, self._metrics = query_executor, cache, metrics
        self._cache_timeout = cache_timeout

    async def execute_batch(self, request: BatchedRAGRequest) -> list[RAGResult]:
        """The results in the queries' order; equal queries are executed once, a failing one fails alone."""
        started = time.monotonic()
        alike: dict[str | int, list[int]] = {}
        for position, query in enumerate(request.queries):
            alike.setdefault(self._key(request, query) or position, []).append(position)
        results: dict[int, RAGResult] = {}
        gate = asyncio.Semaphore(request.max_concurrency)

        async def answer(key: str | int, positions: Sequence[int]) -> None:
            async with gate:
                result = await self._answer(request, request.queries[positions[0]], key)
            results.update((position, _copy(result) if place else result) for place, position in enumerate(positions))

        waiting = list(alike.items())
        for begin in range(0, len(waiting), request.batch_size):
            async with asyncio.TaskGroup() as queries:
                for key, positions in waiting[begin : begin + request.batch_size]:
                    queries.create_task(answer(key, positions))
        ordered = [results[position] for position in range(len(request.queries))]
        self._tell(lambda metrics: metrics.record_batch(len(ordered), len(waiting), time.monotonic() - started))
        return ordered

    async def _answer(self, request: BatchedRAGRequest, query: RAGQuery, key: str | int | None) -> RAGResult:
        started = time.monotonic()
        kept = await self._kept(key)
        result, kind = (kept, None) if kept is not None else await self._executed(request, query)
        seconds = time.monotonic() - started
        if kept is None and result.success and key == self._key(request, query):  # not changed meanwhile
            await self._keep(key, result)
        result = msgspec.structs.replace(result, seconds=seconds, from_cache=kept is not None or result.from_cache)
        self._tell(lambda metrics: metrics.record_query(seconds, from_cache=result.from_cache, error=kind))
        return result

    def _key(self, request: BatchedRAGRequest, query: RAGQuery) -> str | None:
        return rag_key(self._executor.namespace, request.profile_id, query)

    async def _executed(self, request: BatchedRAGRequest, query: RAGQuery) -> tuple[RAGResult, str | None]:
        """The result, and the kind of its failure."""
        scope = asyncio.timeout(request.timeout)
        try:
            async with scope:
                result = await self._executor.execute_query(request.profile_id, query)
                if not isinstance(result, RAGResult):
                    raise _no_result(result)  # noqa: TRY301 - as what the executor itself raises
        except Exception as error:  # noqa: BLE001 - whatever one query raises, the others have theirs
            if scope.expired():
                return _failure(TIMED_OUT)
            _log.warning("a RAG query (%s) failed: %s", query.operation, told(error))
            return _failure(type(error).__name__)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _failure(type(error).__name__)  # the executor's own: nobody has cancelled this batch
        return result, None if result.success else FAILED

    async def _kept(self, key: str | int | None) -> RAGResult | None:
        if self._cache is None or not isinstance(key, str):
            return None
        kept = None
        async with self._tolerated():
            kept = await self._cache.get(key)
        return kept if isinstance(kept, RAGResult) and kept.success else None

    async def _keep(self, key: str | int | None, result: RAGResult) -> None:
        if self._cache is not None and isinstance(key, str):
            async with self._tolerated():
                await self._cache.set(key, result)

    @contextlib.asynccontextmanager
    async def _tolerated(self) -> AsyncIterator[None]:
        """Whatever the cache does in here, and however long it takes."""
        try:
            async with asyncio.timeout(self._cache_timeout):
                yield
        except Exception as error:  # noqa: BLE001 - without a cache, a query is executed
            kind = type(error).__name__
            self._tell(lambda metrics: metrics.record_cache_error(kind))

    def _tell(self, tell: Callable[[IRAGMetrics], object]) -> None:
        if self._metrics is not None:
            with contextlib.suppress(Exception):  # metrics must not fail what they count
                tell(self._metrics)


def _no_result(given: object) -> TypeError:
    return TypeError(f"execute_query returned a {type(given).__name__}; return a RAGResult")


def _failure(kind: str) -> tuple[RAGResult, str]:
    return RAGResult(success=False, error=kind), kind


def _copy(result: RAGResult) -> RAGResult:
    """A copy that its caller may change; the result itself where it holds what cannot be copied."""
    try:
        return copy.deepcopy(result)
    except Exception:  # noqa: BLE001 - a document may be any object
        return result
