# ruff: noqa: S310 - the URLs opened are the test's own
"""What the adapters of urllib3 and urllib refuse, keep and revalidate beyond the shared suite."""

import gzip
import http.client
import http.cookiejar
import io
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import requests.cookies
import urllib3

from apicache import UnifiedAPICache
from apicache.adapters import urllib3 as urllib3_adapter
from apicache.clock import ManualClock


def bypassed(cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture) -> str:
    """What was said of the calls that went through; nothing of any was kept."""
    stats = cache.get_stats()
    assert stats["stored"] == stats["cache_hits"] == 0
    assert stats["bypassed"] > 0
    return caplog.text


class OwnPool(urllib3.HTTPConnectionPool):
    pass


class OwnRetry(urllib3.Retry):
    pass


def test_pools_and_managers_whose_answers_cannot_be_foreseen_go_through(
    cache: UnifiedAPICache, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host = api.url.removeprefix("http://")
    manager = urllib3.PoolManager()
    manager.pool_classes_by_scheme = {"http": urllib3.HTTPConnectionPool}
    patched = urllib3.PoolManager()
    patched.urlopen = patched.urlopen  # type: ignore[method-assign]
    calls = [
        (OwnPool(*host.split(":")), "/x", {}, "OwnPool may answer"),
        (manager, f"{api.url}/x", {}, "pool classes of its own"),
        (patched, f"{api.url}/x", {}, "has been replaced"),
        (urllib3.PoolManager(source_address=("127.0.0.1", 0)), f"{api.url}/x", {}, "setting source_address"),
        (urllib3.PoolManager(), f"{api.url}/x", {"retries": OwnRetry(3)}, "OwnRetry"),
        (urllib3.PoolManager(), f"{api.url}/x", {"body": io.BytesIO(b"content")}, "BytesIO"),
        (urllib3.PoolManager(), f"{api.url}/x", {"fields": {"f": ("name.txt", b"content")}}, "upload a file"),
    ]
    for owner, url, given, reason in calls:
        for _ in range(2):
            assert cache.cached_api_call_sync(owner.request, "POST", url, **given).status == 200
        assert reason in bypassed(cache, caplog)
        owner.close() if isinstance(owner, OwnPool) else owner.clear()
    assert len(api.seen) == 2 * len(calls)


def test_urllib3_tells_followed_redirects_from_those_that_are_returned(cache: UnifiedAPICache, api: Any) -> None:
    with urllib3.PoolManager() as manager:
        found = [
            cache.cached_api_call_sync(manager.request, "GET", f"{api.url}/redirect", **given).status
            for given in ({}, {"redirect": False}, {"retries": False}, {"retries": urllib3.Retry(redirect=False)}, {})
        ]
    assert found == [200, 302, 302, 302, 200]
    assert len(api.seen) == 5


def test_a_pool_asked_for_another_hosts_url_is_told_from_other_pools(cache: UnifiedAPICache, api: Any) -> None:
    other = type(api)()
    url = "http://api.test/x"
    given: dict[str, Any] = {"assert_same_host": False, "redirect": False}
    for server in (api, other, api, other):
        with urllib3.HTTPConnectionPool(*server.url.removeprefix("http://").split(":")) as pool:
            assert cache.cached_api_call_sync(pool.request, "GET", url, **given).status == 200
    other.close()
    assert [len(api.seen), len(other.seen)] == [1, 1]


def test_a_pool_without_a_port_is_identified() -> None:
    with urllib3.HTTPConnectionPool("api.test") as pool:
        identified = urllib3_adapter.identify(pool.request, ("GET", "/x"), {})
    assert identified is not None
    assert identified.parameters["url"] == "http://api.test/x"


def test_cookies_that_only_a_redirect_would_send_tell_users_apart(cache: UnifiedAPICache, api: Any) -> None:
    for who in ("alice", "bob", "alice", "bob"):
        jar = http.cookiejar.CookieJar()
        for name, value in (("sid", who), ("__cf_bm", str(len(api.seen)))):
            cookie: Any = requests.cookies.create_cookie(name, value, domain="127.0.0.1", path="/landed")  # type: ignore[no-untyped-call]
            jar.set_cookie(cookie)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        cache.cached_api_call_sync(opener.open, f"{api.url}/redirect").close()
    sent = [seen.headers.get("cookie") or "" for seen in api.seen]
    assert [("alice" in cookies, "bob" in cookies) for cookies in sent] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_a_redirects_answer_is_not_kept_where_cookies_came_before_it(cache: UnifiedAPICache, api: Any) -> None:
    jar = http.cookiejar.CookieJar()

    def log_in(path: str, _body: bytes, _count: int) -> None:
        if path == "/redirect":
            cookie: Any = requests.cookies.create_cookie("sid", "alice", domain="127.0.0.1", path="/")  # type: ignore[no-untyped-call]
            jar.set_cookie(cookie)

    api.documents.append(log_in)
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    cache.cached_api_call_sync(opener.open, f"{api.url}/redirect").close()
    assert "alice" in api.seen[-1].headers["cookie"]
    assert cache.get_stats()["stored"] == 0


class OwnHandler(urllib.request.BaseHandler):
    def http_request(self, request: Any) -> Any:
        return request


class OwnRequest(urllib.request.Request):
    def get_method(self) -> str:
        return "GET"


def test_openers_and_requests_that_cannot_be_foreseen_go_through(
    cache: UnifiedAPICache, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plain = urllib.request.build_opener()
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    openers: list[tuple[Any, Any, str]] = [
        (urllib.request.build_opener(OwnHandler), f"{api.url}/x", "OwnHandler"),
        (urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords)), f"{api.url}/x", "BasicAuth"),
        (plain, OwnRequest(f"{api.url}/x", data=b"a"), "OwnRequest"),
        (plain, urllib.request.Request(f"{api.url}/x", io.BytesIO(b"a"), {"Content-length": "1"}), "BytesIO"),
        (plain, "data:text/plain,content", "scheme is data"),
    ]
    for opener, request, reason in openers:
        with cache.cached_api_call_sync(opener.open, request) as response:
            assert response.read()
        assert reason in bypassed(cache, caplog)


def test_one_request_object_may_be_opened_again_and_again(cache: UnifiedAPICache, api: Any) -> None:
    request = urllib.request.Request(f"{api.url}/x", b"a=1", {"X-One": "1"})
    with urllib.request.urlopen(request) as response:  # without the cache: it leaves its own headers in it
        response.read()
    answers = [cache.cached_api_call_sync(urllib.request.urlopen, request) for _ in range(2)]
    assert answers[0].read() == answers[1].read()
    fresh = urllib.request.Request(f"{api.url}/x", b"a=1", {"X-One": "1"})
    assert cache.cached_api_call_sync(urllib.request.urlopen, fresh).read()
    assert len(api.seen) == 2


def test_an_installed_opener_is_part_of_the_identity(
    cache: UnifiedAPICache, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "_opener", None)  # which the first call replaces by the default one
    for tenant in (None, None, "a", "b", "a"):
        if tenant is not None:
            opener = urllib.request.build_opener()
            opener.addheaders = [("X-Tenant", tenant)]
            urllib.request.install_opener(opener)
        cache.cached_api_call_sync(urllib.request.urlopen, f"{api.url}/x").read()
    assert [seen.headers.get("x-tenant") for seen in api.seen] == [None, "a", "b"]


def test_every_opened_answer_can_be_read_once_in_any_way(cache: UnifiedAPICache, api: Any) -> None:
    readers: list[Callable[[Any], bytes]] = [
        lambda response: response.read(),
        lambda response: b"".join(response),
        lambda response: b"".join(response.readlines()),
        lambda response: response.read(5) + response.read1() + response.peek() + response.read(),
    ]
    whole = []
    for read in readers:
        response = cache.cached_api_call_sync(urllib.request.urlopen, f"{api.url}/x")
        assert type(response) is http.client.HTTPResponse
        whole.append(read(response))
        assert response.read() == b""
        response.close()
    assert whole == [whole[0]] * 4
    assert len(api.seen) == 1


def test_an_operation_that_returns_an_unread_response_keeps_nothing_and_reads_nothing(
    cache: UnifiedAPICache, api: Any
) -> None:
    @cache.operation("opened")
    def opened() -> Any:
        return urllib.request.urlopen(f"{api.url}/x")

    for _ in range(2):
        with cache.cached_api_call_sync(operation="opened") as response:
            assert response.read().startswith(b'{"count"')
    assert len(api.seen) == 2
    assert cache.get_stats()["stored"] == 0


def test_an_operation_that_returns_urllib3s_response_is_replayed_as_one(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("item")
    def item(name: str) -> urllib3.BaseHTTPResponse:
        return urllib3.request("GET", f"{api.url}/items/{name}")

    first, second = (cache.cached_api_call_sync(operation="item", name="a") for _ in range(2))
    assert (second.json(), second.status, second.url) == (first.json(), first.status, first.url)
    assert len(api.seen) == 1


def test_what_is_stored_is_asked_about_when_its_time_is_over(
    cache: UnifiedAPICache, clock: ManualClock, api: Any
) -> None:
    url = f"{api.url}/x?header=ETag:%22v1%22&header=Cache-Control:max-age%3D60"
    calls: list[Callable[[], Any]] = [
        lambda: cache.cached_api_call_sync(urllib3.request, "GET", url).data,
        lambda: cache.cached_api_call_sync(urllib.request.urlopen, url).read(),
    ]
    for call in calls:
        api.seen.clear()
        first = call()
        clock.advance(61)
        assert [call() for _ in range(2)] == [first, first]
        assert [seen.headers.get("if-none-match") for seen in api.seen] == [None, '"v1"']


def test_compressed_answers_are_replayed_as_each_library_gives_them(cache: UnifiedAPICache, api: Any) -> None:
    def compress(request: Any) -> None:
        content = gzip.compress(b"plain text")
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    api.answer = compress
    decoded = [cache.cached_api_call_sync(urllib3.request, "GET", f"{api.url}/compressed") for _ in range(2)]
    assert [(each.data, each.headers["content-encoding"]) for each in decoded] == [(b"plain text", "gzip")] * 2
    opened = [cache.cached_api_call_sync(urllib.request.urlopen, f"{api.url}/compressed").read() for _ in range(2)]
    assert [gzip.decompress(body) for body in opened] == [b"plain text"] * 2
    assert cache.get_stats()["cache_hits"] == 2
