"""What the providers send, compared with what the vendors' own SDKs send; what they refuse; what stays secret."""

import importlib.util
import json
import logging
import traceback
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from apicache.chain.parameters import ANALYST_PROMPT, DEFAULT_MAX_TOKENS
from apicache.errors import InputError
from apicache.provider import ProviderCall, ProviderError, Request
from apicache.providers import named

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream
pytestmark = pytest.mark.usefixtures("upstream")

MODELS = {"anthropic": "claude-haiku-4-5", "openai": "gpt-4.1-mini"}


def call_of(operation: str, model: str = "m-1", **parameters: Any) -> ProviderCall:
    return ProviderCall(operation=operation, parameters=parameters, model=model)


def request_of(
    name: str, operation: str = "completion", options: Mapping[str, Any] | None = None, **parameters: Any
) -> Request:
    provider: Any = named(name, {name: options or {}})
    model = parameters.pop("model", None) or provider.model_for(operation)
    return provider.request(call_of(operation, model, **parameters))


def body_of(*arguments: Any, **parameters: Any) -> Any:
    return json.loads(request_of(*arguments, **parameters).body)


RESPONSES = {"openai": {"api": "responses"}}
CONVERSATION = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ja"},
    {"role": "user", "content": "so"},
]


def test_the_anthropic_sdk_sends_the_same(upstream: Any) -> None:
    extra = {"thinking": {"type": "disabled"}, "metadata": {"user_id": "u"}}
    given = {"messages": CONVERSATION, "system": "be brief", "max_tokens": 50, "stop": ["END"]}
    sent = request_of("anthropic", model="claude-haiku-4-5", extra=extra, **given)
    given["stop_sequences"] = given.pop("stop")
    with anthropic.Anthropic(max_retries=0) as client:
        client.messages.create(model="claude-haiku-4-5", **given, **extra)
    (asked,) = upstream.asked
    assert json.loads(sent.body) == asked.json
    assert sent.url == upstream.url + asked.path
    own = {"x-api-key": asked.headers["authorization"].removeprefix("Bearer ")}  # the API takes either form
    assert {name: own.get(name) or asked.headers[name] for name in sent.headers} == sent.headers


def test_the_openai_sdk_sends_the_same_to_each_of_its_endpoints(upstream: Any) -> None:
    extra = {"seed": 7, "response_format": {"type": "json_object"}}
    options = {"model": "gpt-4.1-mini", "temperature": 0.5}
    system = {"role": "system", "content": "be brief"}
    responses = named("openai", RESPONSES)
    sent = [
        request_of(
            "openai", messages=CONVERSATION, system="be brief", max_tokens=50, stop="END", extra=extra, **options
        ),
        responses.request(call_of("completion", prompt="hi", system="be brief", max_tokens=50, **options)),
        responses.request(call_of("completion", messages=CONVERSATION, extra={"store": False}, **options)),
        request_of("openai", "embedding", texts=["a", "b"], dimensions=2, model="e-1"),
        request_of("openai", "embedding", text="a", model="e-1"),
    ]
    floats: Any = {"model": "e-1", "encoding_format": "float"}
    with openai.OpenAI(max_retries=0, organization=None, project=None) as client:
        client.chat.completions.create(
            messages=[system, *CONVERSATION], max_tokens=50, stop=["END"], **extra, **options
        )
        client.responses.create(input="hi", instructions="be brief", max_output_tokens=50, **options)
        client.responses.create(input=CONVERSATION, store=False, **options)
        client.embeddings.create(input=["a", "b"], dimensions=2, **floats)
        client.embeddings.create(input="a", **floats)
    for mine, theirs in zip(sent, upstream.asked, strict=True):
        assert json.loads(mine.body) == theirs.json
        assert mine.url == upstream.url + theirs.path
        assert {name: theirs.headers[name] for name in mine.headers} == mine.headers


def test_streams_are_asked_for_as_the_sdks_do(upstream: Any) -> None:
    upstream.script("anthropic", wire.stream(wire.message_events("a")))
    upstream.script("openai", wire.stream(wire.chat_events("a")))
    upstream.script("responses", wire.stream(wire.response_events("a")))
    messages: Any = [{"role": "user", "content": "hi"}]
    with anthropic.Anthropic(max_retries=0) as client:
        list(client.messages.create(model="m-1", messages=messages, max_tokens=DEFAULT_MAX_TOKENS, stream=True))
    with openai.OpenAI(max_retries=0) as other:
        usage: Any = {"include_usage": True}
        list(other.chat.completions.create(model="m-1", messages=messages, stream=True, stream_options=usage))
        list(other.responses.create(model="m-1", input="hi", stream=True))
    sent = [
        named(name, options).stream_request(call_of("completion", prompt="hi"))
        for name, options in [("anthropic", {}), ("openai", {}), ("openai", RESPONSES)]
    ]
    assert [json.loads(each.body) for each in sent] == [asked.json for asked in upstream.asked]


def test_the_organisation_and_project_are_told_when_they_are_set(
    upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    sent = request_of("openai", prompt="x")
    with openai.OpenAI(max_retries=0) as client:
        client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": "hi"}])
    for name in ("openai-organization", "openai-project"):
        assert sent.headers[name] == upstream.asked[0].headers[name]


def test_an_analysis_asks_for_one_and_carries_its_data_as_json() -> None:
    data = {"rows": [[1, 2.5, None, True, "ü"]]}
    body = body_of("anthropic", "analysis", prompt="What stands out?", data=data, system="In German.")
    assert body["system"] == f"{ANALYST_PROMPT}\n\nIn German."
    (message,) = body["messages"]
    assert message["content"] == 'What stands out?\n\nData, as JSON:\n{"rows":[[1,2.5,null,true,"ü"]]}'
    assert body_of("openai", "analysis", prompt="p")["messages"][0] == {"role": "system", "content": ANALYST_PROMPT}


def test_system_messages_at_the_start_become_anthropics_system_prompt() -> None:
    first = [{"role": "system", "content": "one"}, {"role": "developer", "content": "two"}]
    body = body_of("anthropic", messages=[*first, *CONVERSATION], system="zero")
    assert (body["system"], body["messages"]) == ("zero\n\none\n\ntwo", CONVERSATION)


def test_the_bound_has_the_name_that_the_server_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "max_tokens" in body_of("openai", prompt="x", max_tokens=5)
    assert "max_tokens" not in body_of("openai", prompt="x", max_tokens=5, extra={"max_completion_tokens": 9})
    assert body_of("anthropic", prompt="x")["max_tokens"] == DEFAULT_MAX_TOKENS
    assert body_of("anthropic", options={"max_tokens": 9}, prompt="x")["max_tokens"] == 9
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert body_of("openai", prompt="x", max_tokens=5)["max_completion_tokens"] == 5


def test_the_environment_wins_over_the_configuration_and_a_call_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = {"model": "configured", "embedding_model": "configured-e"}
    provider: Any = named("openai", {"openai": configured})
    assert (provider.model_for("analysis"), provider.model_for("embedding")) == ("configured", "configured-e")
    monkeypatch.setenv("OPENAI_MODEL", "set")
    monkeypatch.setenv("OPENAI_EMBEDDING_MODEL", "set-e")
    assert (provider.model_for("completion"), provider.model_for("embedding")) == ("set", "set-e")
    monkeypatch.setenv("ANTHROPIC_MODEL", "set")
    assert named("anthropic").model_for("completion") == "set"
    assert body_of("anthropic", prompt="x", model="asked")["model"] == "asked"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert request_of("openai", prompt="x").url == "https://api.openai.com/v1/chat/completions"
    options = {"base_url": "http://localhost:11434/v1/", "api": "responses"}
    assert request_of("openai", options=options, prompt="x").url == "http://localhost:11434/v1/responses"


@pytest.mark.parametrize("variable", wire.KEYS)
@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_missing_key_is_named(variable: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    name = variable.partition("_")[0].lower()
    with pytest.raises(InputError, match=f"provider '{name}' needs its key: set the environment variable {variable}"):
        request_of(name, prompt="x")


@pytest.mark.parametrize("key", ["plänted", "planted\r\nx-more: 1", "planted\x00"])
def test_a_key_that_no_header_carries_is_named_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\x00" in key:
        monkeypatch.setattr("os.environ", {"OPENAI_API_KEY": key})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        request_of("openai", prompt="x")
    assert key[:5] not in str(caught.value)
    assert key[-3:] not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host", "planted/v1", "http://", "https://planted:pw@ho st", "http://host:99999"]
)
def test_a_base_url_that_is_none_is_named_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(InputError, match="ANTHROPIC_BASE_URL is not an HTTP URL") as caught:
        request_of("anthropic", prompt="x")
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "operation", "parameters", "told"),
    [
        ("anthropic", "embedding", {"text": "x"}, "provider 'anthropic' has no operation 'embedding'"),
        ("openai", "completions", {"prompt": "x"}, "did you mean 'completion'"),
        ("openai", "completion", {"promt": "x"}, r"cannot carry parameter 'promt' .*did you mean 'prompt'"),
        ("openai", "completion", {"prompt": "x", "top_p": 1}, "cannot carry parameter 'top_p' .*'extra'"),
        ("anthropic", "completion", {"prompt": "x", "api": "responses"}, "cannot carry parameter 'api'"),
        ("openai", "completion", {"prompt": "x", "api": "responses"}, "cannot carry parameter 'api'"),
        ("openai", "completion", {}, "either 'prompt' or 'messages'"),
        ("openai", "completion", {"prompt": "x", "messages": CONVERSATION}, "either 'prompt' or 'messages'"),
        ("openai", "completion", {"prompt": b"x"}, "parameter 'prompt' is of type bytes; give str"),
        ("openai", "completion", {"messages": "x"}, "parameter 'messages'"),
        ("openai", "completion", {"messages": [{"role": "user"}]}, "parameter 'messages'"),
        ("openai", "completion", {"messages": [{"role": "system", "content": "x"}]}, "parameter 'messages'"),
        ("openai", "completion", {"prompt": "x", "max_tokens": 0}, "parameter 'max_tokens'"),
        ("openai", "completion", {"prompt": "x", "max_tokens": True}, "parameter 'max_tokens'"),
        ("openai", "completion", {"prompt": "x", "temperature": "hot"}, "parameter 'temperature'"),
        ("openai", "completion", {"prompt": "x", "temperature": float("nan")}, "parameter 'temperature'"),
        ("openai", "completion", {"prompt": "x", "stop": [1]}, "parameter 'stop'"),
        ("openai", "completion", {"prompt": "x", "extra": ["n"]}, "parameter 'extra'"),
        ("openai", "completion", {"prompt": "x", "extra": {"stream": True}}, "'extra' cannot hold 'stream'"),
        ("openai", "analysis", {"data": 1}, "needs 'prompt'"),
        ("openai", "embedding", {}, "either 'text' or 'texts'"),
        ("openai", "embedding", {"text": "x", "texts": ["x"]}, "either 'text' or 'texts'"),
        ("openai", "embedding", {"texts": "x"}, "parameter 'texts'"),
        ("openai", "embedding", {"texts": []}, "parameter 'texts'"),
        ("openai", "embedding", {"texts": ["x", 1]}, "parameter 'texts'"),
        ("openai", "embedding", {"text": "x", "dimensions": 1.5}, "parameter 'dimensions'"),
    ],
)
def test_what_cannot_be_carried_is_named(name: str, operation: str, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        named(name).request(call_of(operation, **parameters))


@pytest.mark.parametrize("value", [Decimal(5520), {5520}, b"5520", float("inf"), {(5520,): 1}, "\ud800 5520", object()])
@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_a_value_that_json_cannot_carry_is_named_not_shown(name: str, value: Any) -> None:
    itself: list[Any] = [5520]
    itself.append(itself)
    for operation, parameter, given in [
        ("analysis", "data", {"rows": [value]}),
        ("analysis", "data", itself),
        ("completion", "extra", {"metadata": value}),
    ]:
        with pytest.raises(InputError, match=f"parameter '{parameter}' .*JSON") as caught:
            named(name).request(call_of(operation, prompt="x", **{parameter: given}))
        assert "5520" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "model", ["claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-20250514", "claude-3-5-haiku", "mine"]
)
def test_a_temperature_reaches_the_models_that_take_one(model: str) -> None:
    sent = request_of("anthropic", prompt="x", model=model, temperature=0)
    assert json.loads(sent.body)["temperature"] == 0
    assert sent.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-opus-4-7", "claude-sonnet-5", "claude-opus-4-10"])
def test_a_temperature_that_the_model_refuses_is_named(model: str) -> None:
    with pytest.raises(InputError, match=f"'temperature' is not taken by model '{model}'"):
        request_of("anthropic", prompt="x", model=model, temperature=0)
    assert "temperature" not in body_of("anthropic", prompt="x", model=model, temperature=1)


def test_embeddings_are_not_streamed() -> None:
    with pytest.raises(InputError, match="cannot be streamed"):
        named("openai").stream_request(call_of("embedding", text="x"))


@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_keys_are_nowhere_to_be_seen(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider: Any = named(name)
    call = call_of("completion", prompt="a private prompt")
    sent = provider.request(call)
    shown = f"{provider!r} {provider.__dict__} {sent!r} {sent} {call!r} {caplog.text}"
    answer = wire.failure(401)
    response = wire_response(answer, sent)
    with pytest.raises(ProviderError) as caught:
        provider.reply(call, response)
    shown += f"{response!r} {caught.value!r} " + "".join(traceback.format_exception(caught.value))
    for secret in [*wire.KEYS.values(), "planted", "a private prompt"]:
        assert secret not in shown
    assert wire.KEYS[f"{name.upper()}_API_KEY"] in "".join(sent.headers.values())


def wire_response(answer: Any, sent: Request) -> Any:
    """A body that repeats the request, its key included."""
    from apicache.provider import Response

    return Response(status=answer.status, headers={}, body=answer.body + str(dict(sent.headers)).encode())


def test_what_the_responses_api_has_not_is_refused() -> None:
    with pytest.raises(InputError, match="'stop' is not taken by the responses API"):
        named("openai", RESPONSES).request(call_of("completion", prompt="x", stop="a"))


def test_a_request_shows_no_path_for_a_key_may_stand_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT", "shortkey9")
    given = {"mine": {"url": "https://me:word@host.example/${BOT}/v1", "body": {"a": "{prompt}"}}}
    shown = repr(named("mine", given).request(call_of("completion", prompt="x")))
    assert shown == "<POST https://host.example, 9 bytes>"
