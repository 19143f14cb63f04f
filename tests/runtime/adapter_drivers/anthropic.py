import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import anthropic
from anthropic.lib.streaming import AsyncMessageStreamManager
from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Variant
from adapter_drivers._stainless import MESSAGES, MODELS, ON_CLIENT, SECRET, StainlessDriver, calls

ASKED = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {**ASKED, "max_tokens": 16}
IDS = {"header": ["request-id:req-1", "anthropic-workspace-id:w-1"]}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": Path(__file__)}}
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "system": st.sampled_from(["a", "b", [{"type": "text", "text": "a"}]]),
    "thinking": st.sampled_from([{"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}]),
    "workspace_id": st.sampled_from(["a", "b"]),
}


class _AnthropicDriver(StainlessDriver):
    variants = (
        *ON_CLIENT,
        {"api_key": None, "auth_token": SECRET},
        {"api_key": None, "auth_token": "another"},
        {"default_headers": {"anthropic-beta": "a"}},
        {"default_headers": {"anthropic-version": anthropic.omit}},
    )
    examples = (
        ("messages.create", (), MESSAGE),
        ("messages.create", (), {**MESSAGE, "extra_query": IDS, "stream": False}),
        ("messages.create", (), {**MESSAGE, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        ("messages.count_tokens", (), ASKED),
    )
    ignored = ({"timeout": 3}, {"system": anthropic.NOT_GIVEN}, {"system": anthropic.omit}, {"extra_body": None})
    refused: ClassVar[list[Call]] = [
        ("messages.create", (), {**MESSAGE, "extra_body": {"stream": True}}),
        ("messages.create", (), {**MESSAGE, "container": "c-1"}),
        ("messages.create", (), {**MESSAGE, "messages": [{"role": "user", "content": [PICTURE]}]}),
        ("messages.count_tokens", (), {**ASKED, "output_format": int}),
        ("messages.stream", (), MESSAGE),
        ("messages.with_raw_response.create", (), MESSAGE),
        ("messages.batches.cancel", ("b-1",), {}),
        ("beta.messages.create", (), MESSAGE),
        ("beta.messages.count_tokens", (), ASKED),
    ]
    arguments = st.one_of(
        calls(
            "messages.create",
            {"model": MODELS, "messages": MESSAGES, "max_tokens": st.sampled_from([1, 2])},
            {
                **COMMON,
                "stop_sequences": st.sampled_from([["a"], ["a", "b"]]),
                "metadata": st.sampled_from([{"user_id": "a"}, {"user_id": "b"}]),
            },
        ),
        calls("messages.count_tokens", {"model": MODELS, "messages": MESSAGES}, COMMON),
    )

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.anthropic(path, body, count)


class _Sync(_AnthropicDriver):
    name = "anthropic-sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[anthropic.Anthropic]:
        with (
            anthropic.DefaultHttpxClient(**variant.get("http", {})) as http,
            anthropic.Anthropic(**self.settings(api, variant), http_client=http) as client,
        ):
            yield client


class _Async(_AnthropicDriver):
    name = "anthropic-async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[anthropic.AsyncAnthropic]:
        async with (
            anthropic.DefaultAsyncHttpxClient(**variant.get("http", {})) as http,
            anthropic.AsyncAnthropic(**self.settings(api, variant), http_client=http) as client,
        ):
            yield client

    async def read(self, answer: Any) -> Any:
        if isinstance(answer, AsyncMessageStreamManager):
            async with answer:  # it holds a request that would never be sent
                pass
        return answer


DRIVERS = [_Sync(), _Async()]
