"""Providers that are declared (the file http) and the one without a network (mock)."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from apicache.answers import Completion, Embedding
from apicache.chain.parameters import ANALYST_PROMPT
from apicache.errors import InputError
from apicache.provider import ProviderCall, ProviderError, Reply, Request, Response, Tokens
from apicache.providers import named

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

KEY = "planted-groq-key-4410"
CHAT = {
    "headers": {"Authorization": "Bearer ${GROQ_API_KEY}", "X-Region": "eu"},
    "body": {
        "model": "{model}",
        "messages": "{messages}",
        "temperature": "{temperature}",
        "max_tokens": "{max_tokens}",
        "stop": "{stop}",
        "user": "apicache/{model}",
        "fixed": [1, None, "{{}", "$5"],
    },
    "model": "oss-20b",
    "operations": ["completion", "analysis"],
    "answer": "choices.0.message.content",
    "finish-reason": "choices.0.finish_reason",
    "input_tokens": "usage.prompt_tokens",
    "cached_tokens": "usage.prompt_tokens_details.cached_tokens",
    "output_tokens": "usage.completion_tokens",
}


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)


def declared(**options: Any) -> Any:
    return named("groq", {"groq": {"url": "https://host/v1", **options}})


def call_of(operation: str = "completion", **parameters: Any) -> ProviderCall:
    return ProviderCall(operation=operation, parameters=parameters, model="m-1")


def body_of(provider: Any, operation: str = "completion", **parameters: Any) -> Any:
    return json.loads(provider.request(call_of(operation, **parameters)).body)


def read(provider: Any, document: Any, operation: str = "completion", **parameters: Any) -> Reply:
    given = parameters or {"prompt": "x"}
    response = Response(status=200, headers={}, body=json.dumps(document).encode())
    return provider.reply(call_of(operation, **given), response)


def sent(request: Request) -> Response:
    answer = httpx.request(
        request.method, request.url, headers=dict(request.headers), content=request.body, trust_env=False
    )
    return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)


@pytest.mark.usefixtures("_key")
def test_a_declared_endpoint_answers_like_any_provider(upstream: Any) -> None:
    upstream.script(
        "openai", wire.chat("four", model="oss", finish_reason="length", prompt_tokens_details={"cached_tokens": 2})
    )
    provider = declared(url=f"{upstream.openai_url}/chat/completions", **CHAT)
    call = call_of(prompt="2+2?", system="be brief", temperature=0, stop="END", extra={"seed": 7})
    reply = provider.reply(call, sent(provider.request(call)))
    assert reply.value == Completion(
        text="four", provider="groq", model="oss", finish_reason="length", input_tokens=7, output_tokens=3
    )
    assert reply.tokens == Tokens(input=7, cached=2, output=3)
    (asked,) = upstream.asked
    assert asked.json == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "2+2?"}],
        "temperature": 0,
        "stop": ["END"],
        "user": "apicache/m-1",
        "fixed": [1, None, "{{}", "$5"],
        "seed": 7,
    }
    assert (asked.headers["authorization"], asked.headers["x-region"]) == (f"Bearer {KEY}", "eu")
    assert (provider.name, provider.key_variable) == ("groq", "GROQ_API_KEY")
    assert provider.model_for("analysis") == "oss-20b"


@pytest.mark.usefixtures("_key")
def test_its_secrets_are_nowhere_to_be_seen(upstream: Any) -> None:
    url = f"{upstream.url}/v1/messages?key=${{GROQ_API_KEY}}"
    provider = declared(url=url, body={"q": "{prompt}"})
    call = call_of(prompt="a private prompt")
    request = provider.request(call)
    upstream.script("anthropic", wire.failure(401))
    with pytest.raises(ProviderError, match="GROQ_API_KEY") as caught:
        provider.reply(call, sent(request))
    literal = declared(headers={"X-Token": "planted-literal"})
    shown = f"{provider.__dict__} {literal.__dict__} {request!r} {caught.value!r} {caught.value}"
    for secret in [KEY, "planted", "a private prompt"]:
        assert secret not in shown
    assert upstream.asked[0].path.endswith(f"?key={KEY}")


@pytest.mark.parametrize("value", [None, "", "plänted"])
def test_a_variable_that_is_missing_or_unusable_is_named(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("GROQ_API_KEY", value)
    with pytest.raises(InputError, match="GROQ_API_KEY") as caught:
        declared(**CHAT).request(call_of(prompt="x"))
    assert "pl" not in str(caught.value).partition("GROQ_API_KEY")[0].replace("'completion'", "")


def test_values_keep_their_types_and_urls_their_places() -> None:
    provider = declared(
        url="https://host/models/{model}/{topic}",
        method="PUT",
        operations=["topics"],
        body={"whole": "{items}", "within": "{topic}: {items} {none}", "none": "{none}", "list": ["{none}", "{topic}"]},
    )
    request = provider.request(call_of("topics", items=[1, {"a": None}], topic='a/b?"ü"', none=None))
    assert request.url == "https://host/models/m-1/a%2Fb%3F%22%C3%BC%22"
    assert request.method == "PUT"
    assert json.loads(request.body) == {
        "whole": [1, {"a": None}],
        "within": 'a/b?"ü": [1, {"a": null}] ',
        "list": ['a/b?"ü"'],
    }


def test_a_parameter_cannot_bring_in_another_reference() -> None:
    provider = declared(url="https://host/{prompt}", headers={"X": "y"}, body={"q": "to {prompt}", "m": "{model}"})
    request = provider.request(call_of(prompt="${HOME} {model}"))
    assert json.loads(request.body) == {"q": "to ${HOME} {model}", "m": "m-1"}
    assert request.url == "https://host/%24%7BHOME%7D%20%7Bmodel%7D"


def test_an_endpoint_without_a_body_sends_none() -> None:
    request = declared(url="https://host/search?q={prompt}", method="GET").request(call_of(prompt="a b&c"))
    assert (request.url, request.body, dict(request.headers)) == ("https://host/search?q=a%20b%26c", b"", {})


def test_an_analysis_reaches_an_endpoint_that_knows_only_prompts() -> None:
    options = {"operations": ["analysis"], "body": {"q": "{prompt}"}}
    body = body_of(declared(**options), "analysis", prompt="What stands out?", data=[1])
    assert body == {"q": f"{ANALYST_PROMPT}\n\nWhat stands out?\n\nData, as JSON:\n[1]"}
    body = body_of(declared(**options | {"body": {"q": "{prompt}", "s": "{system}"}}), "analysis", prompt="p")
    assert body == {"q": "p", "s": ANALYST_PROMPT}


@pytest.mark.parametrize(
    ("options", "operation", "parameters", "told"),
    [
        ({"body": {"q": "{prompt}"}}, "embedding", {"text": "x"}, "provider 'groq' has no operation 'embedding'"),
        ({"body": {"q": "{prompt}"}}, "completion", {"prompt": "x", "system": "s"}, "cannot carry parameter 'system'"),
        (
            {"body": {"q": "{prompt}"}},
            "completion",
            {"prompt": "x", "max_tokens": 5},
            "cannot carry parameter 'max_tokens'",
        ),
        ({"body": {"q": "{prompt}"}}, "completion", {"prompt": "x", "top_p": 5}, "cannot carry parameter 'top_p'"),
        ({"body": {"q": "{promt}"}}, "completion", {"prompt": "x"}, "cannot carry parameter 'prompt'.* no {prompt}"),
        ({"body": {"q": "{prompt} {stp}"}}, "completion", {"prompt": "x"}, "refers to parameter 'stp'.*'stop'"),
        ({"body": ["{prompt}"]}, "completion", {"prompt": "x", "extra": {"a": 1}}, "cannot carry parameter 'extra'"),
        (
            {"body": {"q": "{prompt}"}},
            "completion",
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            "takes one prompt, no conversation",
        ),
        ({"body": {"q": "{n}"}, "operations": ["o"]}, "o", {"n": {5520}}, "parameter 'n' holds a set, which JSON"),
        ({"body": {"q": "to {n}"}, "operations": ["o"]}, "o", {"n": float("nan")}, "parameter 'n' .*JSON"),
        ({"url": "${GROQ_API_KEY}", "body": {"q": "{prompt}"}}, "completion", {"prompt": "x"}, "is not an HTTP URL"),
    ],
)
@pytest.mark.usefixtures("_key")
def test_what_an_endpoint_cannot_carry_is_named(
    options: dict[str, Any], operation: str, parameters: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        declared(**options).request(call_of(operation, **parameters))
    assert "5520" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_parameter_that_says_nothing_need_not_be_carried() -> None:
    assert body_of(declared(body={"q": "{prompt}"}), prompt="x", max_tokens=None, extra={}) == {"q": "x"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "ftp://planted"}, "is not an HTTP URL"),
        ({"url": 3}, "does not fit"),
        ({"method": "planted"}, "does not fit"),
        ({"operations": []}, "has no operations"),
        ({"headers": {"X": "planted\r\nY: z"}}, "header 'X' of provider 'groq'"),
        ({"hedaers": {}}, "unknown option 'hedaers' of provider 'groq'; did you mean 'headers'"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        declared(**options)
    assert "planted" not in str(caught.value).replace("'planted'", "")


def test_an_endpoint_needs_its_url() -> None:
    with pytest.raises(InputError, match="url"):
        named("groq", {"groq": {"body": {}}})


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ("a.b.1", {"a": {"b": [0, "text"]}}, "text"),
        ("", "text", "text"),
        ("1", {"1": "text"}, "text"),
        ("a", {}, None),
        ("a.0", {"a": []}, None),
        ("a.-1", {"a": ["text"]}, None),
        ("a.x", {"a": "text"}, None),
        ("a", {"a": ["text"]}, None),
        ("a", {"a": ""}, None),
        ("a", None, None),
    ],
)
def test_the_answer_lies_at_its_path(path: str, document: Any, expected: str | None) -> None:
    provider = declared(answer=path)
    if expected is not None:
        assert read(provider, document).value.text == expected
        return
    with pytest.raises(ProviderError) as caught:
        read(provider, document)
    assert caught.value.kind == "broken"


def test_an_error_in_a_body_of_status_200_is_told_by_its_kind() -> None:
    with pytest.raises(ProviderError) as caught:
        read(declared(answer="text"), {"error": {"code": "rate_limit_exceeded", "message": "planted"}})
    assert caught.value.kind == "rate_limit"
    assert "planted" not in str(caught.value)


def test_an_operation_of_its_own_answers_plain_json() -> None:
    reply = read(declared(operations=["topics"], answer="found"), {"found": [1, {"a": None}]}, "topics", n=1)
    assert (reply.value, reply.model, reply.tokens) == ([1, {"a": None}], "m-1", Tokens())


VECTORS = {"operations": ["embedding"], "body": {"input": "{texts}", "size": "{dimensions}"}, "answer": "data"}


@pytest.mark.parametrize(
    "data", [[[1, 2], [3, 4]], [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]]
)
def test_an_endpoints_vectors_are_embeddings(data: Any) -> None:
    provider = declared(**VECTORS)
    assert body_of(provider, "embedding", texts=["a", "b"]) == {"input": ["a", "b"]}
    assert body_of(provider, "embedding", text="a", dimensions=2) == {"input": ["a"], "size": 2}
    found = read(provider, {"data": data}, "embedding", texts=["a", "b"]).value
    assert [each.vector for each in found] == [(1.0, 2.0), (3.0, 4.0)]
    for alone in ([5.0], [[5.0]], [{"index": 0, "embedding": [5.0]}]):
        assert read(provider, {"data": alone}, "embedding", text="a").value.vector == (5.0,)
    for wrong in ([[1.0]], [], "text", [1.0, 2.0], {"a": 1}):
        with pytest.raises(ProviderError, match="none of the 2 vectors"):
            read(provider, {"data": wrong}, "embedding", texts=["a", "b"])


def mock(monkeypatch: pytest.MonkeyPatch, value: str | None = "1", **options: Any) -> Any:
    if value is None:
        monkeypatch.delenv("APICACHE_MOCK", raising=False)
    else:
        monkeypatch.setenv("APICACHE_MOCK", value)
    return named("mock", {"mock": options})


@pytest.mark.parametrize(
    ("value", "options", "is_on"),
    [
        (None, {}, False),
        ("", {}, False),
        ("0", {"enabled": True}, False),
        ("1", {}, True),
        ("true", {}, True),
        (None, {"enabled": True}, True),
        (None, {"enabled": False}, False),
    ],
)
def test_the_mock_answers_only_where_it_was_switched_on(
    value: str | None, options: dict[str, Any], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = mock(monkeypatch, value, **options)
    assert provider.is_on() is is_on
    if is_on:
        assert provider.answer(call_of(prompt="x")).value.text
    else:
        with pytest.raises(InputError, match="switched off; set APICACHE_MOCK=1"):
            provider.answer(call_of(prompt="x"))


def test_a_switch_that_is_no_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="APICACHE_MOCK"):
        mock(monkeypatch, "perhaps").is_on()


def test_mock_answers_are_marked_free_and_the_same_for_the_same_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = mock(monkeypatch)
    calls = [call_of(prompt="x"), call_of(prompt="y"), call_of("analysis", prompt="x"), call_of(prompt="x", stop="a")]
    replies = [provider.answer(call) for call in calls]
    assert [provider.answer(call) for call in calls] == replies
    assert len({reply.value.text for reply in replies}) == len(calls)
    for reply in replies:
        assert (reply.value.provider, reply.value.model, reply.model) == ("mock", "mock", "mock")
        assert (reply.tokens, reply.value.cost) == (Tokens(), 0.0)
        assert "no provider was asked" in reply.value.text


def test_a_mock_vector_is_its_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = mock(monkeypatch)
    alone = provider.answer(call_of("embedding", text="b")).value
    other, again = (provider.answer(call_of("embedding", text=text)).value for text in "ab")
    assert isinstance(alone, Embedding)
    assert again == alone
    assert other != alone
    assert math.isclose(math.hypot(*alone.vector), 1.0)
    assert len(provider.answer(call_of("embedding", text="b", dimensions=3)).value.vector) == 3


def test_the_mock_refuses_what_any_provider_would(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = mock(monkeypatch)
    for call, told in [
        (call_of("complete", prompt="x"), "did you mean 'completion'"),
        (call_of(), "either 'prompt' or 'messages'"),
        (call_of(prompt="x", extra={"f": print}), "cannot tell apart"),
        (call_of("embedding", texts=[]), "'texts'"),
    ]:
        with pytest.raises(InputError, match=told):
            provider.answer(call)
