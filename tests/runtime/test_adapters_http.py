"""One suite over the HTTP libraries' adapters: identity, what is cacheable, faithful replay."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import requests.auth

from apicache import UnifiedAPICache
from apicache.clock import ManualClock


class Driver:
    """One way to make HTTP calls: a library, its client or its module functions, sync or async."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.library, _, self.style = name.partition("-")
        self.runner: asyncio.Runner

    def client(self, **settings: Any) -> Any:
        if self.style == "module":
            assert not settings
            return {"httpx": httpx, "requests": requests}[self.library]
        if self.library == "requests":
            session = requests.Session()
            for key, value in settings.items():
                getattr(session, key).update(value) if key in {"headers", "cookies", "params"} else setattr(
                    session, key, value
                )
            return session
        return {"sync": httpx.Client, "async": httpx.AsyncClient}[self.style](**settings)

    def call(self, cache: UnifiedAPICache, client: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        function = getattr(client, method)
        if self.style == "async":
            return self.runner.run(cache.cached_api_call(function, *args, **kwargs))
        return cache.cached_api_call_sync(function, *args, **kwargs)

    def call_directly(self, client: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        result = getattr(client, method)(*args, **kwargs)
        return self.runner.run(result) if self.style == "async" else result

    @contextlib.contextmanager
    def opened(self, **settings: Any) -> Iterator[Any]:
        client = self.client(**settings)
        if self.style == "async":
            with asyncio.Runner() as self.runner:
                yield client
                self.runner.run(client.aclose())
            return
        yield client
        if self.style != "module":
            client.close()


ALL = ["httpx-sync", "httpx-async", "httpx-module", "requests-session", "requests-module"]
WITH_CLIENT = [name for name in ALL if not name.endswith("module")]


@pytest.fixture(params=ALL)
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


@pytest.fixture(params=WITH_CLIENT)
def client_driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


def test_the_second_call_sends_nothing_and_gets_an_equal_response(
    cache: UnifiedAPICache, api: Any, driver: Driver
) -> None:
    with driver.opened() as client:
        first = driver.call(cache, client, "get", f"{api.url}/items?b=2", params={"a": [1, 2]}, headers={"X-One": "1"})
        second = driver.call(cache, client, "get", f"{api.url}/items?b=2", params={"a": [1, 2]}, headers={"X-One": "1"})
    assert len(api.seen) == 1
    assert type(second) is type(first)
    assert second is not first
    assert second.json() == first.json()
    assert (second.status_code, second.content, second.text) == (first.status_code, first.content, first.text)
    assert list(second.headers.items()) == list(first.headers.items())
    assert second.url == first.url
    assert second.encoding == first.encoding
    assert second.elapsed == first.elapsed
    assert second.request.method == "GET"
    assert second.request.headers["X-One"] == "1"
    assert second.history == []
    second.raise_for_status()
    assert second.json() is not second.json()


def test_httpx_replays_more_of_a_response(cache: UnifiedAPICache, api: Any) -> None:
    with httpx.Client() as client:
        first, second = (cache.cached_api_call_sync(client.get, f"{api.url}/x") for _ in range(2))
    assert second.is_success
    assert second.is_closed
    assert second.http_version == first.http_version == "HTTP/1.1"
    assert second.reason_phrase == first.reason_phrase == "OK"
    assert second.read() == first.content
    assert list(second.iter_bytes()) == [first.content]
    assert second.headers.raw == first.headers.raw
    assert second.num_bytes_downloaded in {0, len(first.content)}


def test_requests_replays_more_of_a_response(cache: UnifiedAPICache, api: Any) -> None:
    with requests.Session() as session:
        first, second = (cache.cached_api_call_sync(session.get, f"{api.url}/x") for _ in range(2))
    assert second.ok
    assert second.reason == first.reason == "OK"
    assert list(second.iter_content(7)) == list(first.iter_content(7))
    assert list(second.iter_lines()) == list(first.iter_lines())
    assert second.raw.status == first.raw.status == 200
    assert second.raw.version == first.raw.version
    with second:
        assert second.headers["content-TYPE"] == "application/json"


def test_a_compressed_answer_is_replayed_decoded_with_its_headers(
    cache: UnifiedAPICache, driver: Driver, compressed_api: str
) -> None:
    with driver.opened() as client:
        first, second = (driver.call(cache, client, "get", compressed_api) for _ in range(2))
    assert second.text == first.text == "plain text"
    assert second.headers["content-encoding"] == first.headers["content-encoding"] == "gzip"
    assert cache.get_stats()["cache_hits"] == 1


@pytest.fixture
def compressed_api() -> Iterator[str]:
    import gzip
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            content = gzip.compress(b"plain text")
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("path", {"path": "/a"}, {"path": "/b"}),
    ("query in the URL", {"path": "/a?x=1"}, {"path": "/a?x=2"}),
    ("params", {"params": {"x": 1}}, {"params": {"x": 2}}),
    ("order of repeated params", {"params": [("x", 1), ("x", 2)]}, {"params": [("x", 2), ("x", 1)]}),
    ("header", {"headers": {"X-Tenant": "a"}}, {"headers": {"X-Tenant": "b"}}),
    ("unknown header", {}, {"headers": {"X-Never-Heard-Of": "b"}}),
    ("accept", {"headers": {"Accept": "text/csv"}}, {"headers": {"Accept": "application/json"}}),
    ("authorization", {"headers": {"Authorization": "Bearer a"}}, {"headers": {"Authorization": "Bearer b"}}),
    ("basic auth", {"auth": ("u", "one")}, {"auth": ("u", "two")}),
    ("auth or none", {}, {"auth": ("u", "one")}),
    ("cookie header", {"headers": {"Cookie": "s=1"}}, {"headers": {"Cookie": "s=2"}}),
]


@pytest.mark.parametrize(("_what", "one", "other"), DIFFERENT, ids=[what for what, _, _ in DIFFERENT])
def test_calls_that_may_be_answered_differently_do_not_share(
    cache: UnifiedAPICache, api: Any, driver: Driver, _what: str, one: Any, other: Any
) -> None:
    with driver.opened() as client:
        for options in (one, other, one, other):
            given = dict(options)
            driver.call(cache, client, "get", api.url + given.pop("path", "/same"), **given)
    assert len(api.seen) == 2
    assert cache.get_stats()["cache_hits"] == 2


BODIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("json", {"json": {"p": 1}}, {"json": {"p": 2}}),
    ("json types", {"json": {"p": 1}}, {"json": {"p": True}}),
    ("json or form", {"json": {"p": "1"}}, {"data": {"p": "1"}}),
    ("form", {"data": {"p": "1"}}, {"data": {"p": "2"}}),
    ("nested", {"json": {"p": {"q": [1, {"r": 2}]}}}, {"json": {"p": {"q": [1, {"r": 3}]}}}),
    ("unknown field", {"json": {"p": 1}}, {"json": {"p": 1, "seed": 7}}),
]


@pytest.mark.parametrize(("_what", "one", "other"), BODIES, ids=[what for what, _, _ in BODIES])
def test_posts_are_told_apart_by_their_bodies(
    cache: UnifiedAPICache, api: Any, driver: Driver, _what: str, one: Any, other: Any
) -> None:
    with driver.opened() as client:
        for options in (one, other, one, other):
            driver.call(cache, client, "post", f"{api.url}/search", **options)
    assert len(api.seen) == 2


def test_what_cannot_change_the_answer_is_not_part_of_the_identity(
    cache: UnifiedAPICache, api: Any, driver: Driver
) -> None:
    with driver.opened() as client:
        for options in ({}, {"timeout": 3}, {"timeout": 7}, {"headers": {"Cookie": "__cf_bm=anything"}}):
            driver.call(cache, client, "get", f"{api.url}/same", **options)
    assert len(api.seen) == 1


def test_two_verbs_and_the_request_method_agree(cache: UnifiedAPICache, api: Any, driver: Driver) -> None:
    with driver.opened() as client:
        redirects = {"allow_redirects": True} if driver.library == "requests" else {}
        driver.call(cache, client, "get", f"{api.url}/x", **redirects)
        driver.call(cache, client, "request", "GET", f"{api.url}/x", **redirects)
        driver.call(cache, client, "request", "HEAD", f"{api.url}/x")
    assert [seen.method for seen in api.seen] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"headers": {"X-Tenant": "a"}}, {"headers": {"X-Tenant": "b"}}),
        ({"headers": {"Authorization": "a"}}, {"headers": {"Authorization": "b"}}),
        ({"params": {"k": "a"}}, {"params": {"k": "b"}}),
        ({"cookies": {"session": "a"}}, {"cookies": {"session": "b"}}),
        ({"auth": ("u", "a")}, {"auth": ("u", "b")}),
        ({"max_redirects": 3}, {"max_redirects": 4}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_two_clients_with_other_settings_do_not_share(
    cache: UnifiedAPICache, api: Any, client_driver: Driver, one: Any, other: Any
) -> None:
    for settings in (one, other, one, other):
        with client_driver.opened(**settings) as client:
            client_driver.call(cache, client, "get", f"{api.url}/x")
    assert len(api.seen) == 2


def test_two_clients_with_equal_settings_share(cache: UnifiedAPICache, api: Any, client_driver: Driver) -> None:
    for _ in range(2):
        with client_driver.opened(headers={"Authorization": "a"}) as client:
            client_driver.call(cache, client, "get", f"{api.url}/x")
    assert len(api.seen) == 1


def test_a_base_url_and_a_whole_url_are_one_endpoint(cache: UnifiedAPICache, api: Any) -> None:
    with httpx.Client(base_url=f"{api.url}/v1/") as based, httpx.Client() as plain:
        cache.cached_api_call_sync(based.get, "items")
        cache.cached_api_call_sync(plain.get, f"{api.url}/v1/items")
    assert len(api.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 202, 206, 301])
def test_anything_but_a_final_answer_passes_through_and_is_not_stored(
    cache: UnifiedAPICache, api: Any, driver: Driver, status: int
) -> None:
    with driver.opened() as client:
        responses = [driver.call(cache, client, "get", f"{api.url}/status/{status}") for _ in range(2)]
    assert [response.status_code for response in responses] == [status, status]
    assert len(api.seen) == 2
    assert cache.get_stats()["stored"] == 0


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_methods_that_write_go_through_each_time_with_a_warning(
    cache: UnifiedAPICache, api: Any, driver: Driver, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with driver.opened() as client, caplog.at_level(logging.WARNING, logger="apicache"):
        for _ in range(2):
            driver.call(cache, client, method, f"{api.url}/x")
    assert len(api.seen) == 2
    assert "changes state upstream" in caplog.text


def test_followed_redirects_are_replayed_with_their_history(cache: UnifiedAPICache, api: Any, driver: Driver) -> None:
    option = {"follow_redirects": True} if driver.library == "httpx" else {}
    with driver.opened() as client:
        first, second = (driver.call(cache, client, "get", f"{api.url}/redirect", **option) for _ in range(2))
    assert len(api.seen) == 2
    assert second.url == first.url
    assert str(second.url).endswith("/landed")
    assert [hop.status_code for hop in second.history] == [302]
    assert str(second.history[0].url) == str(first.history[0].url)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("path", "calls"), [("/landed", 4), ("/elsewhere", 4), ("", 2)])
def test_cookies_that_only_a_redirect_would_send_tell_users_apart(
    cache: UnifiedAPICache, api: Any, name: str, path: str, calls: int
) -> None:
    driver = Driver(name)
    host = urlsplit(api.url).hostname
    follow = {"follow_redirects": True} if driver.library == "httpx" else {}
    for who in ("alice", "bob", "alice", "bob"):
        jar = requests.cookies.RequestsCookieJar()
        if path:
            jar.set("sid", who, domain=host, path=path)
        jar.set("__cf_bm", who, domain=host, path="/landed")
        in_module = driver.style == "module"
        with driver.opened(**({} if in_module else {"cookies": jar})) as client:
            given = {"cookies": jar} if in_module else {}
            driver.call(cache, client, "get", f"{api.url}/redirect", **follow, **given)
    assert len(api.seen) == calls
    landed = [seen.headers.get("cookie") or "" for seen in api.seen if seen.path == "/landed"]
    assert [f"sid={who}" in sent for who, sent in zip(("alice", "bob"), landed, strict=False)] == (
        [path == "/landed"] * len(landed)
    )


@pytest.mark.parametrize("name", ["httpx-sync", "httpx-async", "requests-session"])
def test_a_redirects_answer_is_not_kept_where_cookies_came_before_it(
    cache: UnifiedAPICache, api: Any, name: str
) -> None:
    """Another task logs in while the first request is on its way: the second one is sent that session's cookie."""
    driver = Driver(name)
    host = urlsplit(api.url).hostname
    follow = {"follow_redirects": True} if driver.library == "httpx" else {}
    with driver.opened() as client:

        def log_in(path: str, _body: bytes, _count: int) -> None:
            if path == "/redirect" and not client.cookies:
                client.cookies.set("sid", "alice", domain=host, path="/")

        api.documents.append(log_in)
        driver.call(cache, client, "get", f"{api.url}/redirect", **follow)
        assert "alice" in api.seen[-1].headers["cookie"]
    assert cache.get_stats()["stored"] == 0
    with driver.opened() as client:
        api.documents.clear()
        for _ in range(2):
            driver.call(cache, client, "get", f"{api.url}/redirect", **follow)
    assert [len(api.seen), "cookie" in api.seen[-1].headers] == [4, False]


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        ("Cache-Control:no-store", False),
        ("Cache-Control:no-cache", False),
        ("Cache-Control:max-age=0", False),
        ("Cache-Control:private, max-age=60", False),  # the call says nothing of whose it is
        ("Cache-Control:public", True),
        ("Vary:*", False),
        ("Vary:Accept", True),
        ("Set-Cookie:session=1", False),
        ("Set-Cookie:__cf_bm=1; Path=/", True),
    ],
)
def test_what_the_response_says_of_its_storing_is_honoured(
    cache: UnifiedAPICache, api: Any, driver: Driver, header: str, stored: bool
) -> None:
    with driver.opened() as client:
        for _ in range(2):
            driver.call(cache, client, "get", f"{api.url}/x", params={"header": header})
    # requests and httpx clients send the infrastructure cookie back; it must not make the second call another one.
    assert len(api.seen) == (1 if stored else 2)


def test_max_age_shortens_the_ttl_and_the_policy_may_override_it(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, driver: Driver
) -> None:
    url = f"{api.url}/x?header=Cache-Control:max-age%3D60"
    with driver.opened() as client:
        driver.call(cache, client, "get", url)
        clock.advance(60)
        driver.call(cache, client, "get", url)
        assert len(api.seen) == 2
        for _ in range(2):
            driver.call(cache.using(http="override", scope="own"), client, "get", url)
            clock.advance(200)
    assert len(api.seen) == 3


def test_bodies_that_can_be_read_once_are_not_consumed(cache: UnifiedAPICache, api: Any, driver: Driver) -> None:
    keyword = "content" if driver.library == "httpx" else "data"

    async def later() -> Any:
        yield b"ab"
        yield b"cd"

    with driver.opened() as client:
        for _ in range(2):
            body = later() if driver.style == "async" else iter([b"ab", b"cd"])
            driver.call(cache, client, "post", f"{api.url}/x", **{keyword: body})
    assert cache.get_stats()["bypassed"] == 2
    assert [seen.body for seen in api.seen] == [b"abcd", b"abcd"]


@pytest.mark.parametrize("name", ["httpx-module", "requests-session", "requests-module"])
def test_calls_that_verify_differently_do_not_share(cache: UnifiedAPICache, api: Any, name: str) -> None:
    driver = Driver(name)
    with driver.opened() as client:
        for verify in (True, False, True, False):
            driver.call(cache, client, "get", f"{api.url}/x", verify=verify)
    assert len(api.seen) == 2


def test_uploads_go_through(cache: UnifiedAPICache, api: Any, driver: Driver) -> None:
    with driver.opened() as client:
        for _ in range(2):
            driver.call(cache, client, "post", f"{api.url}/x", files={"f": b"content"})
    assert [b"content" in seen.body for seen in api.seen] == [True, True]


def test_clients_whose_answers_cannot_be_foreseen_go_through(cache: UnifiedAPICache, api: Any) -> None:
    def invented(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="from anywhere")

    class OwnSend(httpx.Client):
        def send(self, request: httpx.Request, **kwargs: Any) -> httpx.Response:
            request.headers["X-Signed"] = "1"
            return super().send(request, **kwargs)

    class OwnAuth(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            request.headers["Authorization"] = "made now"
            yield request

    clients = [
        httpx.Client(transport=httpx.MockTransport(invented)),
        httpx.Client(mounts={"all://": httpx.MockTransport(invented)}),
        httpx.Client(event_hooks={"response": [lambda _: None]}),
        OwnSend(),
        httpx.Client(auth=OwnAuth()),
    ]
    for client in clients:
        with client:
            for _ in range(2):
                cache.cached_api_call_sync(client.get, f"{api.url}/x")
    assert cache.get_stats()["bypassed"] == 2 * len(clients)
    assert cache.get_stats()["stored"] == 0


def test_sessions_whose_answers_cannot_be_foreseen_go_through(cache: UnifiedAPICache, api: Any) -> None:
    class OwnAdapter(requests.adapters.HTTPAdapter):
        pass

    class OwnSession(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> requests.Response:
            return super().request(*args, **kwargs)

    mounted, hooked, streaming, digest = (requests.Session() for _ in range(4))
    mounted.mount("http://", OwnAdapter())
    hooked.hooks["response"].append(lambda response, **_: response)
    streaming.stream = True
    digest.auth = requests.auth.HTTPDigestAuth("u", "p")
    sessions = [mounted, hooked, streaming, digest, OwnSession()]
    for session in sessions:
        with session:
            for _ in range(2):
                cache.cached_api_call_sync(session.get, f"{api.url}/x").close()
    assert cache.get_stats()["bypassed"] == 2 * len(sessions)


def test_a_closed_client_raises_as_it_would_without_a_cache(cache: UnifiedAPICache, api: Any) -> None:
    with httpx.Client() as client:
        cache.cached_api_call_sync(client.get, f"{api.url}/x")
    with pytest.raises(RuntimeError, match="closed"):
        cache.cached_api_call_sync(client.get, f"{api.url}/x")


@pytest.mark.parametrize("bad", [{"json": {1, 2}}, {"params": object()}, {"no_such_option": 1}])
def test_arguments_the_library_refuses_raise_the_librarys_own_error(
    cache: UnifiedAPICache, api: Any, driver: Driver, bad: Any
) -> None:
    with driver.opened() as client:
        with pytest.raises(Exception) as direct:  # noqa: PT011 - whichever the library raises
            driver.call_directly(client, "post", f"{api.url}/x", **bad)
        with pytest.raises(type(direct.value)) as cached:
            driver.call(cache, client, "post", f"{api.url}/x", **bad)
    assert str(cached.value) == str(direct.value)


def test_a_refused_connection_raises_the_librarys_own_error_and_is_not_kept(
    cache: UnifiedAPICache, driver: Driver
) -> None:
    error = {"httpx": httpx.ConnectError, "requests": requests.ConnectionError}[driver.library]
    with driver.opened() as client:
        for _ in range(2):
            with pytest.raises(error):
                driver.call(cache, client, "get", "http://127.0.0.1:9/")
    assert len(cache._engine.flights) == 0


def test_an_operation_that_returns_a_response_is_replayed_as_one(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("item")
    def item(name: str) -> requests.Response:
        return requests.get(f"{api.url}/items/{name}", timeout=5)

    @cache.operation("document", returns="json")
    async def document(name: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{api.url}/documents/{name}")

    first, second = (cache.cached_api_call_sync(operation="item", name="a") for _ in range(2))
    assert (second.json(), second.url, second.request.url) == (first.json(), first.url, first.request.url)
    decoded = [asyncio.run(cache.cached_api_call(operation="document", name="a")) for _ in range(2)]
    assert decoded[0] == decoded[1]
    assert decoded[0] is not decoded[1]
    assert len(api.seen) == 2


def test_a_json_operation_returns_an_error_answer_as_before_and_does_not_keep_it(
    cache: UnifiedAPICache, api: Any, call: Any
) -> None:
    @cache.operation("broken", returns="json")
    def broken() -> requests.Response:
        return requests.get(f"{api.url}/status/500", timeout=5)

    assert [call(cache, operation="broken")["count"] for _ in range(2)] == [1, 2]
