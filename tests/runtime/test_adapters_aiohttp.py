"""What the adapter of aiohttp refuses, keeps and revalidates beyond the shared suite."""

import asyncio
import gzip
import http.cookies
import io
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.errors import UnidentifiableError


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def bypassed(cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture) -> str:
    """What was said of the calls that went through; nothing of any was kept."""
    stats = cache.get_stats()
    assert stats["stored"] == stats["cache_hits"] == 0
    assert stats["bypassed"] > 0
    return caplog.text


class OwnConnector(aiohttp.TCPConnector):
    pass


class OwnResponse(aiohttp.ClientResponse):
    pass


class OwnResolver(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        raise OSError("not here")

    async def close(self) -> None:
        pass


async def passing(request: Any, handler: Any) -> Any:
    return await handler(request)


async def checked(response: Any) -> None:
    pass


UNFORESEEABLE: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a middleware": (lambda: {"middlewares": [passing]}, "middlewares"),
    "a trace": (lambda: {"trace_configs": [aiohttp.TraceConfig()]}, "trace configs"),
    "the environment": (lambda: {"trust_env": True}, "trust_env"),
    "a check of its own": (lambda: {"raise_for_status": checked}, "raise_for_status is a function"),
    "a response class": (lambda: {"response_class": OwnResponse}, "response_class of its own"),
    "a connector class": (lambda: {"connector": OwnConnector()}, "OwnConnector"),
    "an address": (lambda: {"connector": aiohttp.TCPConnector(local_addr=("127.0.0.1", 0))}, "speaks from an address"),
}


@pytest.mark.parametrize("what", UNFORESEEABLE)
def test_sessions_whose_answers_cannot_be_foreseen_go_through(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    settings, reason = UNFORESEEABLE[what]

    async def calls() -> None:
        async with aiohttp.ClientSession(**settings()) as session:
            for _ in range(2):
                async with await cache.cached_api_call(session.get, f"{api.url}/x") as response:
                    assert (await response.json())["count"] == len(api.seen)

    runner.run(calls())
    assert len(api.seen) == 2
    assert reason in bypassed(cache, caplog)


def test_a_session_that_looks_names_up_its_own_way_goes_through(
    cache: UnifiedAPICache, runner: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=OwnResolver())) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await cache.cached_api_call(session.get, "http://nowhere.test/x")

    runner.run(call())
    assert "OwnResolver" in bypassed(cache, caplog)


def test_a_replaced_request_method_goes_through(
    cache: UnifiedAPICache, runner: asyncio.Runner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def invented(self: Any, method: str, url: str, **kwargs: Any) -> str:
        return "from anywhere"

    async def call() -> None:
        async with aiohttp.ClientSession() as session:
            assert await cache.cached_api_call(session.get, "http://nowhere.test/x") == "from anywhere"

    monkeypatch.setattr(aiohttp.ClientSession, "_request", invented)
    runner.run(call())
    assert "not the library's own" in bypassed(cache, caplog)


@pytest.mark.parametrize(
    "case",
    [
        ({"data": io.BytesIO(b"content")}, "read only once"),
        ({"data": aiohttp.FormData({"a": "1"})}, "FormData"),
        ({"data": {"f": io.BytesIO(b"content")}}, "read only once"),
        ({"ssl": aiohttp.Fingerprint(b"0" * 32)}, "option ssl"),
        ({"raise_for_status": checked}, "option raise_for_status"),
        ({"headers": {"If-None-Match": '"a"'}}, "conditional"),
    ],
)
def test_calls_that_cannot_be_compared_go_through(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner, caplog: pytest.LogCaptureFixture, case: Any
) -> None:
    given, reason = case

    async def call() -> None:
        async with (
            aiohttp.ClientSession() as session,
            await cache.cached_api_call(session.post, f"{api.url}/x", **given) as response,
        ):
            assert response.status == 200

    runner.run(call())
    assert reason in bypassed(cache, caplog)


def test_the_modules_own_function_is_refused_with_what_to_use() -> None:
    from apicache.adapters import aiohttp as adapter

    with pytest.raises(UnidentifiableError, match="call a ClientSession's method"):
        adapter.identify(aiohttp.request, ("GET", "http://localhost/"), {})


def test_a_closed_session_raises_as_it_would_without_a_cache(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner
) -> None:
    async def calls() -> None:
        async with aiohttp.ClientSession() as session:
            await cache.cached_api_call(session.get, f"{api.url}/x")
        with pytest.raises(RuntimeError, match="closed"):
            await cache.cached_api_call(session.get, f"{api.url}/x")

    runner.run(calls())


def test_every_answer_can_be_read_as_a_whole_and_in_pieces_and_the_connection_is_free(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner
) -> None:
    async def calls() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            for _ in range(3):
                response = await cache.cached_api_call(session.get, f"{api.url}/x")
                assert await response.text() == await response.text()
                assert b"".join([piece async for piece in response.content.iter_chunked(7)]) == await response.read()
                await (await cache.cached_api_call(session.get, f"{api.url}/other", params={"n": "1"})).read()

    runner.run(calls())
    assert [seen.path for seen in api.seen] == ["/x", "/other?n=1"]


def test_answers_are_shared_by_sessions_in_different_event_loops(cache: UnifiedAPICache, api: Any) -> None:
    async def call() -> Any:
        async with aiohttp.ClientSession() as session:
            return await (await cache.cached_api_call(session.get, f"{api.url}/x")).json()

    assert asyncio.run(call()) == asyncio.run(call())
    assert len(api.seen) == 1


def test_cookies_that_only_a_redirect_would_send_tell_users_apart(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner
) -> None:
    async def call(who: str) -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie({"sid": who, "__cf_bm": str(len(api.seen))})
        for cookie in cookies.values():
            cookie["path"] = "/landed"
        jar.update_cookies(cookies, URL(api.url))
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            await cache.cached_api_call(session.get, f"{api.url}/redirect")

    for who in ("alice", "bob", "alice", "bob"):
        runner.run(call(who))
    sent = [seen.headers.get("cookie") or "" for seen in api.seen]
    assert [("alice" in cookies, "bob" in cookies) for cookies in sent] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_what_is_sent_otherwise_than_identified_is_not_kept(
    cache: UnifiedAPICache, api: Any, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def calls() -> None:
        async with aiohttp.ClientSession() as session:
            from apicache.adapters import aiohttp as adapter

            identified = adapter.identify(session.get, (f"{api.url}/x",), {})
            assert identified is not None
            session.headers["X-Tenant"] = "another"  # as another task may, before the load runs
            response = await identified.send()
            with pytest.raises(Exception, match="has not been read"):
                adapter.snapshot(response)
            assert (await response.json())["count"] == 1

    runner.run(calls())
    assert api.seen[0].headers["x-tenant"] == "another"


def test_a_payload_that_changes_while_the_call_runs_is_sent_as_it_was_identified(
    api: Any, runner: asyncio.Runner
) -> None:
    from apicache.adapters import aiohttp as adapter

    async def call() -> None:
        async with aiohttp.ClientSession() as session:
            payload, form = {"a": [1]}, {"b": "1"}
            loads = [
                adapter.identify(session.post, (f"{api.url}/x",), {"json": payload}),
                adapter.identify(session.post, (f"{api.url}/x",), {"data": form}),
            ]
            payload["a"].append(2)
            form["b"] = "2"
            for load in loads:
                assert load is not None
                await load.send()

    runner.run(call())
    assert [seen.body for seen in api.seen] == [b'{"a": [1]}', b"b=1"]
    assert api.seen[0].headers["content-type"] == "application/json"


def test_what_is_stored_is_asked_about_when_its_time_is_over(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, runner: asyncio.Runner
) -> None:
    async def call() -> Any:
        async with aiohttp.ClientSession() as session:
            url = f"{api.url}/x?header=ETag:%22v1%22&header=Cache-Control:max-age%3D60"
            return await (await cache.cached_api_call(session.get, url)).read()

    first = runner.run(call())
    clock.advance(61)
    assert [runner.run(call()) for _ in range(2)] == [first, first]
    assert [seen.headers.get("if-none-match") for seen in api.seen] == [None, '"v1"']


def test_a_compressed_answer_is_replayed_decoded(cache: UnifiedAPICache, api: Any, runner: asyncio.Runner) -> None:
    def compress(request: Any) -> None:
        content = gzip.compress(b"plain text")
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    async def call() -> Any:
        async with aiohttp.ClientSession() as session:
            response = await cache.cached_api_call(session.get, f"{api.url}/compressed")
            return await response.read(), response.headers["content-encoding"]

    api.answer = compress
    assert [runner.run(call()) for _ in range(2)] == [(b"plain text", "gzip")] * 2
    assert cache.get_stats()["cache_hits"] == 1
