"""What the shared suite does not reach of the mistralai adapter."""

from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.models.chatcompletionresponse import ChatCompletionResponse

from apicache.adapters import mistralai as adapter
from apicache.errors import UnencodableError, UnidentifiableError
from apicache.identity import key_of

CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MISTRAL_API_KEY", "MISTRAL_SA_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client() -> Iterator[Mistral]:
    with Mistral(server_url="http://127.0.0.1:1") as client:
        yield client


def identified(client: Mistral, **kwargs: Any) -> Any:
    return adapter.identify(client.chat.complete, (), {**CHAT, **kwargs})


def key(found: Any) -> bytes:
    return key_of(
        operation="",
        version="",
        namespace="",
        scope=None,
        credentials=found.credentials,
        parameters=found.parameters,
    )


def test_a_key_from_the_environment_is_a_credential(client: Mistral, monkeypatch: pytest.MonkeyPatch) -> None:
    without = identified(client)
    monkeypatch.setenv("MISTRAL_API_KEY", "k-1")
    one = identified(client)
    monkeypatch.setenv("MISTRAL_API_KEY", "k-2")
    other = identified(client)
    assert len({key(found) for found in (without, one, other)}) == 3
    assert one.parameters == other.parameters
    assert [found.carries_credentials for found in (without, one)] == [False, True]


def test_a_key_that_is_a_function_or_a_file_is_refused(client: Mistral, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Mistral(api_key=lambda: "k", server_url="http://127.0.0.1:1") as own,
        pytest.raises(UnidentifiableError, match="function"),
    ):
        identified(own)
    monkeypatch.setenv("MISTRAL_SA_TOKEN_PATH", "/token")
    with pytest.raises(UnidentifiableError, match="file"):
        identified(client)


def test_a_hook_of_ones_own_is_refused(client: Mistral) -> None:
    class Hook:
        def before_request(self, _context: Any, request: Any) -> Any:
            return request

    client.sdk_configuration.__dict__["_hooks"].register_before_request_hook(Hook())
    with pytest.raises(UnidentifiableError, match="Hook"):
        identified(client)


def test_a_calls_own_server_url_is_where_it_goes(client: Mistral) -> None:
    assert key(identified(client)) != key(identified(client, server_url="http://127.0.0.1:2"))


def test_streams_and_iterators_are_refused(client: Mistral) -> None:
    with pytest.raises(UnidentifiableError, match="streamed"):
        identified(client, stream=True)
    with pytest.raises(UnidentifiableError, match="only once"):
        identified(client, messages=iter(CHAT["messages"]))


def answer(**choice: Any) -> ChatCompletionResponse:
    message = {"role": "assistant", "content": "a"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", **choice}] if choice else []
    fields = {"id": "c", "object": "o", "model": "m-1", "usage": {}, "created": 1, "choices": choices}
    return ChatCompletionResponse.model_validate(fields)


def test_failed_and_empty_answers_are_refused() -> None:
    for failed in (answer(), answer(finish_reason="error")):
        found = adapter.snapshot(failed)
        assert found is not None
        assert found.refusal


def test_a_reason_that_the_library_does_not_know_is_not_stored() -> None:
    with pytest.raises(UnencodableError, match="UnrecognizedStr"):
        adapter.snapshot(answer(finish_reason="a new one"))
