"""What streamed answers end with: the policy's functions see the answer that was given, and each attempt has an end."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.provider import Response

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 0}


def event(**document: Any) -> bytes:
    return json.dumps(document).encode()


def events() -> list[bytes]:
    choice = {"index": 0, "delta": {"content": "a"}}
    last = {"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}
    return [event(choices=[choice]), event(choices=[last]), event(choices=[], usage=USAGE), b"[DONE]"]


class Events:
    def __init__(self) -> None:
        self._left = iter(events())

    def __next__(self) -> bytes:
        return next(self._left)

    async def __anext__(self) -> bytes:
        for data in self._left:
            return data
        raise StopAsyncIteration

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Sender:
    """Anthropic is down."""

    def stream_sync(self, provider: str, *_: Any) -> Any:
        return Response(status=500, headers={}, body=b"") if provider == "anthropic" else Events()

    async def stream(self, provider: str, *_: Any) -> Any:
        return self.stream_sync(provider)

    def close(self) -> None:
        pass


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., UnifiedAPICache]]:
    made: list[UnifiedAPICache] = []
    for key in KEYS:
        monkeypatch.setenv(key, "k")

    def make_cache(*order: str, mode: str = "on") -> UnifiedAPICache:
        providers = {"order": list(order), "retries": 0, "retries_alone": 0, "prices": {"gpt-6-luna": {"input": 2}}}
        made.append(UnifiedAPICache.create(mode=mode, providers=providers, sender=Sender()))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


def whole(cache: Any, way: str) -> list[str]:
    if way == "sync":
        return list(cache.cached_stream_sync(operation="completion", prompt="x"))

    async def run() -> list[str]:
        return [piece async for piece in cache.cached_stream(operation="completion", prompt="x")]

    return asyncio.run(run())


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("order", [("openai",), ("anthropic", "openai")])
def test_the_policys_functions_see_the_answer_of_whoever_answered(make, order, way) -> None:
    cache = make(*order)
    seen: list[tuple[str, str]] = []

    def ttl(answer: Any) -> int:
        seen.append((answer.provider, answer.text))
        return 60

    view = cache.using(ttl=ttl, tags=lambda _parameters, answer: [answer.provider])
    assert whole(view, way) == ["a", "b"]
    cache.flush()
    assert seen == [("openai", "ab")]
    stats = cache.get_stats()
    assert (stats["stored"], stats["not_stored"]) == (1, 0)
    assert stats["operations"]["completion"]["cost_spent"] == pytest.approx(2.0)
    cache.invalidate_sync(tags=["openai"])
    assert whole(view, way) == ["a", "b"]
    assert seen == [("openai", "ab")] * 2


def leave(cache: UnifiedAPICache, way: str) -> str:
    """Read one piece of a stream that the cache does not keep, and no more."""
    if way == "sync":
        with cache.cached_stream_sync(operation="completion", prompt="x") as pieces:
            return str(next(iter(pieces)))

    async def run() -> str:
        async with cache.cached_stream(operation="completion", prompt="x") as pieces:
            return str(await anext(aiter(pieces)))

    return asyncio.run(run())


@pytest.mark.parametrize("mode", ["on", "off"])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_that_is_left_early_counts_as_abandoned(make, way, mode) -> None:
    cache = make("openai", mode=mode)
    assert leave(cache, way) == "a"
    cache.flush()
    found = cache.get_stats()["providers"]["openai"]
    assert found["calls"] == 1
    assert found["answers"] + found["errors"].get("abandoned", 0) == 1
    if mode == "off":
        assert found["errors"] == {"abandoned": 1}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_that_is_read_to_its_end_is_not_abandoned(make, way) -> None:
    cache = make("openai", mode="off")
    assert whole(cache, way) == ["a", "b"]
    assert cache.get_stats()["providers"]["openai"]["errors"] == {}
