"""Embeddings that are asked for at the same time become one request; each is cached, priced and refused by itself."""

import asyncio
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.provider import ProviderError

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

PRICES = {"e-1": {"input": 2}}


@pytest.fixture
def make() -> Iterator[Callable[..., UnifiedAPICache]]:
    made: list[UnifiedAPICache] = []

    def make_cache(**providers: Any) -> UnifiedAPICache:
        given = {"order": ["openai"], "retries": 0, "retries_alone": 0, "prices": PRICES, **providers}
        made.append(UnifiedAPICache.create(providers=given))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


def embed(cache: Any, *texts: Any, **given: Any) -> list[Any]:
    async def run() -> list[Any]:
        calls = (
            cache.cached_api_call(operation="embedding", **{"text": text, "model": "e-1", **given}) for text in texts
        )
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(run())


def sent(upstream: Any) -> list[Any]:
    return [asked.json["input"] for asked in upstream.asked]


def refusing(text: str) -> Callable[[Any], Any]:
    def answer(asked: Any) -> Any:
        given = asked.json["input"]
        texts = [given] if isinstance(given, str) else given
        return wire.failure(400) if text in texts else wire.embeddings(texts)

    return answer


def test_misses_at_the_same_time_are_one_request_and_each_is_cached(upstream, make) -> None:
    cache = make()
    found = embed(cache, "a", "b", "c")
    assert sent(upstream) == [["a", "b", "c"]]
    assert [list(each.vector) for each in found] == [wire.vector(text) for text in "abc"]
    assert embed(cache, "b") == [found[1]]
    assert embed(cache, "c", "d") == [found[2], embed(cache, "d")[0]]
    assert sent(upstream)[1:] == ["d"]


def test_each_costs_its_share_of_the_request(upstream, make) -> None:
    cache = make()
    short, long = embed(cache, "a", "a longer text")
    assert 0 < short.cost < long.cost
    assert short.cost + long.cost == pytest.approx(20 * 2 / 1_000_000)
    stats = cache.get_stats()
    assert stats["operations"]["embedding"]["cost_spent"] == pytest.approx(20 * 2 / 1_000_000)
    assert stats["providers"]["openai"]["calls"] == 1


def test_a_request_has_a_hundred_texts_at_most(upstream, make) -> None:
    calls = [{"operation": "embedding", "text": f"t{number}", "model": "e-1"} for number in range(250)]
    cache = make()
    found = asyncio.run(cache.cached_api_calls(calls))
    assert [list(each.vector) for each in found] == [wire.vector(f"t{number}") for number in range(250)]
    assert sorted(map(len, sent(upstream))) == [50, 100, 100]


def test_what_calls_do_not_agree_in_keeps_them_apart(upstream, make) -> None:
    cache = make()

    async def run() -> None:
        given = [{"text": "a"}, {"text": "b"}, {"text": "c", "dimensions": 2}, {"text": "d", "model": "e-2"}]
        calls = [cache.cached_api_call(operation="embedding", **{"model": "e-1", **each}) for each in given]
        mine = cache.using(scope="me").cached_api_call(operation="embedding", text="e", model="e-1")
        await asyncio.gather(*calls, mine)

    asyncio.run(run())
    assert sorted(map(json.dumps, sent(upstream))) == sorted(map(json.dumps, [["a", "b"], "c", "d", "e"]))


def test_one_text_that_is_refused_does_not_spoil_the_others(upstream, make) -> None:
    upstream.script("embeddings", refusing("c"))
    *found, bad = embed(make(), "a", "b", "d", "c")
    assert [list(each.vector) for each in found] == [wire.vector(text) for text in "abd"]
    assert isinstance(bad, ProviderError)
    assert bad.kind == "bad_request"
    assert sent(upstream) == [["a", "b", "d", "c"], ["a", "b"], ["d", "c"], "d", "c"]


def test_a_text_that_json_cannot_carry_is_told_to_its_caller_alone(upstream, make) -> None:
    good, bad = embed(make(), "a", "\ud800")
    assert list(good.vector) == wire.vector("a")
    assert "cannot be carried by JSON" in str(bad)
    assert sent(upstream) == ["a"]


def test_what_a_provider_leaves_out_is_asked_for_again(upstream, make) -> None:
    upstream.script("embeddings", wire.embeddings(["a", "b"], indexes=[1, 7]), wire.embeddings(["a"]))
    found = embed(make(), "a", "b")
    assert sent(upstream) == [["a", "b"], "a"]
    assert [each.provider for each in found] == ["openai"] * 2


def test_a_text_that_a_provider_always_leaves_out_fails_alone_and_the_others_are_cached(upstream, make) -> None:
    def without_c(asked: Any) -> Any:
        given = asked.json["input"]
        texts = [given] if isinstance(given, str) else given
        places = [place for place, text in enumerate(texts) if text != "c"]
        return wire.embeddings([texts[place] for place in places], indexes=places)

    upstream.script("embeddings", without_c)
    cache = make()
    *found, bad = embed(cache, "a", "b", "c")
    assert [list(each.vector) for each in found] == [wire.vector(text) for text in "ab"]
    assert (type(bad), bad.kind) == (ProviderError, "broken")
    asked = len(upstream.asked)
    assert embed(cache, "a", "b") == found
    assert len(upstream.asked) == asked


@pytest.mark.parametrize("given", ["nothing", "one too few"])
@pytest.mark.parametrize("form", ["async", "sync"])
def test_a_batch_of_another_size_than_was_asked_for_fails_its_own_items_alone(upstream, make, form, given) -> None:
    def one_too_few(asked: Any) -> Any:
        texts = asked.json["input"]
        if len(texts) == 100:
            return wire.embeddings(texts)
        found = [{"embedding": wire.vector(text)} for text in texts[1:]]
        return wire.of_json({"data": found if given == "one too few" else []})

    upstream.script("embeddings", one_too_few)
    cache = make()
    calls = [{"operation": "embedding", "text": f"t{number}", "model": "e-1"} for number in range(250)]
    if form == "sync":
        found = cache.cached_api_calls_sync(calls, return_exceptions=True)
    else:
        found = asyncio.run(cache.cached_api_calls(calls, return_exceptions=True))
    failed = [number for number, each in enumerate(found) if isinstance(each, ProviderError)]
    assert len(failed) == 50
    for number, each in enumerate(found):
        assert number in failed or list(each.vector) == wire.vector(f"t{number}")


def test_a_batch_that_fails_goes_to_the_next_provider_as_a_batch(upstream, make) -> None:
    upstream.script("embeddings", wire.failure(503))
    url, body = f"{upstream.url}/own", {"texts": "{texts}"}
    upstream.script("/own", lambda asked: wire.of_json([wire.vector(text) for text in asked.json["texts"]]))
    cache = make(order=["openai", "own"], tables={"own": {"url": url, "body": body, "operations": ["embedding"]}})
    found = embed(cache, "a", "b")
    assert [each.provider for each in found] == ["own"] * 2
    assert (upstream.count("embeddings"), upstream.count("/own")) == (1, 1)


@pytest.mark.parametrize(
    ("body", "answer"),
    [({"text": "{text}"}, "vectors.0"), ({"texts": "{texts}"}, "vectors.0"), ({"t": "{text}"}, "vectors")],
)
def test_an_endpoint_that_takes_one_text_is_asked_for_each(upstream, make, body, answer) -> None:
    upstream.script("/own", wire.of_json({"vectors": [[0.5, 1.0]]}))
    table = {"url": f"{upstream.url}/own", "body": body, "answer": answer, "operations": ["embedding"]}
    found = embed(make(order=["own"], tables={"own": table}), "a", "b")
    assert [each.vector for each in found] == [(0.5, 1.0)] * 2
    assert upstream.count("/own") == 2


@pytest.mark.parametrize("form", ["async", "sync"])
def test_the_mock_answers_a_batch_as_it_answers_each_alone(make, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("APICACHE_MOCK", "1")
    cache, ask = make(order=["mock"]), embed if form == "async" else embed_sync
    found = ask(cache, "a", "b", "c")
    assert cache.get_stats()["providers"]["mock"]["calls"] == 1
    alone = [ask(make(order=["mock"]), text)[0] for text in "abc"]
    assert found == alone
    assert len({each.vector for each in found}) == 3
    assert {(each.provider, each.cost) for each in found} == {("mock", 0.0)}
    assert ask(cache, "b") == [found[1]]
    assert cache.get_stats()["providers"]["mock"]["calls"] == 1


# Sync code.


def embed_sync(cache: Any, *texts: Any, **given: Any) -> list[Any]:
    calls = [{"operation": "embedding", "text": text, "model": "e-1"} for text in texts]
    return cache.cached_api_calls_sync(calls, return_exceptions=True, **given)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_misses_of_sync_code_are_one_request_and_each_is_cached(upstream, make, concurrency: int) -> None:
    cache = make()
    found = embed_sync(cache, "a", "b", "a", "c", concurrency=concurrency)
    assert [sorted(texts) for texts in sent(upstream)] == [["a", "b", "c"]]
    assert [list(each.vector) for each in found] == [wire.vector(text) for text in "abac"]
    assert embed_sync(cache, "c", "d", concurrency=concurrency)[0] == found[3]
    assert cache.cached_api_call_sync(operation="embedding", text="b", model="e-1") == found[1]
    assert sent(upstream)[1:] == ["d"]


def test_a_request_of_sync_code_has_a_hundred_texts_at_most(upstream, make) -> None:
    assert len(embed_sync(make(), *(f"t{number}" for number in range(250)))) == 250
    assert sorted(map(len, sent(upstream))) == [50, 100, 100]


def test_a_text_of_sync_code_that_is_refused_does_not_spoil_the_others(upstream, make) -> None:
    upstream.script("embeddings", refusing("c"))
    good, bad = embed_sync(make(), "a", "c")
    assert list(good.vector) == wire.vector("a")
    assert bad.kind == "bad_request"


def test_a_batch_of_sync_code_that_fails_goes_to_the_next_provider(upstream, make) -> None:
    upstream.script("embeddings", wire.failure(503))
    url, body = f"{upstream.url}/own", {"text": "{text}"}
    upstream.script("/own", lambda asked: wire.of_json(wire.vector(asked.json["text"])))
    cache = make(order=["openai", "own"], tables={"own": {"url": url, "body": body, "operations": ["embedding"]}})
    assert [each.provider for each in embed_sync(cache, "a", "b")] == ["own"] * 2
    assert (upstream.count("embeddings"), upstream.count("/own")) == (1, 2)


def test_sync_code_in_a_running_loop_has_its_texts_sent_together(upstream, make) -> None:
    cache = make()

    async def run() -> list[Any]:
        await cache.cached_api_call(operation="embedding", text="a", model="e-1")
        return embed_sync(cache, "a", "b", "c")

    assert [list(each.vector) for each in asyncio.run(run())] == [wire.vector(text) for text in "abc"]
    assert [sorted(texts) for texts in sent(upstream)] == [["a"], ["b", "c"]]
