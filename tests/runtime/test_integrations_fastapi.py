"""The FastAPI integration: the router, the application's own dependencies, warming through the lifespan."""

import contextlib
import subprocess
import sys
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.testclient import TestClient

from apicache import InputError, UnifiedAPICache
from apicache.integrations.fastapi import cache_router, warming
from apicache.web.token import VARIABLE

PATHS = ("/cache", "/cache/stats", "/metrics")


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def used(cache: UnifiedAPICache) -> UnifiedAPICache:
    calls = cache.using(operation="doubling", ttl=60, cost=0.5)
    for _ in range(4):
        calls.cached_api_call_sync(lambda number: 2 * number, 4)
    return cache


def test_stats_page_and_metrics_are_routes(used: UnifiedAPICache) -> None:
    app = FastAPI()
    app.include_router(cache_router(used))
    client = TestClient(app)
    told = client.get("/cache/stats").json()
    assert (told["cache_hits"], told["hit_rate"], told["api_calls_saved"]) == (3, 0.75, 3)
    assert told["estimated_cost_saved"] == 1.5
    assert "sha256-" in client.get("/cache").headers["content-security-policy"]
    assert 'apicache_hits_total{operation="doubling"} 3.0' in client.get("/metrics").text
    assert client.head("/cache/stats").status_code == 200
    assert client.post("/cache/stats").status_code == 405


def test_nothing_is_mounted_unless_the_application_asks() -> None:
    client = TestClient(FastAPI())
    assert {client.get(path).status_code for path in PATHS} == {404}


def test_a_prefix_goes_before_all_paths(used: UnifiedAPICache) -> None:
    app = FastAPI()
    app.include_router(cache_router(used), prefix="/internal")
    client = TestClient(app)
    assert {client.get(f"/internal{path}").status_code for path in PATHS} == {200}
    assert {client.get(path).status_code for path in PATHS} == {404}


def test_a_token_guards_stats_and_metrics(used: UnifiedAPICache) -> None:
    app = FastAPI()
    app.include_router(cache_router(used, token="s3cret"))
    client = TestClient(app)
    assert [client.get(path).status_code for path in PATHS] == [200, 401, 401]
    headers = {"Authorization": "Bearer s3cret"}
    assert [client.get(path, headers=headers).status_code for path in PATHS] == [200, 200, 200]


def test_the_applications_own_dependencies_guard_all_paths(used: UnifiedAPICache) -> None:
    def allow(x_user: Annotated[str, Header()] = "") -> None:
        if x_user != "root":
            raise HTTPException(403)

    app = FastAPI()
    app.include_router(cache_router(used), dependencies=[Depends(allow)])
    client = TestClient(app)
    assert {client.get(path).status_code for path in PATHS} == {403}
    assert {client.get(path, headers={"X-User": "root"}).status_code for path in PATHS} == {200}


def test_a_route_of_the_applications_goes_first(used: UnifiedAPICache) -> None:
    app = FastAPI()

    @app.get("/metrics")
    def metrics() -> str:
        return "its own"

    app.include_router(cache_router(used))
    assert TestClient(app).get("/metrics").json() == "its own"


def test_the_applications_schema_is_untouched(used: UnifiedAPICache) -> None:
    app = FastAPI()
    app.include_router(cache_router(used))
    assert app.openapi()["paths"] == {}


def test_what_is_no_path_is_refused(used: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="write one as '/cache'"):
        cache_router(used, path="cache/")


def test_it_warms_within_the_applications_own_lifespan(cache: UnifiedAPICache) -> None:
    order = []

    @cache.operation("square", ttl=60)
    def square(n: int) -> int:
        order.append("load")
        return n * n

    @contextlib.asynccontextmanager
    async def own(_: FastAPI) -> Any:
        order.append("start")
        yield {"pool": "open"}
        order.append("stop")

    entries = [{"operation": "square", "n": 3}]
    app = FastAPI(lifespan=warming(entries, cache=cache, lifespan=own, when="before-serving"))
    app.include_router(cache_router(cache))

    @app.get("/pool")
    def pool(request: Request) -> str:
        return str(request.state.pool)

    with TestClient(app) as client:
        assert client.get("/cache/stats").json()["cache_misses"] == 1
        assert client.get("/pool").json() == "open"
    assert order == ["start", "load", "stop"]


def test_a_failed_warming_does_not_stop_the_start(cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI(lifespan=warming([{"operation": "no such"}], cache=cache))
    app.include_router(cache_router(cache))
    with TestClient(app) as client:
        assert client.get("/cache/stats").status_code == 200
    assert "the cache was not warmed" in caplog.text


def test_without_fastapi_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['fastapi'] = None; import apicache.integrations.fastapi"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "pip install 'apicache-toolkit[fastapi]'" in ended.stderr
