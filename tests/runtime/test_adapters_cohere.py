"""What the shared suite does not reach of the cohere adapter."""

from typing import Any

import cohere
import httpx
import pytest
from cohere.types.non_streamed_chat_response import NonStreamedChatResponse

from apicache.adapters import cohere as adapter
from apicache.errors import UnidentifiableError

CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
PLACE = "http://127.0.0.1:1"


def test_a_key_that_is_a_function_is_refused() -> None:
    with (
        cohere.ClientV2(lambda: "k", base_url=PLACE) as client,
        pytest.raises(UnidentifiableError, match="function"),
    ):
        adapter.identify(client.chat, (), CHAT)


def test_a_chat_without_the_librarys_warnings_is_the_same_call() -> None:
    found = []
    for warns in (True, False):
        with cohere.ClientV2("k", base_url=PLACE, log_warning_experimental_features=warns) as client:
            found.append(adapter.identify(client.chat, (), CHAT))
    assert found[0] == found[1]
    assert found[0] is not None


def test_a_function_that_only_has_the_librarys_name_is_not_known() -> None:
    def chat(**_: Any) -> None:
        pass

    chat.__module__ = "cohere.client"
    assert adapter.identify(chat, (), CHAT) is None


def test_another_transport_and_a_client_of_another_class_are_refused() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
    with (
        httpx.Client(transport=transport) as http,
        cohere.ClientV2("k", base_url=PLACE, httpx_client=http) as client,
        pytest.raises(UnidentifiableError, match="MockTransport"),
    ):
        adapter.identify(client.chat, (), CHAT)

    class Own(cohere.ClientV2):
        pass

    with Own("k", base_url=PLACE) as own, pytest.raises(UnidentifiableError, match="Own"):
        adapter.identify(own.chat, (), CHAT)


def test_a_stream_is_not_known() -> None:
    with cohere.ClientV2("k", base_url=PLACE) as client:
        assert adapter.identify(client.chat_stream, (), CHAT) is None


@pytest.mark.parametrize("reason", ["ERROR", "ERROR_TOXIC", "COMPLETE"])
def test_failed_and_empty_answers_are_refused(reason: Any) -> None:
    text = "" if reason == "COMPLETE" else "a"
    found = adapter.snapshot(NonStreamedChatResponse(text=text, finish_reason=reason))
    assert found is not None
    assert found.refusal
