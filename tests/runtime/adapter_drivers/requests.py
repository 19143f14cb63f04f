import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import requests
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Variant
from adapter_drivers._http import JSON_VALUES, SECRET, TEXTS, HttpDriver, Site, site_url, without_date


class _RequestsDriver(HttpDriver):
    bodies = {  # noqa: RUF012 - as in the base
        "json": JSON_VALUES.filter(bool),  # requests sends no body for an empty one
        "data": TEXTS | st.sampled_from([b"a", b"b", b'{"a": 1}']),
    }
    examples = (
        ("get", ("/items?b=2",), {}),
        ("get", ("/items",), {"params": {"a": [1, 2], "header": 'ETag:"v1"'}}),
        ("post", ("/search",), {"json": {"p": [1, {"q": None}]}, "headers": {"X-One": "1"}}),
        ("get", ("/redirect",), {}),
    )
    refused: ClassVar[list[Call]] = [
        ("put", ("/x",), {"json": {}}),
        ("delete", ("/x",), {}),
        ("post", ("/x",), {"files": {"f": b"content"}}),
        ("get", ("/x",), {"stream": True}),
        ("get", ("/x",), {"headers": {"Range": "bytes=0-3"}}),
        ("get", ("/x",), {"headers": {"Cache-Control": "no-cache"}}),
    ]

    def read(self, answer: Any) -> Any:
        return (
            type(answer),
            answer.status_code,
            answer.content,
            answer.text,
            without_date(answer.headers.items()),
            answer.url,
            answer.encoding,
            answer.apparent_encoding,
            answer.reason,
            answer.ok,
            answer.is_redirect,
            answer.links,
            (answer.raw.status, answer.raw.version),
            [(type(hop), hop.status_code, hop.url, without_date(hop.headers.items())) for hop in answer.history],
            (answer.request.method, answer.request.url),
        )


class _Session(_RequestsDriver):
    name = "requests-session"
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
        {"verify": False},
        {"proxies": {"http": "http://127.0.0.1:9"}},
    )

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        with requests.Session() as session:
            for name in variant.keys() - {"base", "user"}:
                if name in {"headers", "cookies", "params", "proxies"}:
                    getattr(session, name).update(variant[name])
                else:
                    setattr(session, name, variant[name])
            yield Site(session, site_url(api, variant))


class _Module(_RequestsDriver):
    name = "requests-module"
    variants = ({}, {"base": "/other"}, {"user": f"me:{SECRET}"}, {"user": "me:another"})

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        yield Site(requests, site_url(api, variant))


DRIVERS = [_Session(), _Module()]
