"""The SDKs of one generator: which of their calls are identified, streamed ones apart, and which answers are kept."""

from pathlib import Path
from typing import Any

import anthropic
import groq
import httpx2
import openai
import pytest
from anthropic.types import Message, MessageTokensCount, TextBlock

from apicache import adapters, identity
from apicache.errors import UnidentifiableError

ASKED: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
KINDS: dict[str, Any] = {"anthropic": anthropic.Anthropic, "groq": groq.Groq, "openai": openai.OpenAI}


@pytest.fixture(params=sorted(KINDS))
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(library: str, **settings: Any) -> Any:
    return KINDS[library](**{"api_key": "k", "base_url": "http://127.0.0.1:9", **settings})


def create_of(client: Any) -> Any:
    return client.messages.create if isinstance(client, anthropic.Anthropic) else client.chat.completions.create


def identified(function: Any, **kwargs: Any) -> Any:
    return adapters.of_callable(function).identify(function, (), kwargs)


def stream_identified(function: Any, **kwargs: Any) -> Any:
    return adapters.of_callable(function).identify_stream(function, (), kwargs)


def key(client: Any, **extra: Any) -> bytes:
    call = identified(create_of(client), **{**ASKED, **extra})
    return identity.key_of(
        operation=call.label,
        version="",
        namespace="",
        scope=None,
        credentials=call.credentials,
        parameters=call.parameters,
    )


def test_a_streamed_call_is_identified_as_a_stream_only(library: str) -> None:
    create = create_of(client_of(library))
    with pytest.raises(UnidentifiableError, match="streamed"):
        identified(create, **ASKED, stream=True)
    streamed, plain = stream_identified(create, **ASKED, stream=True), identified(create, **ASKED)
    assert streamed.parameters["arguments"]["given"] == {**plain.parameters["arguments"]["given"], "stream": True}
    assert (streamed.label, streamed.credentials) == (plain.label, plain.credentials)
    assert streamed.streamed is not None


def test_a_call_that_is_not_streamed_is_no_stream(library: str) -> None:
    client = client_of(library)
    for given in ({}, {"stream": False}, {"stream": anthropic.omit if library == "anthropic" else None}):
        assert stream_identified(create_of(client), **ASKED, **given) is None
    assert stream_identified(client.models.list, stream=True) is None
    assert identified(client.models.list) is None


@pytest.mark.parametrize("name", ["container", "background"])
def test_what_changes_state_upstream_is_refused_when_streamed_too(name: str) -> None:
    client = client_of("anthropic" if name == "container" else "openai")
    for given in ({name: "c-1"}, {"extra_body": {name: "c-1"}}):
        with pytest.raises(UnidentifiableError, match="state"):
            stream_identified(create_of(client), **ASKED, **given, stream=True)
        with pytest.raises(UnidentifiableError, match="state"):
            identified(create_of(client), **ASKED, **given)


def test_a_header_taken_out_is_told_from_one_never_given(library: str) -> None:
    omit = {"anthropic": anthropic, "groq": groq, "openai": openai}[library].omit
    plain = client_of(library)
    without = client_of(library, default_headers={"Authorization": omit})
    keys = [key(plain), key(without), key(plain, extra_headers={"Authorization": omit})]
    assert len(set(keys)) == 3


def test_a_header_of_the_client_is_told_from_one_of_the_call(library: str) -> None:
    one = client_of(library, default_headers={"X-Tenant": "a"})
    other = client_of(library, default_headers={"X-Tenant": "b"})
    assert key(one, extra_headers={"X-Tenant": "b"}) != key(other, extra_headers={"X-Tenant": "a"})


@pytest.mark.parametrize("name", ["extra_headers", "extra_query"])
def test_a_credential_among_the_extras_is_none_of_the_parameters(library: str, name: str) -> None:
    call = identified(create_of(client_of(library)), **ASKED, **{name: {"X-Api-Key": "sk-planted"}})
    assert call.carries_credentials
    assert "sk-planted" in repr(call.credentials)
    assert "sk-planted" not in repr(call.parameters)


def test_an_answer_given_back_is_told_from_one_with_another_field_set() -> None:
    client = client_of("anthropic")

    def asked(block: Any) -> bytes:
        return key(client, messages=[{"role": "assistant", "content": [block]}])

    plain = TextBlock(type="text", text="a")
    keys = [
        asked(plain),
        asked(TextBlock(type="text", text="a", citations=None)),
        asked(TextBlock(type="text", text="b")),
        asked({"type": "text", "text": "a"}),
    ]
    assert len(set(keys)) == 4
    assert asked(TextBlock(type="text", text="a")) == keys[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Path("picture.png"), "file"),
        ((line for line in "ab"), "only once"),
        ({"data": Path("picture.png")}, "file"),
        ([{"data": (Path("picture.png"),)}], "file"),
    ],
)
def test_files_and_iterators_are_refused(library: str, content: Any, reason: str) -> None:
    with pytest.raises(UnidentifiableError, match=reason):
        identified(create_of(client_of(library)), **{**ASKED, "messages": [{"role": "user", "content": content}]})


def test_a_client_that_sends_in_its_own_way_is_refused(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(KINDS[library]):  # type: ignore[misc] # a class of the library's
        pass

    with pytest.raises(UnidentifiableError, match="Own"):
        identified(create_of(Own(api_key="k")), **ASKED)
    client = client_of(library)
    monkeypatch.setattr(client, "_prepare_options", lambda options: options)
    with pytest.raises(UnidentifiableError, match=r"_prepare_options\(\) has been replaced"):
        identified(create_of(client), **ASKED)


def test_a_method_that_a_test_has_replaced_is_refused(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(create_of(client_of(library)).__self__)

    def create(self: Any, **kwargs: Any) -> None:
        pass

    monkeypatch.setattr(kind, "create", create)
    with pytest.raises(UnidentifiableError, match=r"create\(\) has been replaced"):
        identified(create_of(client_of(library)), **ASKED)


def test_a_client_of_another_version_is_refused_with_a_reason(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(library)
    monkeypatch.delattr(client, "_custom_query")
    with pytest.raises(UnidentifiableError, match="_custom_query: this version of the library is not known"):
        identified(create_of(client), **ASKED)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"api_key": None, "credentials": lambda **_: None}, "credentials itself"),
        ({"middleware": [lambda request, call_next: call_next(request)]}, "middleware"),
        ({"http_client": httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200)))}, "Mock"),
    ],
)
def test_a_client_whose_answers_cannot_be_told_apart_is_refused(settings: Any, reason: str) -> None:
    with pytest.raises(UnidentifiableError, match=reason):
        identified(client_of("anthropic", **settings).messages.create, **ASKED)


def test_the_key_of_a_client_that_finds_it_in_a_function_is_refused() -> None:
    with pytest.raises(UnidentifiableError, match="credentials itself"):
        identified(client_of("openai", api_key=lambda: "k").chat.completions.create, **ASKED)


@pytest.mark.parametrize("path", ["beta.messages.create", "messages.batches.create", "messages.stream"])
def test_what_anthropic_offers_beside_the_plain_calls_is_refused_with_a_reason(path: str) -> None:
    function = client_of("anthropic")
    for part in path.split("."):
        function = getattr(function, part)
    for identify in (identified, stream_identified):
        with pytest.raises(UnidentifiableError, match=r"beta|batch|streamed"):
            identify(function, **ASKED)


def test_an_api_key_and_a_token_of_the_same_text_do_not_share() -> None:
    token = anthropic.Anthropic(auth_token="k", base_url="http://127.0.0.1:9")
    assert key(token) != key(client_of("anthropic"))


MESSAGE: dict[str, Any] = {
    "id": "msg-1",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [{"type": "text", "text": "a"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({}, None),
        ({"stop_reason": "max_tokens"}, None),
        ({"stop_reason": "refusal"}, None),
        ({"stop_reason": "pause_turn"}, "stop reason pause_turn"),
        ({"stop_reason": None}, "stop reason None"),
        ({"content": []}, "an answer without content"),
    ],
)
def test_a_message_that_is_not_finished_is_not_kept(change: Any, refusal: str | None) -> None:
    snapshot = adapters.named("anthropic").snapshot(Message.construct(**{**MESSAGE, **change}))
    assert snapshot is not None
    assert snapshot.refusal == refusal


def test_an_error_in_the_place_of_an_answer_is_not_kept() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    for kind in (Message, MessageTokensCount):
        snapshot = adapters.named("anthropic").snapshot(kind.construct(**error))
        assert snapshot is not None
        assert snapshot.refusal == "an answer without content"
    counted = adapters.named("anthropic").snapshot(MessageTokensCount.construct(input_tokens=0))
    assert counted is not None
    assert counted.refusal is None


def test_a_model_that_no_request_has_given_has_no_identifiers_when_replayed_either() -> None:
    adapter = adapters.named("anthropic")
    made = Message.construct(**MESSAGE)
    snapshot = adapter.snapshot(made)
    assert snapshot is not None
    replayed = adapter.replay(snapshot.data, None)
    assert replayed == made
    assert vars(replayed).keys() == vars(made).keys()
    assert adapter.snapshot(TextBlock(type="text", text="a")) is None
