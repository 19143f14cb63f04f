"""Warming through an application's lifespan, with Starlette's."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from apicache import InputError, UnifiedAPICache
from apicache.integrations.starlette import warming


@pytest.fixture
def squares(cache: UnifiedAPICache) -> UnifiedAPICache:
    @cache.operation("square", ttl=60)
    async def square(n: int) -> int:
        if n < 0:
            raise ValueError("https://api.example.com/?key=planted-secret")
        return n * n

    return cache


ENTRIES = [{"operation": "square", "n": n} for n in (2, 3)]


async def answer_square(request: Request) -> JSONResponse:
    stats = request.app.state.cache.get_stats()
    return JSONResponse({"misses": stats["cache_misses"], "state": getattr(request.state, "pool", None)})


def app_with(cache: UnifiedAPICache, lifespan: Any) -> Starlette:
    app = Starlette(routes=[Route("/", answer_square)], lifespan=lifespan)
    app.state.cache = cache
    return app


def test_before_serving_entries_are_there_with_the_first_request(squares: UnifiedAPICache) -> None:
    with TestClient(app_with(squares, warming(ENTRIES, cache=squares, when="before-serving"))) as client:
        assert client.get("/").json()["misses"] == 2
        assert squares.cached_api_call_sync(operation="square", n=3) == 9
    assert squares.get_stats()["cache_misses"] == 2


def test_in_the_background_the_application_serves_meanwhile(cache: UnifiedAPICache) -> None:
    begun, gate = [], asyncio.Event()

    @cache.operation("square", ttl=60)
    async def square(n: int) -> int:
        begun.append(n)
        await gate.wait()
        return n * n

    async def open_gate(_: Request) -> JSONResponse:
        gate.set()
        return JSONResponse(begun)

    async def wait(_: Request) -> JSONResponse:
        while cache.get_stats()["cache_misses"] < 2:
            await asyncio.sleep(0.001)
        return JSONResponse("warm")

    routes = [Route("/open", open_gate), Route("/wait", wait)]
    with TestClient(Starlette(routes=routes, lifespan=warming(ENTRIES, cache=cache))) as client:
        client.get("/open")
        assert client.get("/wait").json() == "warm"
    assert sorted(begun) == [2, 3]


def test_it_ends_with_the_application_and_its_loads_with_it(cache: UnifiedAPICache) -> None:
    begun, ended = [], []

    @cache.operation("square", ttl=60)
    async def square(n: int) -> int:
        begun.append(n)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(n)
        return n

    async def until_begun(_: Request) -> JSONResponse:
        while len(begun) < len(ENTRIES):
            await asyncio.sleep(0.001)
        return JSONResponse(None)

    app = Starlette(routes=[Route("/", until_begun)], lifespan=warming(ENTRIES, cache=cache))
    with TestClient(app) as client:
        client.get("/")
        assert ended == []
    assert sorted(ended) == [2, 3]


def test_the_applications_own_lifespan_lies_around_it(cache: UnifiedAPICache) -> None:
    order = []

    @cache.operation("square", ttl=60)
    async def square(n: int) -> int:
        order.append(f"load {n}")
        return n * n

    @contextlib.asynccontextmanager
    async def own(app: Starlette) -> Any:
        order.append(f"start {app.state.cache is cache}")
        yield {"pool": "open"}
        order.append("stop")

    composed = warming(ENTRIES[:1], cache=cache, lifespan=own, when="before-serving")
    with TestClient(app_with(cache, composed)) as client:
        assert client.get("/").json()["state"] == "open"
    assert order == ["start True", "load 2", "stop"]


def test_an_application_that_does_not_start_is_not_warmed(squares: UnifiedAPICache) -> None:
    @contextlib.asynccontextmanager
    async def own(_: Starlette) -> Any:
        raise RuntimeError("no database")
        yield

    lifespan = warming(ENTRIES, cache=squares, lifespan=own, when="before-serving")
    with pytest.raises(RuntimeError, match="no database"), TestClient(app_with(squares, lifespan)):
        pass
    assert squares.get_stats()["cache_misses"] == 0


@pytest.mark.parametrize("kind", ["function", "async function", "iterator"])
def test_entries_may_come_from_a_function(squares: UnifiedAPICache, kind: str) -> None:
    async def later() -> Any:
        return iter(ENTRIES)

    given = {"function": lambda: list(ENTRIES), "async function": later, "iterator": iter(ENTRIES)}[kind]
    lifespan = warming(given, cache=squares, when="before-serving")
    for _ in range(2):  # an application may start again
        with TestClient(app_with(squares, lifespan)) as client:
            assert client.get("/").json()["misses"] == 2


def test_failures_are_logged_by_their_kind_and_do_not_stop_the_start(
    squares: UnifiedAPICache, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [*ENTRIES, {"operation": "square", "n": -1}]
    with (
        caplog.at_level(logging.INFO, "apicache"),
        TestClient(app_with(squares, warming(entries, cache=squares, when="before-serving"))) as client,
    ):
        assert client.get("/").status_code == 200
    assert "2 entries loaded, 0 were fresh, 1 failed: 2 (square: ValueError)" in caplog.text
    assert "entry 2 (square) failed: ValueError: https://api.example.com/?key=REDACTED" in caplog.messages
    assert "planted-secret" not in caplog.text


def test_entries_that_cannot_be_called_are_told_and_the_others_warmed(
    squares: UnifiedAPICache, caplog: pytest.LogCaptureFixture
) -> None:
    entries: list[Any] = [{"operation": "sqaure", "n": 1}, ENTRIES[0], {"operation": "square", "m": 1}, "square"]
    with TestClient(app_with(squares, warming(entries, cache=squares, when="before-serving"))) as client:
        assert client.get("/").json()["misses"] == 1
    assert "warmed in part: 1 entries loaded, 0 were fresh, 3 failed" in caplog.text
    told = [message for message in caplog.messages if message.startswith("entry ")]
    assert "unknown operation 'sqaure'; did you mean 'square'?" in told[0]
    assert told[1].startswith("entry 2 (square) failed: InputError: ")
    assert "entry 3 is a str; write {'operation': ..., ...}" in told[2]


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        ([{"operation": "sqaure", "n": 1}], "square"),
        ([{"n": 1}], "entry 0 names no operation"),
        ([{"operation": "square", "m": 1}], "entry 0"),
        (lambda: "scenarios.yaml", "takes entries"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_entries_that_cannot_be_called_are_logged_and_do_not_stop_the_start(
    squares: UnifiedAPICache, caplog: pytest.LogCaptureFixture, given: Any, logged: str
) -> None:
    with TestClient(app_with(squares, warming(given, cache=squares, when="before-serving"))) as client:
        assert client.get("/").status_code == 200
    assert "the cache was not warmed" in caplog.text
    assert logged in caplog.text


@pytest.mark.parametrize("given", ["scenarios.yaml", Path("scenarios.yaml")])
def test_a_path_is_refused_at_once_with_what_reads_it(given: Any) -> None:
    with pytest.raises(InputError, match="load_scenarios"):
        warming(given)


@pytest.mark.parametrize("given", [None, 3, {"operation": "square"}])
def test_what_holds_no_entries_is_refused_at_once(given: Any) -> None:
    with pytest.raises(InputError, match="takes entries"):
        warming(given)


def test_an_unknown_time_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="did you mean 'background'"):
        warming(ENTRIES, when="backgroud")  # type: ignore[arg-type]


def test_what_was_warmed_is_on_disk_when_the_application_has_stopped(tmp_path: Path) -> None:
    def squaring() -> UnifiedAPICache:
        cache = UnifiedAPICache.create(directory=tmp_path)
        cache.operation("square", ttl=60)(lambda n: n * n)
        return cache

    first, second = squaring(), squaring()
    with TestClient(app_with(first, warming(ENTRIES, cache=first, when="before-serving"))):
        pass
    assert second.cached_api_call_sync(operation="square", n=3) == 9
    assert second.get_stats()["tier_hits"] == {"disk": 1}
    second.close()
