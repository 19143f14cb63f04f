import contextlib
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any, ClassVar

import cohere
import httpx
from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Driver, Variant

SECRET = "co-planted-77c2d9"
CHAT_V2 = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
MODELS = st.sampled_from(["m-1", "m-2"])
TEXTS = st.sampled_from([["a"], ["b"], ["a", "b"]])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)
SAMPLING: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.sampled_from([None, 0.5, 1.0]),
    "seed": st.sampled_from([1, 2]),
    "request_options": st.sampled_from(
        [
            {"additional_headers": {"X-Tenant": "a"}},
            {"additional_headers": {"Authorization": "Bearer b"}},
            {"additional_query_parameters": {"v": "1"}},
            {"additional_body_parameters": {"never_heard_of": 1}},
            {"additional_body_parameters": {"never_heard_of": True}},
        ]
    ),
}


def calls(name: str, needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Call]:
    options = {"request_options": SAMPLING["request_options"], **optional}
    return st.tuples(st.just(name), st.just(()), st.fixed_dictionaries(needed, optional=options))


RERANK = calls(
    "rerank",
    {"model": MODELS, "query": st.sampled_from(["a", "b"]), "documents": TEXTS},
    {"top_n": st.sampled_from([1, 2])},
)


class _CohereDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"api_key": SECRET},
        {"api_key": "another"},
        {"api_key": ""},
        {"client_name": "a"},
        {"http": {"headers": {"X-Tenant": "a"}}},
        {"http": {"headers": {"X-Api-Key": SECRET}}},
        {"http": {"params": {"v": "1"}}},
        {"http": {"cookies": {"session": SECRET}}},
    )
    failing: Variant = MappingProxyType({"base": "/status/400"})
    ignored = (
        {"request_options": {"timeout_in_seconds": 3}},
        {"request_options": {"timeout": 3.0, "max_retries": 0}},
    )
    secret = SECRET

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.cohere(path, body, count)

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        _wire.without_time(api)
        own = {name: value for name, value in variant.items() if name not in {"base", "http"}}
        return {"api_key": "k", "base_url": f"{api.url}{variant.get('base', '')}", "max_retries": 0, **own}

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and _told(one) == _told(other)


def _told(answer: Any) -> Any:
    if not hasattr(answer, "model_dump_json"):
        return type(answer)
    return (answer, repr(answer), answer.json(), answer.dict(), answer.model_fields_set)


class _V1(_CohereDriver):
    examples: ClassVar[list[Call]] = [
        ("chat", (), {"message": "hello"}),
        ("embed", (), {"texts": ["a"], "model": "e-1"}),
        # Joining several batches, the library uses what pydantic has deprecated.
        ("embed", (), {"texts": ["a"], "model": "e-1", "embedding_types": ["float"], "batching": False}),
        ("rerank", (), {"model": "m-1", "query": "q", "documents": ["a"]}),
    ]
    refused: ClassVar[list[Call]] = [
        ("chat", (), {"message": "hello", "conversation_id": "c-1"}),
        ("tokenize", (), {"text": "a", "model": "m-1", "offline": False}),
    ]
    arguments = st.one_of(
        calls("chat", {"message": st.sampled_from(["a", "b"])}, {**SAMPLING, "preamble": st.sampled_from(["a", "b"])}),
        calls("embed", {"texts": TEXTS}, {"model": MODELS, "truncate": st.sampled_from(["NONE", "END"])}),
        RERANK,
    )

    def document(self, path: str, body: bytes, count: int) -> Any:
        if path.endswith("/tokenize"):
            return {"tokens": [1], "token_strings": ["a"]}
        return super().document(path, body, count)


class _V2(_CohereDriver):
    examples: ClassVar[list[Call]] = [
        ("chat", (), CHAT_V2),
        ("embed", (), {"texts": ["a"], "model": "e-1", "input_type": "search_query", "embedding_types": ["float"]}),
        ("rerank", (), {"model": "m-1", "query": "q", "documents": ["a"]}),
        ("v2.chat", (), CHAT_V2),
    ]
    refused: ClassVar[list[Call]] = [("datasets.delete", ("d-1",), {})]
    arguments = st.one_of(
        calls("chat", {"model": MODELS, "messages": MESSAGES}, {**SAMPLING, "k": st.sampled_from([1, 2])}),
        calls(
            "embed",
            {"texts": TEXTS, "model": MODELS, "input_type": st.sampled_from(["search_query", "search_document"])},
            {"output_dimension": st.sampled_from([256, 512])},
        ),
        RERANK,
    )


class _Sync(_CohereDriver):
    kind: Any

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Any]:
        with (
            httpx.Client(verify=_wire.tls(), **variant.get("http", {})) as http,
            self.kind(**self.settings(api, variant), httpx_client=http) as client,
        ):
            yield client


class _Async(_CohereDriver):
    is_async = True
    kind: Any

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[Any]:
        async with (
            httpx.AsyncClient(verify=_wire.tls(), **variant.get("http", {})) as http,
            self.kind(**self.settings(api, variant), httpx_client=http) as client,
        ):
            yield client


class _SyncV1(_Sync, _V1):
    name = "cohere-sync-v1"
    kind = cohere.Client


class _SyncV2(_Sync, _V2):
    name = "cohere-sync-v2"
    kind = cohere.ClientV2


class _AsyncV1(_Async, _V1):
    name = "cohere-async-v1"
    kind = cohere.AsyncClient


class _AsyncV2(_Async, _V2):
    name = "cohere-async-v2"
    kind = cohere.AsyncClientV2


DRIVERS = [_SyncV1(), _SyncV2(), _AsyncV1(), _AsyncV2()]
