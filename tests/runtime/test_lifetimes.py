"""How long results are kept: jitter, negative answers, a ttl that follows from the result, HTTP's own words."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry

TTL = 100.0


class Upstream:
    """An operation `get` that counts its calls and gives what `result` says of their number."""

    def __init__(self, cache: UnifiedAPICache, result: Callable[[int], Any], **policy: Any) -> None:
        self.calls = 0
        self.result = result
        cache.operation("get", **{"ttl": TTL, **policy})(self.get)

    def get(self) -> Any:
        self.calls += 1
        return self.result(self.calls)


def header(*lines: str) -> dict[str, Any]:
    return {"params": [("header", line) for line in lines]}


def stored(cache: UnifiedAPICache, key: str) -> Entry:
    found = cache._engine.tiers.get_near(bytes.fromhex(key), None)
    assert found is not None
    return found.entry


@settings(max_examples=50, deadline=None, derandomize=True)
@given(jitter=st.floats(0, 1), draws=st.integers(1, 10))
def test_jitter_shortens_a_life_within_its_bounds(jitter: float, draws: int) -> None:
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)

    @cache.operation("get", ttl=TTL, jitter=jitter)
    def get(n: int) -> int:
        return n

    for n in range(draws):
        cache.cached_api_call_sync(operation="get", n=n)
        life = stored(cache, cache.key_of(operation="get", n=n)).fresh_until - clock.now()
        assert TTL * (1 - jitter) - 0.2 <= life <= TTL  # memory keeps times shorter by a thousandth


def test_jitter_spreads_lives(cache: UnifiedAPICache) -> None:
    @cache.operation("get", ttl=TTL, jitter=0.5)
    def get(n: int) -> int:
        return n

    lives = set()
    for n in range(20):
        cache.cached_api_call_sync(operation="get", n=n)
        lives.add(stored(cache, cache.key_of(operation="get", n=n)).fresh_until)
    assert len(lives) > 10


def test_none_is_kept_for_the_negative_ttl(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    upstream = Upstream(cache, lambda _: None, negative_ttl=5)
    call(cache, operation="get")
    call(cache, operation="get")
    assert upstream.calls == 1
    clock.advance(5)
    call(cache, operation="get")
    assert upstream.calls == 2


def test_without_a_negative_ttl_none_is_a_result_like_any_other(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    upstream = Upstream(cache, lambda _: None)
    call(cache, operation="get")
    clock.advance(TTL - 1)
    assert call(cache, operation="get") is None
    assert upstream.calls == 1


@pytest.mark.parametrize(("status", "kept"), [(404, True), (410, True), (403, False), (500, False)])
def test_a_missing_page_is_kept_for_the_negative_ttl(
    clock: ManualClock, api: Any, call: Any, status: int, kept: bool
) -> None:
    cache = UnifiedAPICache.create(clock=clock)
    view = cache.using(ttl=TTL, negative_ttl=5)
    for _ in range(2):
        assert call(view, httpx.get, f"{api.url}/status/{status}").status_code == status
    assert len(api.seen) == (1 if kept else 2)
    clock.advance(5)
    call(view, httpx.get, f"{api.url}/status/{status}")
    assert len(api.seen) == (2 if kept else 3)


def test_without_a_negative_ttl_a_missing_page_is_not_kept(cache: UnifiedAPICache, api: Any, call: Any) -> None:
    for _ in range(2):
        call(cache, requests.get, f"{api.url}/status/404", timeout=5)
    assert len(api.seen) == 2


def test_a_ttl_may_follow_from_the_result(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    upstream = Upstream(cache, lambda n: n, ttl=lambda result: "10s" if result == 1 else 1000)
    call(cache, operation="get")
    clock.advance(10)
    assert call(cache, operation="get") == 2
    clock.advance(999)
    assert call(cache, operation="get") == 2
    assert upstream.calls == 2


def raising(_: Any) -> float:
    raise KeyError("absent")


@pytest.mark.parametrize("ttl", [raising, lambda _: -1, lambda _: "soon", lambda _: None, lambda _: 0])
def test_a_ttl_function_that_gives_no_ttl_keeps_nothing(
    cache: UnifiedAPICache, clock: ManualClock, call: Any, ttl: Any
) -> None:
    upstream = Upstream(cache, lambda n: n, ttl=ttl, grace=1000)
    assert [call(cache, operation="get"), call(cache, operation="get")] == [1, 2]
    assert upstream.calls == 2
    assert cache.get_stats()["not_stored"] == 2


# What HTTP says.


@contextlib.contextmanager
def getter(library: Any) -> Iterator[Any]:
    with requests.Session() if library is requests else httpx.Client() as session:
        yield session.get


@pytest.mark.parametrize("library", [httpx, requests])
@pytest.mark.parametrize("how", [{}, {"ttl": 0}])
def test_a_page_that_has_not_changed_is_not_sent_again(
    clock: ManualClock, versioned: Any, call: Any, library: Any, how: dict[str, Any]
) -> None:
    cache = UnifiedAPICache.create(clock=clock)
    view = cache.using(**{"ttl": TTL, **how})
    with getter(library) as get:
        first = call(view, get, versioned.url)
        clock.advance(how.get("ttl", TTL))
        again = call(view, get, versioned.url)
        assert (again.status_code, again.content) == (200, first.content)
        assert [conditional for _, conditional in versioned.seen] == [None, '"v1"']
        assert cache.get_stats()["revalidated"] == 1
        if not how:
            call(view, get, versioned.url)
            assert len(versioned.seen) == 2
        versioned.version = "v2"
        clock.advance(TTL)
        assert call(view, get, versioned.url).content == b"v2"


@pytest.mark.parametrize("library", [httpx, requests])
def test_a_private_page_is_kept_only_for_somebody(cache: UnifiedAPICache, api: Any, call: Any, library: Any) -> None:
    with getter(library) as get:
        private = header("Cache-Control:private, max-age=60")
        for _ in range(2):
            call(cache, get, api.url, **private)
        assert len(api.seen) == 2
        for _ in range(2):
            call(cache, get, api.url, headers={"Authorization": "Bearer x"}, **private)
        assert len(api.seen) == 3
        for _ in range(2):
            call(cache.using(scope="tenant"), get, api.url, **private)
        assert len(api.seen) == 4


@pytest.mark.parametrize("word", ["no-store", "no-cache", "max-age=0"])
def test_an_override_stores_what_the_response_forbids(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any, word: str
) -> None:
    forbidden = header(f"Cache-Control:{word}")
    for _ in range(2):
        call(cache, httpx.get, api.url, **forbidden)
    assert len(api.seen) == 2
    view = cache.using(http="override", ttl=TTL)
    for _ in range(2):
        call(view, httpx.get, api.url, **forbidden)
    assert len(api.seen) == 3
    clock.advance(TTL)
    call(view, httpx.get, api.url, **forbidden)
    assert len(api.seen) == 4


def test_a_responses_own_lifetime_shortens_and_never_lengthens(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any
) -> None:
    view = cache.using(ttl=TTL)
    for seconds, kept in ((10, 10.0), (10_000, TTL)):
        before = len(api.seen)
        told = header(f"Cache-Control:max-age={seconds}")
        call(view, httpx.get, api.url, **told)
        clock.advance(kept - 1)
        call(view, httpx.get, api.url, **told)
        assert len(api.seen) == before + 1
        clock.advance(1)
        call(view, httpx.get, api.url, **told)
        assert len(api.seen) == before + 2


class Versioned:
    """Answers with `version` as body and ETag, or with 304."""

    def __init__(self) -> None:
        self.version = "v1"
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                asked, tag = self.headers.get("If-None-Match"), f'"{outer.version}"'
                outer.seen.append((self.path, asked))
                self.send_response(304 if asked == tag else 200)
                self.send_header("ETag", tag)
                self.end_headers()
                if asked != tag:
                    self.wfile.write(outer.version.encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def versioned() -> Iterator[Versioned]:
    upstream = Versioned()
    thread = threading.Thread(target=upstream.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield upstream
    upstream.server.shutdown()
    upstream.server.server_close()
    thread.join()


@pytest.mark.parametrize(("given", "expected"), [(0.25, 0.25), (-1, 0.0), (float("nan"), 0.0), ("dear", 0.0)])
def test_a_cost_may_come_from_the_result(cache: UnifiedAPICache, call: Any, given: object, expected: float) -> None:
    @cache.operation("priced", cost=lambda result: result["cost"])
    def priced() -> dict[str, Any]:
        return {"cost": given}

    for _ in range(3):
        call(cache, operation="priced")
    stats = cache.get_stats()
    assert stats["cost_saved"] == 2 * expected
    assert stats["operations"]["priced"]["cost_spent"] == expected


def test_who_joins_a_load_saves_what_its_result_cost(cache: UnifiedAPICache) -> None:
    @cache.operation("priced", cost=lambda result: result / 4)
    async def priced() -> int:
        await asyncio.sleep(0.01)
        return 2

    async def run() -> None:
        await asyncio.gather(*(cache.cached_api_call(operation="priced") for _ in range(3)))

    asyncio.run(run())
    stats = cache.get_stats()
    assert (stats["coalesced"], stats["cost_saved"]) == (2, 1.0)
    assert stats["operations"]["priced"]["cost_spent"] == 0.5


def test_a_cost_that_cannot_be_told_fails_no_call(cache: UnifiedAPICache, call: Any) -> None:
    @cache.operation("priced", cost=lambda result: result["nothing"])
    def priced() -> dict[str, Any]:
        return {}

    assert call(cache, operation="priced") == call(cache, operation="priced") == {}
    assert cache.get_stats()["cost_saved"] == 0.0
