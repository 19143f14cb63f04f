"""The batched RAG service: everything injected, every query answered or failing by itself."""

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.rag import (
    BatchedRAGRequest,
    BatchedRAGService,
    CachedRAGQueryExecutor,
    InMemoryRAGCache,
    IRAGCache,
    IRAGMetrics,
    IRAGQueryExecutor,
    RAGQuery,
    RAGResult,
    SimpleRAGMetrics,
    UnifiedRAGCache,
    rag_key,
)

SECRET = "sk-planted"


class ProfileRAGQueryExecutor(IRAGQueryExecutor):
    """Answers with the profile and the text; does what `does` says to a query's text."""

    def __init__(self, does=None):
        self.asked = []
        self._does = does or {}

    async def execute_query(self, profile_id, query):
        self.asked.append(query.query_text)
        found = self._does.get(query.query_text)
        await asyncio.sleep(0)
        if isinstance(found, BaseException):
            raise found
        if found is not None:
            return await found() if callable(found) else found
        return RAGResult(success=True, documents=[{"text": query.query_text}], answer=[profile_id, query.top_k])


def run(service, *texts, **options):
    queries = [text if isinstance(text, RAGQuery) else RAGQuery(query_text=text) for text in texts]
    return asyncio.run(service.execute_batch(BatchedRAGRequest(**{"profile_id": 7, "queries": queries, **options})))


def test_the_source_documents_construction_answers_in_order_and_remembers():
    executor, metrics = ProfileRAGQueryExecutor(), SimpleRAGMetrics()
    service = BatchedRAGService(query_executor=executor, cache=InMemoryRAGCache(), metrics=metrics)
    first = run(service, "b", "a", "b")
    assert [result.documents for result in first] == [[{"text": "b"}], [{"text": "a"}], [{"text": "b"}]]
    assert [result.from_cache for result in first] == [False, False, False]
    assert executor.asked == ["b", "a"]
    again = run(service, "a", "c")
    assert [result.from_cache for result in again] == [True, False]
    assert again[0].answer == [7, 5]
    assert executor.asked == ["b", "a", "c"]
    counted = metrics.as_dict()
    assert counted.pop("average_seconds") >= 0
    assert counted == {
        "batches": 2,
        "queries": 4,
        "duplicates": 1,
        "cache_hits": 1,
        "cache_misses": 3,
        "hit_rate": 0.25,
        "errors": {},
        "cache_errors": {},
    }


def test_without_a_cache_and_metrics_each_batch_is_executed():
    executor = ProfileRAGQueryExecutor()
    service = BatchedRAGService(executor)
    assert [run(service, "a")[0].success for _ in range(2)] == [True, True]
    assert executor.asked == ["a", "a"]
    assert run(service) == []


def test_one_failing_query_fails_alone_and_is_not_kept():
    does = {"bad": ConnectionError(SECRET), "none": gives_rubbish, "gone": asyncio.CancelledError()}
    executor, metrics = ProfileRAGQueryExecutor(does), SimpleRAGMetrics()
    service = BatchedRAGService(executor, InMemoryRAGCache(), metrics)
    for _ in range(2):
        results = run(service, "a", "bad", "none", "gone")
        assert [result.success for result in results] == [True, False, False, False]
        assert [result.error for result in results] == [None, "ConnectionError", "TypeError", "CancelledError"]
        assert SECRET not in str(results)
    assert executor.asked.count("bad") == 2
    assert executor.asked.count("a") == 1
    assert metrics.as_dict()["errors"] == {"ConnectionError": 2, "TypeError": 2, "CancelledError": 2}


def test_what_an_executor_raises_is_logged_without_credentials(caplog):
    does = {
        "a": ConnectionError(f"https://me:{SECRET}@db.test/v1?key={SECRET} Bearer {SECRET}"),
        "b": lambda: asyncio.sleep(0, {"documents": [SECRET]}),
        "c": lambda: asyncio.sleep(1),
    }
    with caplog.at_level(logging.DEBUG):
        run(BatchedRAGService(ProfileRAGQueryExecutor(does)), "a", "b", "c", timeout=0.01)
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "apicache"]
    assert sorted(told) == [
        ("WARNING", "a RAG query (query) failed: ConnectionError: https://db.test/v1?key=REDACTED Bearer REDACTED"),
        ("WARNING", "a RAG query (query) failed: TypeError: execute_query returned a dict; return a RAGResult"),
    ]
    assert SECRET not in caplog.text


def test_what_an_executor_calls_a_failure_is_handed_on_and_not_kept_nor_told():
    refused = RAGResult(success=False, error=f"refused: {SECRET}")
    executor, metrics = ProfileRAGQueryExecutor({"a": refused}), SimpleRAGMetrics()
    service = BatchedRAGService(executor, InMemoryRAGCache(), metrics)
    assert [run(service, "a")[0].error for _ in range(2)] == [refused.error] * 2
    assert executor.asked == ["a", "a"]
    assert metrics.as_dict()["errors"] == {"failed": 2}
    assert SECRET not in str(metrics.as_dict())


def test_a_query_that_takes_too_long_fails_alone():
    executor = ProfileRAGQueryExecutor({"slow": asyncio.Event().wait, "own": TimeoutError("mine")})
    results = run(BatchedRAGService(executor), "slow", "a", "own", timeout=0.01)
    assert [result.error for result in results] == ["timeout", None, "TimeoutError"]


def test_cancelling_a_batch_cancels_its_queries():
    ended = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    service = BatchedRAGService(ProfileRAGQueryExecutor({"slow": slow}))

    async def main():
        request = BatchedRAGRequest(profile_id=1, queries=[RAGQuery(query_text="slow")])
        batch = asyncio.ensure_future(service.execute_batch(request))
        for _ in range(5):
            await asyncio.sleep(0)
        batch.cancel()
        await batch

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert ended == [True]


def test_no_more_than_max_concurrency_are_under_way_and_batches_follow_each_other():
    running, most, begun = 0, 0, []

    class Counting(IRAGQueryExecutor):
        async def execute_query(self, profile_id, query):
            nonlocal running, most
            running += 1
            most = max(most, running)
            begun.append(running)
            await asyncio.sleep(0.001)
            running -= 1
            return RAGResult(success=True)

    texts = [str(number) for number in range(6)]
    run(BatchedRAGService(Counting()), *texts, max_concurrency=2)
    assert most == 2
    begun.clear()
    run(BatchedRAGService(Counting()), *texts, batch_size=4)
    assert begun == [1, 2, 3, 4, 1, 2]


class Failing(IRAGCache):
    def __init__(self, does):
        self._does = does

    async def get(self, key):
        return await self._does()

    async def set(self, key, result):
        await self._does()


async def raises():
    raise ConnectionError(SECRET)


async def gives_rubbish():
    return {"success": True}


FAILING = {
    "raises": (raises, {"ConnectionError": 2}),
    "hangs": (lambda: asyncio.Event().wait(), {"TimeoutError": 2}),
    "gives rubbish": (gives_rubbish, {}),
}


@pytest.mark.parametrize("how", FAILING)
def test_the_service_never_fails_because_its_cache_does(how):
    does, counted = FAILING[how]
    metrics = SimpleRAGMetrics()
    service = BatchedRAGService(ProfileRAGQueryExecutor(), Failing(does), metrics, cache_timeout=0.01)
    assert run(service, "a")[0].success
    assert metrics.as_dict()["cache_errors"] == counted


def test_the_service_never_fails_because_its_metrics_do():
    class Broken(IRAGMetrics):
        def record_query(self, seconds, *, from_cache, error):
            raise OSError(SECRET)

        def record_batch(self, queries, distinct, seconds):
            raise OSError(SECRET)

        def record_cache_error(self, kind):
            raise OSError(SECRET)

    service = BatchedRAGService(ProfileRAGQueryExecutor(), Failing(raises), Broken())
    assert run(service, "a")[0].success


def test_kinds_of_errors_are_bounded():
    metrics = SimpleRAGMetrics()
    for number in range(300):
        metrics.record_query(0, from_cache=False, error=f"kind {number}")
    errors = metrics.as_dict()["errors"]
    assert len(errors) <= 101
    assert sum(errors.values()) == 300


@pytest.mark.parametrize("interface", [IRAGCache, IRAGMetrics, IRAGQueryExecutor])
def test_interfaces_cannot_be_built(interface):
    with pytest.raises(TypeError, match="abstract"):
        interface()


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"max_concurrency": 0}, {"timeout": 0}])
def test_a_request_that_admits_nothing_is_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        BatchedRAGRequest(profile_id=1, queries=[], **bad)


# Keys and copies.

DIFFERENT = [
    ("x", 7, RAGQuery(query_text="a")),
    ("y", 7, RAGQuery(query_text="a")),
    ("x", "7", RAGQuery(query_text="a")),
    ("x", 8, RAGQuery(query_text="a")),
    ("x", 7, RAGQuery(query_text="b")),
    ("x", 7, RAGQuery(query_text="a", operation="summary")),
    ("x", 7, RAGQuery(query_text="a", parameters={"lang": "de"})),
    ("x", 7, RAGQuery(query_text="a", filters={"lang": "de"})),
    ("x", 7, RAGQuery(query_text="a", top_k=6)),
]


def test_a_key_takes_in_everything_that_an_answer_depends_on():
    keys = [rag_key(*each) for each in DIFFERENT]
    assert len(set(keys)) == len(DIFFERENT)
    assert keys == [rag_key(*each) for each in DIFFERENT]
    assert rag_key("x", 7, RAGQuery(query_text="a", parameters={"client": object()})) is None


def test_queries_without_a_key_are_each_executed():
    executor = ProfileRAGQueryExecutor()
    query = RAGQuery(query_text="a", parameters={"client": object()})
    service = BatchedRAGService(executor, InMemoryRAGCache())
    assert [result.success for result in run(service, query, query)] == [True, True]
    assert executor.asked == ["a", "a"]


def test_every_caller_may_change_its_result():
    service = BatchedRAGService(ProfileRAGQueryExecutor(), InMemoryRAGCache())
    first, second = run(service, "a", "a")
    first.documents.append("mine")
    assert second.documents == [{"text": "a"}]
    assert run(service, "a")[0].documents == [{"text": "a"}]


# Caches.


def test_memory_is_bounded_in_entries_and_in_time():
    clock = ManualClock()
    cache = InMemoryRAGCache(max_entries=50, ttl=60, clock=clock)
    service = BatchedRAGService(ProfileRAGQueryExecutor(), cache)
    run(service, *map(str, range(200)))
    assert cache.cache.get_stats()["tiers"]["memory"]["entries"] <= 50
    run(service, "a")
    assert run(service, "a")[0].from_cache
    clock.advance(61)
    assert not run(service, "a")[0].from_cache


def test_memory_is_bounded_in_bytes():
    cache = InMemoryRAGCache(max_bytes=100_000)

    async def fill():
        for number in range(200):
            await cache.set(str(number), RAGResult(success=True, answer="x" * 5000))

    asyncio.run(fill())
    assert 0 < cache.cache.get_stats()["bytes"] <= 100_000


@pytest.fixture(params=["memory", "disk"])
def unified(request, tmp_path):
    cache = UnifiedAPICache.create(directory=tmp_path if request.param == "disk" else None, tier_timeout=20)
    yield cache
    cache.close()


def test_a_unified_cache_keeps_replaces_and_forgets(unified):
    cache = UnifiedRAGCache(unified, operation="rag answers", ttl="1h")

    async def main():
        assert await cache.get("k") is None
        await cache.set("k", RAGResult(success=True, answer=1))
        await cache.set("k", RAGResult(success=True, answer=2))
        found = await cache.get("k")
        assert (found.answer, type(found)) == (2, RAGResult)
        assert await cache.get("other") is None
        await unified.invalidate(operation="rag answers")
        assert await cache.get("k") is None

    asyncio.run(main())
    assert unified.get_stats()["operations"]["rag answers"]["cache_hits"] >= 1


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_a_unified_cache_that_is_off_keeps_nothing(mode):
    cache = UnifiedRAGCache(UnifiedAPICache.create(mode=mode))
    service = BatchedRAGService(ProfileRAGQueryExecutor(), cache)
    assert [run(service, "a")[0].from_cache for _ in range(2)] == [False, False]
    with pytest.raises(InputError, match="ttl"):
        UnifiedRAGCache(UnifiedAPICache.create(), tll=3)


def test_an_executor_behind_the_cache_shares_executions_between_batches(unified):
    executor = ProfileRAGQueryExecutor()
    service = BatchedRAGService(CachedRAGQueryExecutor(executor, unified))

    async def main():
        request = BatchedRAGRequest(profile_id=7, queries=[RAGQuery(query_text=text) for text in "ab"])
        return await asyncio.gather(*(service.execute_batch(request) for _ in range(3)))

    batches = asyncio.run(main())
    assert [[result.answer for result in batch] for batch in batches] == [[[7, 5], [7, 5]]] * 3
    assert sorted(executor.asked) == ["a", "b"]
    assert sorted(result.from_cache for batch in batches for result in batch) == [False] * 2 + [True] * 4
    unified.invalidate_sync(tags=["rag-profile:7"])
    run(service, "a")
    assert executor.asked.count("a") == 2


def test_a_failed_execution_is_shared_and_not_kept(caplog):
    executor = ProfileRAGQueryExecutor({"a": RAGResult(success=False, error="no"), "b": ConnectionError(SECRET)})
    cache = UnifiedAPICache.create()
    service = BatchedRAGService(CachedRAGQueryExecutor(executor, cache))
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            assert [result.error for result in run(service, "a", "b")] == ["no", "ConnectionError"]
    assert executor.asked.count("a") == 2
    assert SECRET not in caplog.text + str(cache.get_stats())


@settings(deadline=None, max_examples=50)
@given(
    texts=st.lists(st.sampled_from("abcdef"), max_size=20),
    failing=st.sets(st.sampled_from("abcdef")),
    batch_size=st.integers(1, 5),
    max_concurrency=st.integers(1, 5),
)
def test_any_batch_gives_each_query_its_own_result_and_executes_each_once(texts, failing, batch_size, max_concurrency):
    executor = ProfileRAGQueryExecutor({text: ValueError(text) for text in failing})
    service = BatchedRAGService(executor, InMemoryRAGCache())
    results = run(service, *texts, batch_size=batch_size, max_concurrency=max_concurrency)
    assert [result.success for result in results] == [text not in failing for text in texts]
    assert [result.documents for result in results] == [[{"text": t}] if t not in failing else [] for t in texts]
    assert sorted(executor.asked) == sorted(set(texts))
