"""The providers anthropic and openai against a server that speaks their formats: answers, and what is no answer."""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache.answers import Completion, Embedding
from apicache.chain.errors import kind_of, retry_after, status_error
from apicache.chain.senders import HTTPSender
from apicache.errors import InputError
from apicache.provider import (
    FALLS_THROUGH,
    WORTH_A_RETRY,
    ProviderCall,
    ProviderError,
    Reply,
    Request,
    Response,
    Tokens,
)
from apicache.providers import known, named

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

Ask = Callable[..., Reply]


@pytest.fixture(scope="module", params=["sync", "async"])
def exchange(request: pytest.FixtureRequest) -> Iterator[Callable[..., Response]]:
    """Sends a request over HTTP; one sender for all tests, as a TLS context takes longer than they do."""
    sender = HTTPSender()
    with asyncio.Runner() as runner:

        def exchange(name: str, sent: Request, seconds: float) -> Response:
            if request.param == "sync":
                return sender.send_sync(name, sent, seconds)
            return runner.run(sender.send(name, sent, seconds))

        yield exchange
    sender.close()


@pytest.fixture
def ask(exchange: Callable[..., Response], upstream: Any) -> Ask:
    """`ask(provider, operation, **parameters)` asks the server and reads what it answers."""

    def ask(name: str, operation: str = "completion", seconds: float = 10, **parameters: Any) -> Reply:
        options = {"api": parameters.pop("api")} if "api" in parameters else {}
        provider: Any = named(name, {name: options})
        model = parameters.pop("model", None) or provider.model_for(operation)
        call = ProviderCall(operation=operation, parameters=parameters, model=model)
        return provider.reply(call, exchange(name, provider.request(call), seconds))

    return ask


def refused(ask: Ask, *arguments: Any, **parameters: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(*arguments, **parameters)
    told = f"{caught.value} {caught.value!r}"
    for secret in [*wire.KEYS.values(), "planted", "a private prompt"]:
        assert secret not in told
    return caught.value


def test_an_anthropic_completion_has_its_text_and_every_token_of_its_prompt(upstream: Any, ask: Ask) -> None:
    upstream.script("anthropic", wire.message("four", cache_read_input_tokens=20, cache_creation_input_tokens=5))
    reply = ask("anthropic", prompt="2+2?")
    assert reply.value == Completion(
        text="four",
        provider="anthropic",
        model="claude-haiku-5-5",
        finish_reason="stop",
        input_tokens=32,
        output_tokens=3,
    )
    assert reply.tokens == Tokens(input=32, cached=20, cache_writes=5, output=3)
    assert reply.model == "claude-haiku-5-5"
    assert str(reply.value) == "four"


def test_an_openai_completion_counts_cached_tokens_within_its_prompt(upstream: Any, ask: Ask) -> None:
    details = {"cached_tokens": 4, "cache_write_tokens": 1, "audio_tokens": 0}
    upstream.script("openai", wire.chat("four", model="gpt-6-luna-2026-09-22", prompt_tokens_details=details))
    reply = ask("openai", prompt="2+2?")
    assert reply.value.text == "four"
    assert (reply.value.provider, reply.value.model) == ("openai", "gpt-6-luna-2026-09-22")
    assert reply.tokens == Tokens(input=7, cached=4, cache_writes=1, output=3)


def test_openai_answers_by_the_responses_api_when_it_is_asked_to(upstream: Any, ask: Ask) -> None:
    reply = ask("openai", prompt="2+2?", api="responses")
    assert (reply.value.text, reply.value.finish_reason) == ("answer 1", "stop")
    assert reply.tokens == Tokens(input=7, cached=2, cache_writes=1, output=3)
    assert (upstream.count("responses"), upstream.count("openai")) == (1, 0)


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool"),
        ("pause_turn", "tool"),
        ("refusal", "filter"),
        ("a word of next year", None),
    ],
)
def test_anthropics_stop_reasons_are_told_in_our_words(upstream: Any, ask: Ask, word: str, finish: str | None) -> None:
    upstream.script("anthropic", wire.message("text", stop_reason=word))
    assert ask("anthropic", prompt="x").value.finish_reason == finish


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("length", "length"),
        ("tool_calls", "tool"),
        ("function_call", "tool"),
        ("content_filter", "filter"),
        ("odd", None),
    ],
)
def test_openais_finish_reasons_are_told_in_our_words(upstream: Any, ask: Ask, word: str, finish: str | None) -> None:
    upstream.script("openai", wire.chat("text", finish_reason=word))
    assert ask("openai", prompt="x").value.finish_reason == finish


def test_an_answer_cut_by_its_limit_may_be_empty(upstream: Any, ask: Ask) -> None:
    upstream.script("anthropic", wire.message("", stop_reason="max_tokens"))
    upstream.script("openai", wire.chat(None, finish_reason="length"))
    for name in ("anthropic", "openai"):
        assert ask(name, prompt="x").value.text == ""


def test_a_refusal_is_the_answer_and_marked(upstream: Any, ask: Ask) -> None:
    document = {"choices": [{"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}]}
    upstream.script("openai", wire.of_json(document))
    value = ask("openai", prompt="x").value
    assert (value.text, value.finish_reason, value.model) == ("I cannot.", "filter", "gpt-6-luna")
    content = [{"type": "refusal", "refusal": "I cannot."}]
    upstream.script("responses", wire.response("", output=[{"type": "message", "content": content}]))
    value = ask("openai", prompt="x", api="responses").value
    assert (value.text, value.finish_reason) == ("I cannot.", "filter")


def test_a_text_in_parts_is_one_text(upstream: Any, ask: Ask) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    upstream.script("openai", wire.of_json({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}))
    assert ask("openai", prompt="x").value.text == "ab"


@pytest.mark.parametrize("name", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (402, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "bad_request"),
        (422, "bad_request"),
        (429, "rate_limit"),
        (500, "unavailable"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "timeout"),
        (529, "overloaded"),
        (302, "broken"),
    ],
)
def test_a_status_is_an_error_of_its_kind(upstream: Any, ask: Ask, name: str, status: int, kind: str) -> None:
    upstream.script(name, wire.failure(status))
    error = refused(ask, name, prompt="a private prompt")
    assert (error.kind, error.status, error.retry_after) == (kind, status, None)
    assert str(error).startswith(f"{name} answered with status {status}: ")
    assert (f"{name.upper()}_API_KEY" in str(error)) == (kind == "auth")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, "auth"),
        (400, {"type": "invalid_request_error", "code": "model_not_found"}, "not_found"),
        (400, {"type": "invalid_request_error", "code": "context_length_exceeded"}, "bad_request"),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, "auth"),
        (500, {"type": "overloaded_error"}, "overloaded"),
        (429, {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}, "auth"),
        (429, {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}, "rate_limit"),
        (200, {"type": "rate_limit_error", "code": 429}, "rate_limit"),
        (200, {"type": "planted"}, "broken"),
    ],
)
def test_a_word_of_the_api_says_more_than_the_status(
    upstream: Any, ask: Ask, status: int, error: dict[str, Any], kind: str
) -> None:
    upstream.script("openai", wire.failure(status, **error))
    found = refused(ask, "openai", prompt="x")
    assert found.kind == kind
    assert found.kind in FALLS_THROUGH | {"bad_request"}


def test_an_account_that_has_run_dry_is_not_asked_again() -> None:
    response = Response(status=429, headers={}, body=wire.failure(429, code="insufficient_quota").body)
    assert status_error("openai", response).kind not in WORTH_A_RETRY


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 25 Nov 2026 14:00:30 GMT", "date": "Wed, 25 Nov 2026 14:00:00 GMT"}, 30),
        ({"retry-after": "Wed, 25 Nov 2026 14:00:30 -0000", "date": "Wed, 25 Nov 2026 14:00:00 GMT"}, 30),
        ({"retry-after": "Wed, 25 Nov 2026 13:00:00 GMT", "date": "Wed, 25 Nov 2026 14:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 25 Nov 2005 14:00:00 GMT"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 99 Nov 2026 14:00:30 GMT"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_when_to_come_back_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("value", ["12", "Wed, 01 Jan 2020 00:00:12 GMT"])
def test_a_rate_limits_wait_reaches_the_error(upstream: Any, ask: Ask, value: str) -> None:
    upstream.script("openai", wire.failure(429, {"retry-after": value}))
    error = refused(ask, "openai", prompt="x")
    assert error.kind == "rate_limit"
    assert error.retry_after == (12 if value == "12" else 0)


def test_every_status_has_a_kind() -> None:
    assert {kind_of(status) for status in range(300, 400)} == {"broken"}
    assert all(kind_of(status) in FALLS_THROUGH for status in range(500, 600))


BROKEN = {
    "nothing": wire.Answer(b""),
    "half a body": wire.Answer(wire.message("text").body[:-20]),
    "a page": wire.Answer(b"<html>planted: log in first</html>", headers={"content-type": "text/html"}),
    "no utf-8": wire.Answer(b'{"type": "message", "content": "\xff"}'),
    "a list": wire.of_json([1, 2]),
    "null": wire.of_json(None),
    "another object": wire.of_json({"planted": True}),
    "numbers for texts": wire.of_json({"type": "message", "content": [3], "choices": [3]}),
    "deep": wire.Answer(b"[" * 100_000),
    "no choices": wire.of_json({"type": "message", "content": [], "stop_reason": "end_turn", "choices": []}),
    "no text": wire.of_json({"type": "message", "content": [{"type": "text"}], "choices": [{"message": {}}]}),
}


@pytest.mark.parametrize("name", ["anthropic", "openai"])
@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_used_is_no_answer(upstream: Any, ask: Ask, name: str, case: str) -> None:
    upstream.script(name, BROKEN[case])
    assert refused(ask, name, prompt="a private prompt").kind == "broken"


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled"])
def test_a_response_that_is_not_finished_is_no_answer(upstream: Any, ask: Ask, status: str) -> None:
    upstream.script("responses", wire.response("text", status=status))
    assert refused(ask, "openai", prompt="x", api="responses").kind == "broken"


def test_a_response_that_failed_says_of_what_kind(upstream: Any, ask: Ask) -> None:
    for code, kind in [("server_error", "unavailable"), ("rate_limit_exceeded", "rate_limit"), ("odd", "broken")]:
        error = {"code": code, "message": "planted"}
        upstream.script("responses", wire.response("", status="failed", error=error))
        assert refused(ask, "openai", prompt="x", api="responses").kind == kind
    upstream.script(
        "responses", wire.response("part", status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )
    assert ask("openai", prompt="x", api="responses").value.finish_reason == "length"


def test_json_is_taken_under_any_content_type(upstream: Any, ask: Ask) -> None:
    upstream.script("openai", wire.chat("text")._replace(headers={"content-type": "text/plain"}))
    assert ask("openai", prompt="x").value.text == "text"


@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_a_server_that_never_answers_is_left_and_one_that_hangs_up_is_no_answer(
    upstream: Any, ask: Ask, name: str
) -> None:
    upstream.script(name, wire.Answer(hangs=True), wire.message("text")._replace(is_cut=True), wire.failure(529))
    assert refused(ask, name, seconds=0.05, prompt="a private prompt").kind == "timeout"
    assert refused(ask, name, prompt="a private prompt").kind in {"unavailable", "broken"}
    assert refused(ask, name, prompt="a private prompt").kind == "overloaded"
    assert upstream.count(name) == 3


def test_a_text_has_its_vector_and_a_batch_has_them_in_order(upstream: Any, ask: Ask) -> None:
    reply = ask("openai", "embedding", text="abc")
    vector = tuple(wire.vector("abc"))
    assert reply.value == Embedding(vector=vector, provider="openai", model="e-1", input_tokens=10)
    texts = ["a", "bb", "ccc", "dddd"]
    upstream.script("embeddings", wire.embeddings(texts, [2, 0, 3, 1]))
    reply = ask("openai", "embedding", texts=texts)
    assert [each.vector for each in reply.value] == [tuple(wire.vector(text)) for text in texts]
    assert sum(each.input_tokens for each in reply.value) == reply.tokens.input == 40
    assert [each.input_tokens for each in reply.value] == sorted(each.input_tokens for each in reply.value)
    assert upstream.count("embeddings") == 2


@pytest.mark.parametrize(
    ("indexes", "missing"),
    [
        ([0, 1], {2}),
        ([2], {0, 1}),
        ([0, 1, 2, 3], set()),
        ([1, 0, 2, -1], set()),
        ([0, 0, 1], {2}),
        ([None, None, None], set()),
    ],
)
def test_a_batch_of_another_size_fails_only_the_items_it_left_out(
    upstream: Any, ask: Ask, indexes: list[int | None], missing: set[int]
) -> None:
    texts = ["a", "bb", "ccc"]
    upstream.script("embeddings", wire.embeddings(texts, indexes))
    found = ask("openai", "embedding", texts=texts).value
    for place, text in enumerate(texts):
        if place in missing:
            assert isinstance(found[place], ProviderError)
            assert found[place].kind == "broken"
        else:
            assert found[place].vector == tuple(wire.vector(text))


def test_an_index_with_two_vectors_is_nobodys(upstream: Any, ask: Ask) -> None:
    data = [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}, {"index": 1, "embedding": [3.0]}]
    upstream.script("embeddings", wire.of_json({"data": data}))
    first, second = ask("openai", "embedding", texts=["a", "b"]).value
    assert isinstance(first, ProviderError)
    assert second.vector == (3.0,)


@pytest.mark.parametrize("vector", [[], None, ["1"], [None], [True], 3, "?", "AAA=", {"0": 1.0}])
def test_a_vector_that_is_none_fails_its_item(upstream: Any, ask: Ask, vector: Any) -> None:
    data = [{"index": 0, "embedding": [1, 2.5]}, {"index": 1, "embedding": vector}]
    upstream.script("embeddings", wire.of_json({"data": data}))
    first, second = ask("openai", "embedding", texts=["a", "b"]).value
    assert first.vector == (1.0, 2.5)
    assert isinstance(second, ProviderError)
    upstream.script("embeddings", wire.of_json({"data": data[1:]}))
    assert refused(ask, "openai", "embedding", text="a private prompt").kind == "broken"


@pytest.mark.parametrize("indexes", [[], [7, 8], [None], [None, None, None]])
def test_a_batch_without_a_single_vector_is_no_answer(upstream: Any, ask: Ask, indexes: list[int | None]) -> None:
    answer = wire.embeddings(["a", "b", "c"], indexes)
    upstream.script("embeddings", answer)
    assert refused(ask, "openai", "embedding", texts=["a", "b"]).kind == "broken"


def test_a_packed_vector_is_unpacked_and_one_of_another_length_is_refused(upstream: Any, ask: Ask) -> None:
    upstream.script("embeddings", wire.of_json({"data": [{"index": 0, "embedding": "AACAPwAAAMA="}]}))
    assert ask("openai", "embedding", text="a", dimensions=2).value.vector == (1.0, -2.0)
    assert refused(ask, "openai", "embedding", text="a", dimensions=3).kind == "broken"


def test_providers_are_found_by_their_files_names() -> None:
    assert known() == {"anthropic", "http", "mock", "openai"}
    for name in known() - {"http"}:
        assert named(name).name == name
    with pytest.raises(InputError, match=r"unknown provider 'antropic'; did you mean 'anthropic'\?"):
        named("antropic")
    with pytest.raises(InputError, match=r"unknown provider 'grok'; did you mean 'groq'\?"):
        named("grok", {"groq": {"url": "https://api.groq.com"}})
    with pytest.raises(InputError, match="declare"):
        named("http")
    with pytest.raises(InputError, match=r"unknown option 'modell' of provider 'openai'; did you mean 'model'"):
        named("openai", {"openai": {"modell": "x"}})
    with pytest.raises(InputError, match="does not fit"):
        named("openai", {"openai": {"api": "planted"}})
