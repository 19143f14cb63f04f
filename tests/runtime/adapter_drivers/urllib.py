import base64
import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlencode

from hypothesis import strategies as st

from adapter_drivers._driver import Call, Variant
from adapter_drivers._http import HEADERS, JSON_VALUES, PATHS, SECRET, TEXTS, HttpDriver, Site, site_url, without_date


class _UrllibDriver(HttpDriver):
    """Calls are ("open", (path,), what a Request is built of, and a timeout)."""

    examples = (
        ("open", ("/items?b=2",), {}),
        ("open", ("/items?header=ETag:%22v1%22",), {}),
        ("open", ("/search",), {"data": b"a=1", "headers": {"X-One": "1"}}),
        ("open", ("/redirect",), {}),
        ("open", ("/items",), {"method": "HEAD"}),
    )
    ignored = ({"timeout": 3}, {"timeout": 7.5}, {"headers": {"Cookie": "__cf_bm=anything"}})
    refused: ClassVar[list[Call]] = [
        ("open", ("/x",), {"method": "PUT", "data": b"a"}),
        ("open", ("/x",), {"method": "DELETE"}),
        ("open", ("/x",), {"data": [b"a", b"b"], "headers": {"Content-length": "2"}}),
        ("open", ("/x",), {"headers": {"Range": "bytes=0-3"}}),
    ]
    bodies = {  # noqa: RUF012 - as in the base
        "data": TEXTS.map(lambda form: urlencode(form).encode())
        | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    }
    optional = {"headers": HEADERS}  # noqa: RUF012 - same

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        read = st.fixed_dictionaries({}, optional={**self.optional, "method": st.just("HEAD")})
        post = st.fixed_dictionaries(self.bodies, optional=self.optional)
        return st.tuples(st.just("open"), st.tuples(PATHS), read | post)

    def call(self, client: Site, method: str, args: Any, kwargs: Any) -> Any:
        (path,) = args
        parts = dict(kwargs)
        timeout = {"timeout": parts.pop("timeout")} if "timeout" in parts else {}
        url = client.url + path
        given = urllib.request.Request(url, **parts) if parts else url  # noqa: S310 - the server's own
        return client.client, (given,), timeout

    def read(self, answer: Any) -> Any:
        first = answer.read(3)
        with answer:
            return (
                type(answer),
                answer.status,
                answer.code,
                answer.reason,
                answer.msg,
                answer.version,
                first + answer.readline() + answer.read() + b"".join(answer),
                without_date(answer.headers.items()),
                without_date(answer.getheaders()),
                answer.getheader("content-type"),
                answer.info().get_content_type(),
                answer.url,
                answer.geturl(),
                answer.isclosed(),
            )


class _Opener(_UrllibDriver):
    name = "urllib-opener"
    variants = (
        {},
        {"base": "/other"},
        {"headers": {"X-Tenant": "a"}},
        {"headers": {"X-Tenant": "b"}},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"Authorization": "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()}},
        {"proxies": {"http": "http://127.0.0.1:9"}},
        {"proxies": {"http": "http://me:another@127.0.0.1:9"}},
    )

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(variant.get("proxies", {})), urllib.request.HTTPCookieProcessor()
        )
        opener.addheaders += list(variant.get("headers", {}).items())
        yield Site(opener.open, site_url(api, variant))


class _Function(_UrllibDriver):
    name = "urllib-function"
    variants = ({}, {"base": "/other"}, {"base": f"/x?token={SECRET}&path="}, {"base": "/x?token=another&path="})

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        yield Site(urllib.request.urlopen, site_url(api, variant))


DRIVERS = [_Opener(), _Function()]
