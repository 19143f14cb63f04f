import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import groq
from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Variant
from adapter_drivers._stainless import MESSAGES, MODELS, ON_CLIENT, StainlessDriver, calls

CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}


class _GroqDriver(StainlessDriver):
    variants = ON_CLIENT
    examples = (
        ("chat.completions.create", (), CHAT),
        ("chat.completions.create", (), {**CHAT, "extra_query": {"header": "x-request-id:req-1"}}),
        ("embeddings.create", (), {"model": "e-1", "input": ["a"]}),
    )
    ignored = ({"timeout": 3}, {"temperature": groq.NOT_GIVEN}, {"temperature": groq.omit}, {"extra_body": None})
    refused: ClassVar[list[Call]] = [
        ("chat.completions.create", (), {**CHAT, "extra_body": {"stream": True}}),
        ("chat.completions.with_raw_response.create", (), CHAT),
        ("batches.cancel", ("b-1",), {}),
        ("files.delete", ("f-1",), {}),
    ]
    arguments = st.one_of(
        calls(
            "chat.completions.create",
            {"model": MODELS, "messages": MESSAGES},
            {
                "temperature": st.sampled_from([0, 0.5, 1, 1.0]),
                "seed": st.sampled_from([1, 2]),
                "reasoning_effort": st.sampled_from(["low", "high"]),
                "user": st.sampled_from(["a", "b"]),
            },
        ),
        calls(
            "embeddings.create",
            {"model": MODELS, "input": st.sampled_from(["a", "b", ["a"], ["a", "b"]])},
            {"encoding_format": st.sampled_from(["float", "base64"])},
        ),
    )

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.groq(path, body, count)


class _Sync(_GroqDriver):
    name = "groq-sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[groq.Groq]:
        with (
            groq.DefaultHttpxClient(**variant.get("http", {})) as http,
            groq.Groq(**self.settings(api, variant), http_client=http) as client,
        ):
            yield client


class _Async(_GroqDriver):
    name = "groq-async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[groq.AsyncGroq]:
        async with (
            groq.DefaultAsyncHttpxClient(**variant.get("http", {})) as http,
            groq.AsyncGroq(**self.settings(api, variant), http_client=http) as client,
        ):
            yield client


DRIVERS = [_Sync(), _Async()]
