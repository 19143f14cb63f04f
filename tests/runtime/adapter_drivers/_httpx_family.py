"""The drivers of httpx, for it and for its forks."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, ClassVar

from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._http import JSON_VALUES, SECRET, TEXTS, HttpDriver, Site, site_url, without_date

_PLACE = ("base", "user")
_BODIES = {
    "json": JSON_VALUES.filter(lambda value: value is not None),
    "data": TEXTS,
    "content": st.sampled_from([b"a", b"b", b'{"a": 1}']),
}


class _HttpxDriver(HttpDriver):
    library: ModuleType
    bodies = _BODIES
    examples = (
        ("get", ("/items?b=2",), {}),
        ("get", ("/items",), {"params": {"a": [1, 2], "header": 'ETag:"v1"'}}),
        ("post", ("/search",), {"json": {"p": [1, {"q": None}]}, "headers": {"X-One": "1"}}),
        ("get", ("/redirect",), {"follow_redirects": True}),
    )
    refused: ClassVar[list[Call]] = [
        ("put", ("/x",), {"json": {}}),
        ("delete", ("/x",), {}),
        ("post", ("/x",), {"files": {"f": b"content"}}),
        ("get", ("/x",), {"headers": {"Range": "bytes=0-3"}}),
        ("get", ("/x",), {"headers": {"Cache-Control": "no-cache"}}),
    ]

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.name = f"{library.__name__}-{self.way}"  # type: ignore[misc]

    way: ClassVar[str]

    def read(self, answer: Any) -> Any:
        return (
            type(answer),
            answer.status_code,
            answer.content,
            answer.text,
            without_date(answer.headers.multi_items()),
            answer.url,
            answer.encoding,
            answer.reason_phrase,
            answer.http_version,
            answer.is_closed,
            answer.is_success,
            [(type(hop), hop.status_code, hop.url, without_date(hop.headers.multi_items())) for hop in answer.history],
            (answer.request.method, answer.request.url),
        )


class _OnClient(_HttpxDriver):
    variants = (
        {},
        {"base": "/other"},
        {"headers": {"X-Tenant": "a"}},
        {"headers": {"X-Tenant": "b"}},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"Authorization": "Bearer another"}},
        {"params": {"k": "a"}},
        {"params": {"api_key": SECRET}},
        {"cookies": {"session": SECRET}},
        {"auth": ("me", SECRET)},
        {"auth": ("me", "another")},
        {"user": f"me:{SECRET}-in-url"},
        {"max_redirects": 3},
        {"follow_redirects": True},
        {"verify": False},
        {"default_encoding": "latin-1"},
        {"proxy": "http://127.0.0.1:9"},
    )

    def settings(self, variant: Variant) -> dict[str, Any]:
        return {name: value for name, value in variant.items() if name not in _PLACE}


class _Sync(_OnClient):
    way = "sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        with self.library.Client(**self.settings(variant)) as client:
            yield Site(client, site_url(api, variant))


class _Async(_OnClient):
    way = "async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[Site]:
        async with self.library.AsyncClient(**self.settings(variant)) as client:
            yield Site(client, site_url(api, variant))


class _Module(_HttpxDriver):
    way = "module"
    variants = ({}, {"base": "/other"}, {"user": f"me:{SECRET}"}, {"user": "me:another"})

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        yield Site(self.library, site_url(api, variant))


def drivers_of(library: ModuleType) -> list[Driver]:
    """Its client, its async client, its own functions."""
    return [_Sync(library), _Async(library), _Module(library)]
