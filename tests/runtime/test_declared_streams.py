"""Declared endpoints that stream: the events' paths, whole streams alone are answers, the others are told."""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import InputError, ProviderError, UnifiedAPICache

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

TEXTS = ("Hel", "lo ", "you")
Read = Callable[..., list[str]]


def own(upstream: Any, **options: Any) -> dict[str, Any]:
    return {
        "url": f"{upstream.url}/own",
        "body": {"model": "{model}", "prompt": "{prompt}"},
        "answer": "choices.0.message.content",
        "stream": "choices.0.delta.content",
        "finish_reason": "choices.0.finish_reason",
        "input_tokens": "usage.prompt_tokens",
        "cached_tokens": "usage.prompt_tokens_details.cached_tokens",
        "output_tokens": "usage.completion_tokens",
        **options,
    }


@pytest.fixture
def make(upstream: Any) -> Iterator[Callable[..., UnifiedAPICache]]:
    made: list[UnifiedAPICache] = []

    def make_cache(order: tuple[str, ...] = ("own",), **options: Any) -> UnifiedAPICache:
        providers: Any = {"order": list(order), "tables": {"own": own(upstream, **options)}}
        made.append(UnifiedAPICache.create(providers={**providers, "retries": 0, "retries_alone": 0}))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


@pytest.fixture(params=["async", "sync"])
def read(request: pytest.FixtureRequest) -> Read:
    def by_sync(cache: Any, **given: Any) -> list[str]:
        return list(cache.cached_stream_sync(**{"operation": "completion", "prompt": "x", **given}))

    def by_async(cache: Any, **given: Any) -> list[str]:
        async def run() -> list[str]:
            return [piece async for piece in cache.cached_stream(**{"operation": "completion", "prompt": "x", **given})]

        return asyncio.run(run())

    return by_sync if request.param == "sync" else by_async


def test_its_pieces_come_as_they_are_and_are_replayed(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("/own", wire.stream(wire.chat_events(*TEXTS)))
    cache = make()
    assert read(cache) == list(TEXTS)
    assert read(cache) == list(TEXTS)
    assert [asked.json for asked in upstream.asked] == [{"model": "own", "prompt": "x", "stream": True}]
    found = cache.get_stats()["providers"]["own"]
    assert (found["calls"], found["answers"]) == (1, 1)
    assert found["tokens"] == {"input": 7, "cached": 4, "cache_writes": 0, "output": 3}


def test_what_asks_for_a_stream_is_declared(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("/own", wire.stream(wire.events({"t": "a"}, {"t": "b", "done": "stop"})))
    cache = make(stream="t", finish_reason="done", stream_body={"mode": "live"}, method="PUT")
    assert read(cache) == ["a", "b"]
    assert upstream.asked[0].json == {"model": "own", "prompt": "x", "mode": "live"}


def test_a_stream_that_breaks_off_is_told_and_not_stored(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("/own", wire.stream(wire.events({"t": "a"})), wire.stream(wire.events({"t": "a"}, "[DONE]")))
    cache = make(stream="t", finish_reason="")
    with pytest.raises(ProviderError, match="a stream that ends before its last event") as found:
        read(cache)
    assert found.value.kind == "broken"
    assert read(cache) == ["a"]
    assert read(cache) == ["a"]
    assert upstream.count("/own") == 2


def test_an_error_in_an_event_is_told_by_its_kind(upstream: Any, make: Any, read: Read) -> None:
    error = {"error": {"type": "overloaded_error", "message": "planted-body-5520"}}
    upstream.script("/own", wire.stream(wire.events({"t": "a"}, error)))
    with pytest.raises(ProviderError) as found:
        read(make(stream="t"))
    assert found.value.kind == "overloaded"
    assert "planted" not in str(found.value)


@pytest.mark.parametrize("event", ["not json", [1], {"t": 5}, {}])
def test_events_without_a_text_give_none(upstream: Any, make: Any, read: Read, event: Any) -> None:
    upstream.script("/own", wire.stream(wire.events(event, "[DONE]")))
    with pytest.raises(ProviderError, match="gave no usable answer") as found:
        read(make(stream="t"))
    assert found.value.kind == "broken"


def test_one_that_declares_no_stream_is_left_for_one_that_does(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    assert read(make(("own", "openai"), stream="")) == list(TEXTS)
    assert upstream.count("/own") == 0


@pytest.mark.parametrize(
    ("options", "given", "told"),
    [
        ({"stream": ""}, {}, "cannot stream operation 'completion'; declare 'stream', the path to an event's text"),
        ({"operations": ["search"], "body": {}}, {"operation": "search", "prompt": None}, "one answer"),
    ],
)
def test_what_cannot_stream_says_so_and_sends_nothing(  # noqa: PLR0917 - pytest passes them by name
    upstream: Any, make: Any, read: Read, options: Any, given: Any, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        read(make(**options), **given)
    assert upstream.asked == []


def test_a_body_that_is_no_object_cannot_be_added_to(upstream: Any, make: Any, read: Read) -> None:
    with pytest.raises(InputError, match="its body is no object"):
        read(make(body=["{prompt}"]))
    assert upstream.asked == []
