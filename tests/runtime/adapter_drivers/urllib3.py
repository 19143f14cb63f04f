import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import urllib3
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Variant
from adapter_drivers._http import HEADERS, JSON_VALUES, PATHS, SECRET, TEXTS, HttpDriver, Site, site_url, without_date


class _Urllib3Driver(HttpDriver):
    """Calls are ("request", (verb, path), keyword arguments)."""

    optional = {"headers": HEADERS}  # noqa: RUF012 - as in the base
    bodies = {  # noqa: RUF012 - same
        "json": JSON_VALUES.filter(lambda value: value is not None),
        "body": st.sampled_from([b"a", b"b", b'{"a": 1}']),
        "fields": TEXTS,
    }
    examples = (
        ("request", ("GET", "/items?b=2"), {}),
        ("request", ("GET", "/items"), {"fields": {"a": "1", "header": 'ETag:"v1"'}}),
        ("request", ("POST", "/search"), {"json": {"p": [1, {"q": None}]}, "headers": {"X-One": "1"}}),
        ("request", ("GET", "/redirect"), {}),
        ("request", ("HEAD", "/items"), {}),
    )
    ignored = ({"timeout": 3}, {"timeout": 7.5}, {"headers": {"Cookie": "__cf_bm=anything"}})
    refused: ClassVar[list[Call]] = [
        ("request", ("PUT", "/x"), {"json": {}}),
        ("request", ("DELETE", "/x"), {}),
        ("request", ("POST", "/x"), {"fields": {"f": ("name.txt", b"content")}}),
        ("request", ("GET", "/x"), {"preload_content": False}),
        ("request", ("GET", "/x"), {"headers": {"Range": "bytes=0-3"}}),
    ]

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        bodies = st.one_of(*(st.fixed_dictionaries({name: drawn}) for name, drawn in self.bodies.items()), st.just({}))
        read = st.tuples(st.just("request"), st.tuples(st.sampled_from(["GET", "HEAD"]), PATHS), self.options())
        read_with_fields = st.tuples(
            st.just("request"), st.tuples(st.just("GET"), PATHS), st.fixed_dictionaries({"fields": TEXTS})
        )
        post = st.builds(
            lambda path, options, body: ("request", ("POST", path), {**options, **body}), PATHS, self.options(), bodies
        )
        return read | read_with_fields | post

    def call(self, client: Site, method: str, args: Any, kwargs: Any) -> Any:
        verb, path = args
        return getattr(client.client, method), (verb, client.url + path), kwargs

    def read(self, answer: Any) -> Any:
        if not answer._body and not answer.closed:
            answer.drain_conn()
            answer.release_conn()
        is_json = answer.data and answer.headers["content-type"] == "application/json"
        return (
            type(answer),
            answer.status,
            answer.reason,
            answer.version,
            answer.data,
            answer.json() if is_json else None,
            answer.read(),
            list(answer.stream()),
            without_date(answer.headers.iteritems()),
            answer.url,
            answer.geturl(),
            answer.closed,
            answer.connection,
            answer.length_remaining,
            answer.retries.history,
        )

    def spoil(self, answer: Any) -> None:
        answer.headers.clear()
        answer._body = b""


_ON_MANAGER = (
    {},
    {"base": "/other"},
    {"headers": {"X-Tenant": "a"}},
    {"headers": {"X-Tenant": "b"}},
    {"headers": {"Authorization": f"Bearer {SECRET}"}},
    {"headers": urllib3.make_headers(basic_auth=f"me:{SECRET}")},
    {"cert_reqs": "CERT_NONE"},
    {"key_file": "k", "cert_file": "c", "key_password": SECRET},
    {"retries": urllib3.Retry(redirect=1)},
)


class _Manager(_Urllib3Driver):
    name = "urllib3-manager"
    variants = (
        *_ON_MANAGER,
        {"proxy_url": "http://127.0.0.1:9"},
        {"proxy_url": "http://127.0.0.1:9", "proxy_headers": urllib3.make_headers(proxy_basic_auth="me:another")},
    )

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        settings = {name: value for name, value in variant.items() if name != "base"}
        kind = urllib3.ProxyManager if "proxy_url" in variant else urllib3.PoolManager
        with kind(**settings) as manager:
            yield Site(manager, site_url(api, variant))


class _Pool(_Urllib3Driver):
    name = "urllib3-pool"
    variants = tuple(each for each in _ON_MANAGER if not {"cert_reqs", "key_file"} & each.keys())

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        settings = {name: value for name, value in variant.items() if name != "base"}
        with urllib3.connection_from_url(api.url, **settings) as pool:
            yield Site(pool, variant.get("base", ""))


class _Module(_Urllib3Driver):
    name = "urllib3-module"
    variants = ({}, {"base": "/other"}, {"base": f"/x?token={SECRET}&path="}, {"base": "/x?token=another&path="})

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[Site]:
        yield Site(urllib3, site_url(api, variant))


DRIVERS = [_Manager(), _Pool(), _Module()]
