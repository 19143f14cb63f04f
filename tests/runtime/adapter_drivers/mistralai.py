import contextlib
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any

import httpx2
from hypothesis import strategies as st
from mistralai.client import Mistral
from mistralai.client.types import UNSET

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Driver, Variant

SECRET = "mi-planted-77c2d9"
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
MODELS = st.sampled_from(["m-1", "m-2"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)
HEADERS = st.sampled_from([{"X-Tenant": "a"}, {"X-Tenant": "b"}, {"Authorization": "Bearer b"}])
SAMPLING: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.sampled_from([None, 0.5, 1.0]),
    "random_seed": st.sampled_from([1, 2]),
    "stop": st.sampled_from(["a", ["a"]]),
    "http_headers": HEADERS,
}

# Asked nothing: they spare each client the making of its own.
_UNUSED = httpx2.Client(verify=False)
_UNUSED_ASYNC = httpx2.AsyncClient(verify=False)


class _MistralDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"api_key": SECRET},
        {"api_key": "another"},
        {"api_key": None},
        {"http": {"headers": {"X-Tenant": "a"}}},
        {"http": {"headers": {"X-Api-Key": SECRET}}},
        {"http": {"params": {"v": "1"}}},
        {"http": {"cookies": {"session": SECRET}}},
        {"http": {"follow_redirects": True}},
    )
    failing: Variant = MappingProxyType({"base": "/status/429"})
    arguments = st.nothing()
    secret = SECRET
    ignored = ({"timeout_ms": 3000}, {"retries": None}, {"temperature": UNSET})
    suffix = ""

    @property
    def examples(self) -> list[Call]:
        return [
            (f"chat.complete{self.suffix}", (), CHAT),
            (f"embeddings.create{self.suffix}", (), {"model": "e-1", "inputs": ["a"]}),
            (f"fim.complete{self.suffix}", (), {"model": "m-1", "prompt": "def f("}),
        ]

    @property
    def refused(self) -> list[Call]:
        return [
            (f"chat.stream{self.suffix}", (), CHAT),
            (f"files.delete{self.suffix}", (), {"file_id": "f-1"}),
        ]

    def document(self, path: str, body: bytes, count: int) -> Any:
        if path.endswith("/files/f-1"):
            return {"id": "f-1", "object": "file", "deleted": True}
        return _wire.mistral(path, body, count)

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        return {"api_key": variant.get("api_key", "k"), "server_url": f"{api.url}{variant.get('base', '')}"}

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and _told(one) == _told(other)


def _told(answer: Any) -> Any:
    if not hasattr(answer, "model_dump_json"):
        return type(answer)
    return (answer, repr(answer), answer.model_dump_json(), answer.model_fields_set)


def _drawn(suffix: str) -> st.SearchStrategy[Call]:
    return st.one_of(
        st.tuples(
            st.just(f"chat.complete{suffix}"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "messages": MESSAGES},
                optional={**SAMPLING, "safe_prompt": st.booleans(), "n": st.sampled_from([1, 2])},
            ),
        ),
        st.tuples(
            st.just(f"fim.complete{suffix}"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "prompt": st.sampled_from(["a", "b"])},
                optional={**SAMPLING, "suffix": st.sampled_from([None, "a"])},
            ),
        ),
        st.tuples(
            st.just(f"embeddings.create{suffix}"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "inputs": st.sampled_from(["a", ["a"], ["a", "b"]])},
                optional={"output_dimension": st.sampled_from([None, 8]), "http_headers": HEADERS},
            ),
        ),
    )


class _Sync(_MistralDriver):
    name = "mistralai-sync"
    arguments = _drawn("")

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Mistral]:
        with (
            httpx2.Client(verify=_wire.tls(), **variant.get("http", {})) as http,
            Mistral(**self.settings(api, variant), client=http, async_client=_UNUSED_ASYNC) as client,
        ):
            yield client

    def read(self, answer: Any) -> Any:
        if hasattr(answer, "response"):
            answer.response.close()
        return answer


class _Async(_MistralDriver):
    name = "mistralai-async"
    is_async = True
    suffix = "_async"
    arguments = _drawn("_async")

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[Mistral]:
        async with (
            httpx2.AsyncClient(verify=_wire.tls(), **variant.get("http", {})) as http,
            Mistral(**self.settings(api, variant), client=_UNUSED, async_client=http) as client,
        ):
            yield client

    async def read(self, answer: Any) -> Any:
        if hasattr(answer, "response"):
            await answer.response.aclose()
        return answer


DRIVERS: list[Driver] = [_Sync(), _Async()]
