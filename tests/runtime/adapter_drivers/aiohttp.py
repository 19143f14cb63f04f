import contextlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import aiohttp
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Variant
from adapter_drivers._http import JSON_VALUES, SECRET, TEXTS, HttpDriver, Site, site_url, without_date


class _Session(HttpDriver):
    name = "aiohttp"
    is_async = True
    variants = (
        {},
        {"base": "/other"},
        {"headers": {"X-Tenant": "a"}},
        {"headers": {"X-Tenant": "b"}},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"Authorization": "Bearer another"}},
        {"cookies": {"session": SECRET}},
        {"cookies": {"session": "another"}},
        {"user": f"me:{SECRET}-in-url"},
        {"skip_auto_headers": ["User-Agent"]},
        {"auto_decompress": False},
        {"raise_for_status": True},
        {"version": aiohttp.HttpVersion10},
        {"proxy": "http://127.0.0.1:9"},
        {"proxy": f"http://me:{SECRET}@127.0.0.1:9"},
        {"ssl": False},
    )
    bodies = {  # noqa: RUF012 - as in the base
        "json": JSON_VALUES.filter(lambda value: value is not None),
        "data": TEXTS | st.sampled_from([b"a", b"b", b'{"a": 1}']),
    }
    optional = {**HttpDriver.optional, "cookies": st.sampled_from([{"s": "1"}, {"s": "2"}])}  # noqa: RUF012 - same
    examples = (
        ("get", ("/items?b=2",), {}),
        ("get", ("/items",), {"params": [("a", "1"), ("a", "2"), ("header", 'ETag:"v1"')]}),
        ("post", ("/search",), {"json": {"p": [1, {"q": None}]}, "headers": {"X-One": "1"}}),
        ("post", ("/search",), {"data": {"p": "1", "q": "2 3"}}),
        ("get", ("/redirect",), {}),
        ("head", ("/items",), {}),
        ("get", ("/items",), {"cookies": {"session": "1"}}),
    )
    ignored = (
        {"timeout": aiohttp.ClientTimeout(total=3)},
        {"read_bufsize": 9000},
        {"headers": {"Cookie": "__cf_bm=anything"}},
    )
    refused: ClassVar[list[Call]] = [
        ("put", ("/x",), {"json": {}}),
        ("delete", ("/x",), {}),
        ("post", ("/x",), {"data": {"f": b"content"}}),
        ("get", ("/x",), {"headers": {"Range": "bytes=0-3"}}),
        ("get", ("/x",), {"middlewares": [lambda request, handler: handler(request)]}),
    ]

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[Site]:
        settings = {name: value for name, value in variant.items() if name not in {"base", "user", "ssl"}}
        connector = aiohttp.TCPConnector(ssl=variant.get("ssl", True))
        jar = aiohttp.CookieJar(unsafe=True)  # one that sends cookies to addresses
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, **settings) as session:
            if "cookies" in variant:
                jar.update_cookies(variant["cookies"])
            yield Site(session, site_url(api, variant))

    async def read(self, answer: Any) -> Any:
        async with answer:
            body = await answer.read()
            is_json = body and answer.content_type == "application/json"
            return (
                type(answer),
                body,
                await answer.text(),
                await answer.json() if is_json else None,
                answer.status,
                answer.reason,
                answer.ok,
                answer.version,
                without_date(answer.headers.items()),
                [name for name, _ in answer.raw_headers],
                (answer.method, answer.url, answer.real_url, answer.host),
                (answer.content_type, answer.charset, answer.content_length, answer.get_encoding()),
                (answer.closed, answer.connection, answer.cookies, answer.links),
                [(hop.status, hop.url, without_date(hop.headers.items()), hop.closed) for hop in answer.history],
                (answer.request_info.url, answer.request_info.method) if answer.history else answer.request_info,
                type(answer.content),
            )


DRIVERS = [_Session()]
