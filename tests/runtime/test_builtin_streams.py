"""Streams of the built-in operations, over real HTTP: pieces of text as they come, by whom the chain chooses."""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.chain import senders
from apicache.chain.failures import AllProvidersFailedError
from apicache.chain.prices import PriceTable
from apicache.errors import InputError
from apicache.provider import ProviderError, Request, Response, Tokens
from apicache.streams import server_sent_events

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

ONCE = {"retries": 0, "retries_alone": 0}
TEXTS = ("Hel", "lo ", "you")
Read = Callable[..., list[str]]


@pytest.fixture
def make() -> Iterator[Callable[..., UnifiedAPICache]]:
    made: list[UnifiedAPICache] = []

    def make_cache(mode: str = "on", **providers: Any) -> UnifiedAPICache:
        made.append(UnifiedAPICache.create(mode=mode, providers={**ONCE, **providers}))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


@pytest.fixture(params=["async", "sync"])
def read(request: pytest.FixtureRequest) -> Read:
    """Reads a stream to its end, or to its error, into `into`."""

    def by_sync(cache: Any, into: list[str] | None = None, **given: Any) -> list[str]:
        pieces = [] if into is None else into
        for piece in cache.cached_stream_sync(**{"operation": "completion", "prompt": "x", **given}):
            pieces.append(piece)
        return pieces

    def by_async(cache: Any, into: list[str] | None = None, **given: Any) -> list[str]:
        pieces = [] if into is None else into

        async def run() -> None:
            async for piece in cache.cached_stream(**{"operation": "completion", "prompt": "x", **given}):
                pieces.append(piece)

        asyncio.run(run())
        return pieces

    return by_sync if request.param == "sync" else by_async


def stored(cache: UnifiedAPICache, count: int = 1) -> None:
    """Wait until so many are: a pump settles after its last piece was given."""
    end = time.monotonic() + 5
    while cache.get_stats()["stored"] < count:
        assert time.monotonic() < end
        threading.Event().wait(0.001)


def test_pieces_come_as_they_were_sent_and_are_replayed_piece_by_piece(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    cache = make()
    assert read(cache) == list(TEXTS)
    stored(cache)
    assert read(cache) == list(TEXTS)
    assert upstream.count("anthropic") == 1
    assert upstream.asked[0].json["stream"] is True
    stats = cache.get_stats()
    assert (stats["cache_hits"], stats["cache_misses"], stats["load_errors"]) == (1, 1, 0)


def test_a_piece_is_given_before_the_next_one_was_sent(upstream: Any, make: Any) -> None:
    gate = threading.Event()

    class Gated(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            for number, piece in enumerate(wire.chat_events(*TEXTS)):
                if number == 2:
                    assert gate.wait(5)
                yield piece

    upstream.script("openai", wire.stream(Gated([b"x"])))
    stream = iter(make().cached_stream_sync(operation="completion", prompt="x", provider="openai"))
    assert next(stream) == "Hel"
    gate.set()
    assert list(stream) == ["lo ", "you"]


@pytest.mark.parametrize(
    ("given", "place", "events"),
    [
        ({"provider": "openai"}, "openai", wire.chat_events(*TEXTS)),
        ({"provider": "anthropic", "operation": "analysis", "data": [1]}, "anthropic", wire.message_events(*TEXTS)),
    ],
)
def test_each_provider_streams_each_operation(  # noqa: PLR0917 - fixtures
    upstream: Any, make: Any, read: Read, given: Any, place: str, events: Any
) -> None:
    upstream.script(place, wire.stream(events))
    assert read(make(), **given) == list(TEXTS)


def test_the_whole_answer_and_the_streamed_one_do_not_share(upstream: Any, make: Any, read: Read) -> None:
    cache = make()
    assert cache.cached_api_call_sync(operation="completion", prompt="x").text == "answer 1"
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    assert read(cache) == list(TEXTS)
    stored(cache, 2)
    assert cache.cached_api_call_sync(operation="completion", prompt="x").text == "answer 1"
    assert upstream.count("anthropic") == 2


def test_a_key_of_the_policys_own_does_not_make_them_share_either(upstream: Any, make: Any, read: Read) -> None:
    cache = make()
    view = cache.using(key="mine")
    assert view.cached_api_call_sync(operation="completion", prompt="x").text == "answer 1"
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    assert read(view) == list(TEXTS)
    stored(cache, 2)
    assert read(view, prompt="another") == list(TEXTS)
    assert upstream.count("anthropic") == 2


def test_the_recorded_cost_is_the_readers(upstream: Any, make: Any, read: Read) -> None:
    events = wire.message_events(*TEXTS)
    upstream.script("anthropic", wire.stream([each.replace(b"claude-haiku-5-5", b"claude-opus-5") for each in events]))
    cache = make()
    for _ in range(2):
        read(cache, model="claude-opus-5")
        stored(cache)
    expected = PriceTable().cost_of("claude-opus-5", Tokens(input=11, cached=4, cache_writes=2, output=9))
    assert expected
    stats = cache.get_stats()
    assert stats["operations"]["completion"]["cost_spent"] == pytest.approx(expected)
    assert stats["cost_saved"] == pytest.approx(expected)
    assert stats["providers"]["anthropic"]["cost"] == pytest.approx(expected)
    assert stats["providers"]["anthropic"]["answers"] == 1


def test_functions_of_the_result_are_given_the_whole_answer(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    cache, seen = make(), []

    def lasting(answer: Any) -> float:
        seen.append(answer.text)
        return 60.0

    view = cache.using(ttl=lasting, tags=lambda parameters, answer: [parameters["prompt"], answer.provider])
    read(view)
    stored(cache)
    assert seen == ["Hello you"]
    cache.invalidate_sync(tags=["anthropic"])
    read(view)
    assert upstream.count("anthropic") == 2


# Whom they ask.


@pytest.mark.parametrize(
    "failing",
    [
        wire.failure(529),
        wire.failure(401),
        wire.stream(wire.events({"type": "error", "error": {"type": "overloaded_error"}})),
        wire.stream(wire.message_events(*TEXTS)[:2]),
        wire.Answer(b"<html>", headers={"content-type": "text/html"}),
    ],
    ids=["overloaded", "auth", "error event", "nothing but a begin", "no stream"],
)
def test_before_the_first_piece_another_provider_is_asked(upstream: Any, make: Any, read: Read, failing: Any) -> None:
    upstream.script("anthropic", failing)
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    cache = make()
    assert read(cache) == list(TEXTS)
    stored(cache)
    # It is stored under the one that answered, and found there once the first one has failed again.
    assert read(cache) == list(TEXTS)
    assert read(cache, provider="openai") == list(TEXTS)
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 1)


def test_all_failures_are_listed(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.failure(529))
    upstream.script("openai", wire.failure(401))
    with pytest.raises(AllProvidersFailedError) as raised:
        read(make())
    assert [(each.provider, each.kind, each.status) for each in raised.value.failures] == [
        ("anthropic", "overloaded", 529),
        ("openai", "auth", 401),
    ]


def test_a_bad_request_is_the_callers(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.failure(400))
    with pytest.raises(ProviderError) as raised:
        read(make())
    assert (raised.value.kind, upstream.count("openai")) == ("bad_request", 0)


def test_the_first_piece_is_waited_for_with_retries(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "0.01"}), wire.stream(wire.message_events(*TEXTS)))
    assert read(make(retries=1)) == list(TEXTS)
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 0)


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        (wire.message_events(*TEXTS)[:8], "broken"),
        ([*wire.message_events(*TEXTS)[:8], *wire.events({"type": "error", "error": {"type": "api_error"}})], None),
    ],
    ids=["cut off", "error event"],
)
def test_after_the_first_piece_an_error_is_raised_and_nothing_is_stored(
    upstream: Any, make: Any, read: Read, pieces: Any, kind: str | None
) -> None:
    upstream.script("anthropic", wire.stream(pieces))
    cache = make()
    for _ in range(2):
        seen: list[str] = []
        with pytest.raises(ProviderError) as raised:
            read(cache, into=seen)
        assert seen == ["Hel", "lo "]
        assert kind in {None, raised.value.kind}
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 0)
    stats = cache.get_stats()
    assert (stats["stored"], stats["load_errors"]) == (0, 2)
    assert stats["providers"]["anthropic"]["answers"] == 0
    assert sum(stats["providers"]["anthropic"]["errors"].values()) == 2


def test_a_silence_after_the_first_piece_is_a_timeout(upstream: Any, make: Any, read: Read) -> None:
    gate = threading.Event()

    class Gated(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            yield from wire.message_events(*TEXTS)[:7]
            gate.wait(5)

    upstream.script("anthropic", wire.stream(Gated([b"x"])))
    seen: list[str] = []
    with pytest.raises(ProviderError) as raised:
        read(make(timeout=0.05), into=seen)
    gate.set()
    assert (raised.value.kind, seen, upstream.count("openai")) == ("timeout", ["Hel"], 0)


def test_a_provider_that_hangs_is_left_for_another_one(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("anthropic", wire.Answer(hangs=True))
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    assert read(make(timeouts={"anthropic": 0.05})) == list(TEXTS)


def test_a_stream_past_the_bound_is_a_broken_answer(upstream: Any, make: Any, read: Read, monkeypatch: Any) -> None:
    monkeypatch.setattr(senders, "BODY_MAX", 300)
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    with pytest.raises(ProviderError) as raised:
        read(make(), provider="anthropic")
    assert raised.value.kind == "broken"


def test_an_event_past_the_bound_is_a_broken_answer(upstream: Any, make: Any, read: Read, monkeypatch: Any) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_BYTES", 500)
    upstream.script("anthropic", wire.stream([b"data: " + b"x" * 1000 + b"\n\n"]))
    with pytest.raises(ProviderError) as raised:
        read(make(), provider="anthropic")
    assert raised.value.kind == "broken"
    assert "more than 500 bytes" in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_thousand_consumers_share_one_stream_and_its_error(upstream: Any, make: Any) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)[:8]))
    cache = make()

    async def one() -> tuple[list[str], str]:
        seen: list[str] = []
        try:
            async for piece in cache.cached_stream(operation="completion", prompt="x"):
                seen += [piece]
        except ProviderError as error:
            return seen, error.kind
        raise AssertionError

    async def run() -> list[tuple[list[str], str]]:
        return await asyncio.gather(*(one() for _ in range(1000)))

    assert all(found == (["Hel", "lo "], "broken") for found in asyncio.run(run()))
    assert upstream.count("anthropic") == 1


def test_a_thousand_consumers_fall_back_to_one_stream(upstream: Any, make: Any) -> None:
    upstream.script("anthropic", wire.failure(503))
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    cache = make()

    async def one() -> list[str]:
        return [piece async for piece in cache.cached_stream(operation="completion", prompt="x")]

    async def run() -> list[list[str]]:
        return await asyncio.gather(*(one() for _ in range(1000)))

    assert all(found == list(TEXTS) for found in asyncio.run(run()))
    assert (upstream.count("anthropic"), upstream.count("openai")) == (1, 1)


def test_who_leaves_early_stores_nothing(upstream: Any, make: Any) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    cache = make()

    async def run() -> None:
        stream = aiter(cache.cached_stream(operation="completion", prompt="x"))
        assert await anext(stream) == "Hel"
        await stream.aclose()
        while len(cache._engine.streams):
            await asyncio.sleep(0.001)

    asyncio.run(run())
    stats = cache.get_stats()
    assert set(stats["providers"]["anthropic"]["errors"]) <= {"abandoned"}  # it may have ended before
    assert stats["load_errors"] == 0


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_while_nothing_is_served_the_chain_still_streams(upstream: Any, make: Any, read: Read, mode: str) -> None:
    upstream.script("anthropic", wire.failure(529))
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    cache = make(mode=mode)
    assert [read(cache) for _ in range(2)] == [list(TEXTS)] * 2
    assert upstream.count("openai") == 2
    assert cache.get_stats()["stored"] == 0


# What cannot stream.


def test_the_mock_provider_streams_its_text_in_a_few_pieces(make: Any, read: Read, monkeypatch: Any) -> None:
    monkeypatch.setenv("APICACHE_MOCK", "1")
    cache = make(order=["mock"])
    found = [read(cache) for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0]) > 3
    assert "".join(found[0]) == cache.cached_api_call_sync(operation="completion", prompt="x").text
    assert cache.get_stats()["cost_saved"] == 0.0


def test_an_embedding_is_no_stream(make: Any, read: Read) -> None:
    with pytest.raises(InputError, match="'embedding' gives one answer; call cached_api_call"):
        read(make(), operation="embedding", text="x")


def test_an_endpoint_that_cannot_stream_is_left_out_while_others_remain(upstream: Any, make: Any, read: Read) -> None:
    upstream.script("openai", wire.stream(wire.chat_events(*TEXTS)))
    table = {"url": f"{upstream.url}/own", "body": {"p": "{prompt}"}}
    cache = make(order=["own", "openai"], tables={"own": table})
    assert read(cache) == list(TEXTS)
    with pytest.raises(InputError, match="provider 'own' cannot stream"):
        read(cache, provider="own")
    assert upstream.count("/own") == 0


def test_a_sender_that_cannot_stream_says_so(make: Any, read: Read, monkeypatch: Any) -> None:
    class Plain:
        async def send(self, provider: str, request: Request, seconds: float) -> Response:
            raise NotImplementedError

        def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
            raise NotImplementedError

        def close(self) -> None:
            pass

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    cache = UnifiedAPICache.create(sender=Plain(), providers={**ONCE, "order": ["openai"]})
    with pytest.raises(InputError, match="the sender Plain has no stream"):
        read(cache)


def test_secrets_are_found_nowhere_in_what_a_stream_raises(upstream: Any, make: Any, read: Read) -> None:
    told = []
    for answer in (wire.failure(401), wire.Answer(is_cut=True), wire.stream(wire.message_events(*TEXTS)[:8])):
        upstream.script("anthropic", answer)
        with pytest.raises(ProviderError) as raised:
            read(make(), provider="anthropic")
        error: BaseException | None = raised.value
        while error is not None:
            told.append(f"{error} {error!r}")
            error = error.__context__
    for secret in (*wire.KEYS.values(), "planted-body-5520"):
        assert secret not in "\n".join(told)


def test_a_caller_may_add_to_its_messages_once_the_stream_has_begun(upstream: Any, make: Any) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events(*TEXTS)))
    cache, messages = make(), [{"role": "user", "content": "hello"}]
    stream = iter(cache.cached_stream_sync(operation="completion", messages=messages))
    first = next(stream)
    messages.append({"role": "assistant", "content": first})
    assert list(stream) == ["lo ", "you"]
    stored(cache)
    assert list(cache.cached_stream_sync(operation="completion", messages=messages[:1])) == list(TEXTS)
    assert upstream.count("anthropic") == 1
