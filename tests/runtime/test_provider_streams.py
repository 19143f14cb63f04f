"""Streamed answers over real HTTP: their texts as they come, what they used, and streams that break off."""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apicache.answers import Completion
from apicache.errors import InputError
from apicache.provider import ProviderCall, ProviderError, Reply, Response, Tokens
from apicache.providers import named
from apicache.streams.server_sent_events import EventParser

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

APIS = {
    "anthropic": ("anthropic", {}, wire.message_events),
    "openai": ("openai", {}, wire.chat_events),
    "responses": ("openai", {"api": "responses"}, wire.response_events),
}
Streamed = tuple[list[str], Reply]


class Driver:
    """Drives a provider's reader by what comes in, sync or async."""

    def __init__(self, client: Any, run: Callable[[Any], Any] | None) -> None:
        self._client = client
        self._run = run

    def __call__(self, place: str) -> Streamed:
        name, options, _ = APIS[place]
        provider: Any = named(name, {name: options})
        call = ProviderCall(operation="completion", parameters={"prompt": "a private prompt"}, model="asked")
        sent = provider.stream_request(call)
        arguments = {"headers": dict(sent.headers), "content": sent.body, "timeout": 10}
        if self._run is None:
            return self._sync(provider, call, self._client.stream(sent.method, sent.url, **arguments))
        return self._run(self._async(provider, call, self._client.stream(sent.method, sent.url, **arguments)))

    def _sync(self, provider: Any, call: ProviderCall, opened: Any) -> Streamed:
        reader, parser, texts = provider.stream_reader(call), EventParser(), []
        with opened as response:
            if response.status_code != 200:
                told = Response(status=response.status_code, headers=dict(response.headers), body=response.read())
                provider.reply(call, told)
            for piece in response.iter_raw():
                texts += [reader.take(data) for data in parser.feed(piece) if not reader.ended]
        return [text for text in texts if text], reader.reply()

    async def _async(self, provider: Any, call: ProviderCall, opened: Any) -> Streamed:
        reader, parser, texts = provider.stream_reader(call), EventParser(), []
        async with opened as response:
            if response.status_code != 200:
                told = Response(
                    status=response.status_code, headers=dict(response.headers), body=await response.aread()
                )
                provider.reply(call, told)
            async for piece in response.aiter_raw():
                texts += [reader.take(data) for data in parser.feed(piece) if not reader.ended]
        return [text for text in texts if text], reader.reply()


@pytest.fixture(scope="module", params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Driver]:
    if request.param == "sync":
        with httpx.Client(trust_env=False) as client:
            yield Driver(client, None)
        return
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(trust_env=False)
        yield Driver(client, runner.run)
        runner.run(client.aclose())


def broken_off(drive: Driver, place: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        drive(place)
    told = f"{caught.value} {caught.value!r}"
    assert not any(secret in told for secret in [*wire.KEYS.values(), "planted", "a private prompt"])
    return caught.value


@pytest.mark.parametrize("place", APIS)
@pytest.mark.parametrize("size", [None, 1, 7])
def test_texts_come_as_they_are_written_however_the_bytes_do(
    upstream: Any, drive: Driver, place: str, size: int | None
) -> None:
    pieces = APIS[place][2]("Grüße, ", "wörld", " 😀")
    whole = b"".join(pieces)
    cut = pieces if size is None else [whole[start : start + size] for start in range(0, len(whole), size)]
    upstream.script(place, wire.stream(cut))
    texts, reply = drive(place)
    assert texts == ["Grüße, ", "wörld", " 😀"]
    assert isinstance(reply.value, Completion)
    assert (reply.value.text, reply.value.finish_reason) == ("Grüße, wörld 😀", "stop")
    assert reply.value.provider == APIS[place][0]
    assert (reply.value.input_tokens, reply.value.output_tokens) == (reply.tokens.input, reply.tokens.output)


def test_a_stream_tells_what_it_used(upstream: Any, drive: Driver) -> None:
    expected = {
        "anthropic": ("claude-haiku-5-5", Tokens(input=11, cached=4, cache_writes=2, output=9)),
        "openai": ("m-1", Tokens(input=7, cached=4, output=3)),
        "responses": ("gpt-6-luna", Tokens(input=7, cached=2, cache_writes=1, output=3)),
    }
    for place, (model, tokens) in expected.items():
        upstream.script(place, wire.stream(APIS[place][2]("text")))
        _, reply = drive(place)
        assert (reply.model, reply.tokens) == (model, tokens)


@pytest.mark.parametrize("place", APIS)
def test_a_stream_that_breaks_off_anywhere_is_no_answer(upstream: Any, drive: Driver, place: str) -> None:
    pieces = APIS[place][2]("one", "two")
    if place == "openai":
        pieces = pieces[:-3]  # with its finish_reason the text is whole
    for length in range(1, len(pieces)):
        upstream.script(place, wire.stream(pieces[:length]))
        assert broken_off(drive, place).kind == "broken"


def test_a_chat_stream_without_its_last_event_is_whole_once_it_has_finished(upstream: Any, drive: Driver) -> None:
    for pieces in (wire.chat_events("text", last=()), wire.chat_events("text", last=())[:-1]):
        upstream.script("openai", wire.stream(pieces))
        assert drive("openai")[1].value.text == "text"


ERRORS = {
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "planted"}},
    "openai": {"error": {"type": "overloaded_error", "message": "planted", "code": None}},
    "responses": {"type": "error", "code": "rate_limit_exceeded", "message": "planted"},
}


@pytest.mark.parametrize("place", APIS)
def test_an_error_event_ends_the_stream_with_its_kind(upstream: Any, drive: Driver, place: str) -> None:
    pieces = APIS[place][2]("one")
    upstream.script(place, wire.stream([*pieces[:-3], *wire.events(ERRORS[place])]))
    assert broken_off(drive, place).kind == ("rate_limit" if place == "responses" else "overloaded")


def test_a_response_that_fails_at_its_end_is_no_answer(upstream: Any, drive: Driver) -> None:
    failed = wire.response_document("one", status="failed", error={"code": "server_error", "message": "planted"})
    first, *_ = wire.response_events("one")
    upstream.script("responses", wire.stream([first, *wire.events({"type": "response.failed", "response": failed})]))
    assert broken_off(drive, "responses").kind == "unavailable"
    upstream.script("responses", wire.stream([first, *wire.events({"type": "response.completed", "response": 3})]))
    assert broken_off(drive, "responses").kind == "broken"


@pytest.mark.parametrize("place", APIS)
@pytest.mark.parametrize("data", ["planted, no json", "[1]", "3", '{"planted": '])
def test_an_event_that_is_no_object_is_no_answer(upstream: Any, drive: Driver, place: str, data: str) -> None:
    first, *rest = APIS[place][2]("one")
    upstream.script(place, wire.stream([first, *wire.events(data), *rest]))
    assert broken_off(drive, place).kind == "broken"


@pytest.mark.parametrize("place", APIS)
def test_events_of_next_year_are_passed_over(upstream: Any, drive: Driver, place: str) -> None:
    first, *rest = APIS[place][2]("one")
    odd = wire.events(
        {"type": "a_word_of_next_year", "delta": {"type": "x", "text": 3}, "choices": [{"delta": None}, 3]}
    )
    upstream.script(place, wire.stream([first, *odd, b": a comment\n\n", *rest]))
    assert drive(place)[0] == ["one"]


@pytest.mark.parametrize("place", APIS)
def test_an_empty_stream_is_no_answer(upstream: Any, drive: Driver, place: str) -> None:
    for pieces in (APIS[place][2](), [b": nothing\n\n"]):
        upstream.script(place, wire.stream(pieces))
        if place != "responses" or len(pieces) == 1:
            assert broken_off(drive, place).kind == "broken"


@pytest.mark.parametrize("place", APIS)
def test_a_refused_stream_is_told_as_any_refusal(upstream: Any, drive: Driver, place: str) -> None:
    upstream.script(place, wire.failure(529, {"retry-after": "3"}))
    error = broken_off(drive, place)
    assert (error.kind, error.status, error.retry_after) == ("overloaded", 529, 3)


def test_the_refusal_of_a_stream_is_its_text_and_marked(upstream: Any, drive: Driver) -> None:
    choice = {"index": 0, "delta": {"refusal": "I cannot."}, "finish_reason": "stop"}
    other = {"index": 1, "delta": {"content": "another choice"}}
    upstream.script("openai", wire.stream(wire.events({"choices": [other, choice]}, "[DONE]")))
    texts, reply = drive("openai")
    assert (texts, reply.value.finish_reason) == (["I cannot."], "filter")


def test_a_declared_endpoint_and_an_embedding_cannot_be_streamed() -> None:
    endpoint: Any = named("groq", {"groq": {"url": "https://api.groq.com"}})
    call = ProviderCall(operation="completion", parameters={"prompt": "x"}, model="m")
    for refuse in (endpoint.stream_request, endpoint.stream_reader):
        with pytest.raises(InputError, match="provider 'groq' cannot stream operation 'completion'"):
            refuse(call)
    with pytest.raises(InputError, match="cannot be streamed"):
        named("openai").stream_reader(ProviderCall(operation="embedding", parameters={"text": "x"}, model="m"))
