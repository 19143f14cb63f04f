import contextlib
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any, ClassVar

import openai
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant

SECRET = "sk-planted-77c2d9"
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
EXTRAS: dict[str, st.SearchStrategy[Any]] = {
    "extra_headers": st.sampled_from([{"X-Tenant": "a"}, {"X-Tenant": "b"}, {"Authorization": "Bearer b"}]),
    "extra_query": st.sampled_from([{"v": "1"}, {"v": "2"}]),
    "extra_body": st.sampled_from([{"never_heard_of": 1}, {"never_heard_of": True}, {"never_heard_of": [1]}]),
}
MODELS = st.sampled_from(["m-1", "m-2"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)


class _OpenAIDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"api_key": SECRET},
        {"api_key": "another"},
        {"organization": "o"},
        {"project": "p"},
        {"default_headers": {"X-Tenant": "a"}},
        {"default_headers": {"X-Api-Key": SECRET}},
        {"default_query": {"api-version": "1"}},
        {"default_query": {"api-version": "2"}},
    )
    failing: Variant = MappingProxyType({"base": "/status/429"})
    examples = (
        ("chat.completions.create", (), CHAT),
        ("embeddings.create", (), {"model": "e-1", "input": ["a"], "encoding_format": "float"}),
        ("responses.create", (), {"model": "m-1", "input": "hello"}),
    )
    ignored = ({"timeout": 3}, {"temperature": openai.NOT_GIVEN}, {"temperature": openai.omit})
    refused: ClassVar[list[Call]] = [
        ("responses.create", (), {"model": "m-1", "input": "hello", "background": True}),
        ("responses.create", (), {"model": "m-1", "input": "hello", "store": True}),
        (
            "chat.completions.create",
            (),
            {"model": "m-1", "messages": [{"role": "user", "content": "hello"}], "extra_body": {"store": True}},
        ),
        ("responses.create", (), {"model": "m-1", "input": "hello", "conversation": "c-1"}),
        ("files.delete", ("f-1",), {}),
    ]
    arguments = st.one_of(
        st.tuples(
            st.just("chat.completions.create"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "messages": MESSAGES},
                optional={
                    "temperature": st.sampled_from([0, 0.5, 1, 1.0]),
                    "seed": st.sampled_from([1, 2]),
                    "user": st.sampled_from(["a", "b"]),
                    **EXTRAS,
                },
            ),
        ),
        st.tuples(
            st.just("embeddings.create"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "input": st.sampled_from(["a", "b", ["a"], ["a", "b"]])},
                optional={"encoding_format": st.sampled_from(["float", "base64"]), **EXTRAS},
            ),
        ),
        st.tuples(
            st.just("responses.create"),
            st.just(()),
            st.fixed_dictionaries({"model": MODELS, "input": st.sampled_from(["a", "b"])}, optional=EXTRAS),
        ),
    )
    secret = SECRET

    def document(self, path: str, body: bytes, count: int) -> Any:
        if not path.endswith("/responses"):
            return None
        content = {"type": "output_text", "text": f"answer {count}", "annotations": []}
        message = {
            "id": f"msg-{count}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        }
        return {
            "id": f"resp-{count}",
            "object": "response",
            "created_at": 1_700_000_000,
            "model": "m-1",
            "status": "completed",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "vendor_extension": {"nested": [1, None]},
        }

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        own = {name: value for name, value in variant.items() if name != "base"}
        return {"api_key": "k", "base_url": f"{api.url}{variant.get('base', '')}/v1", "max_retries": 0, **own}

    def same(self, one: Any, other: Any) -> bool:
        return _told(one) == _told(other)


def _told(answer: Any) -> tuple[Any, ...]:
    if not isinstance(answer, openai.BaseModel):
        return (type(answer),)
    return (type(answer), answer, answer.to_dict(), answer.model_fields_set, answer._request_id)


class _Sync(_OpenAIDriver):
    name = "openai-sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(**self.settings(api, variant)) as client:
            yield client

    def read(self, answer: Any) -> Any:
        if isinstance(answer, openai.Stream):
            answer.close()
        return answer


class _Async(_OpenAIDriver):
    name = "openai-async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[openai.AsyncOpenAI]:
        async with openai.AsyncOpenAI(**self.settings(api, variant)) as client:
            yield client

    async def read(self, answer: Any) -> Any:
        if isinstance(answer, openai.AsyncStream):
            await answer.close()
        return answer


DRIVERS = [_Sync(), _Async()]
