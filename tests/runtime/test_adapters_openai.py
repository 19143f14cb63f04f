"""The openai adapter against a server that speaks the API's format."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from apicache import UnifiedAPICache

CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}


class Caller:
    def __init__(self, style: str, api: Any) -> None:
        self.kind = openai.OpenAI if style == "sync" else openai.AsyncOpenAI
        self.api = api
        self._runner = asyncio.Runner()
        self._clients: list[Any] = []

    def client(self, **settings: Any) -> Any:
        client = self.kind(**{"api_key": "k-1", "base_url": f"{self.api.url}/v1", "max_retries": 0, **settings})
        self._clients.append(client)
        return client

    def __call__(self, cache: UnifiedAPICache, function: Any, **kwargs: Any) -> Any:
        if self.kind is openai.OpenAI:
            return cache.cached_api_call_sync(function, **kwargs)
        return self._runner.run(cache.cached_api_call(function, **kwargs))

    def close(self) -> None:
        for client in self._clients:
            if self.kind is openai.OpenAI:
                client.close()
            else:
                self._runner.run(client.close())
        self._runner.close()


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, api: Any) -> Iterator[Caller]:
    caller = Caller(request.param, api)
    yield caller
    caller.close()


def test_a_replayed_completion_is_the_same_model(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    client = caller.client()
    first, second = (caller(cache, client.chat.completions.create, **CHAT) for _ in range(2))
    assert len(api.seen) == 1
    assert type(second) is type(first)
    assert second == first
    assert second is not first
    assert second.to_dict() == first.to_dict()
    assert second.choices[0].message.content == "answer 1"
    assert type(second.choices[0].message) is type(first.choices[0].message)
    assert second.usage.total_tokens == 5
    assert second.vendor_extension == {"nested": [1, None]}
    assert second.model_fields_set == first.model_fields_set
    assert second._request_id == first._request_id


def test_embeddings_are_replayed_as_the_same_numbers(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    client = caller.client()
    first, second = (
        caller(cache, client.embeddings.create, model="e-1", input=["a"], encoding_format="float") for _ in range(2)
    )
    assert len(api.seen) == 1
    assert second == first
    assert second.data[0].embedding == [0.25, -1.5]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"temperature": 0}),
        ({"temperature": 0}, {"temperature": 0.5}),
        ({}, {"seed": 7}),
        ({}, {"model": "m-2"}),
        ({}, {"messages": [{"role": "user", "content": "bye"}]}),
        ({}, {"messages": [{"role": "system", "content": "hello"}]}),
        ({}, {"extra_headers": {"X-Tenant": "b"}}),
        ({}, {"extra_query": {"v": "2"}}),
        ({}, {"extra_body": {"never_heard_of": 1}}),
        ({}, {"user": "me"}),
    ],
)
def test_arguments_that_may_change_the_answer_separate(
    cache: UnifiedAPICache, api: Any, caller: Caller, one: Any, other: Any
) -> None:
    client = caller.client()
    for options in (one, other, one, other):
        caller(cache, client.chat.completions.create, **{**CHAT, **options})
    assert len(api.seen) == 2


def test_a_timeout_and_an_absent_argument_do_not_separate(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    client = caller.client()
    for options in ({}, {"timeout": 3}, {"temperature": openai.NOT_GIVEN}):
        caller(cache, client.chat.completions.create, **CHAT, **options)
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "k-2"},
        {"organization": "o-2"},
        {"project": "p-2"},
        {"default_headers": {"X-Tenant": "b"}},
        {"default_query": {"api-version": "2"}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_two_clients_with_other_settings_do_not_share(
    cache: UnifiedAPICache, api: Any, caller: Caller, settings: Any
) -> None:
    for given in ({}, settings, {}, settings):
        caller(cache, caller.client(**given).chat.completions.create, **CHAT)
    assert len(api.seen) == 2


def test_two_clients_with_equal_settings_share(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    for _ in range(2):
        caller(cache, caller.client().chat.completions.create, **CHAT)
    assert len(api.seen) == 1


def test_an_api_error_is_raised_as_it_is_and_not_kept(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    client = caller.client(base_url=f"{api.url}/status/429/v1")
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            caller(cache, client.chat.completions.create, **CHAT)
    assert len(api.seen) == 2


def test_stateful_calls_go_through(
    cache: UnifiedAPICache, api: Any, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    client = caller.client()
    with caplog.at_level(logging.WARNING, logger="apicache"):
        for _ in range(2):
            caller(cache, client.responses.create, model="m-1", input="hello", conversation="c-1")
    assert "changes state upstream" in caplog.text
    assert len(api.seen) == 2
    assert cache.get_stats()["bypassed"] == 2


def test_a_client_with_a_transport_of_its_own_goes_through(cache: UnifiedAPICache, api: Any) -> None:
    answer = httpx.Response(
        200, json={"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    )
    transport = httpx.MockTransport(lambda _: answer)
    with openai.OpenAI(api_key="k", http_client=httpx.Client(transport=transport)) as client:
        for _ in range(2):
            assert cache.cached_api_call_sync(client.chat.completions.create, **CHAT).id == "x"
    assert cache.get_stats()["bypassed"] == 2


def test_an_operation_that_returns_a_model_is_replayed_as_one(cache: UnifiedAPICache, api: Any, caller: Caller) -> None:
    client = caller.client()

    @cache.operation("completion")
    def completion(prompt: str) -> Any:
        return client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": prompt}])

    first, second = (
        cache.cached_api_call_sync(operation="completion", prompt="a")
        if caller.kind is openai.OpenAI
        else caller._runner.run(cache.cached_api_call(operation="completion", prompt="a"))
        for _ in range(2)
    )
    assert second == first
    assert len(api.seen) == 1
