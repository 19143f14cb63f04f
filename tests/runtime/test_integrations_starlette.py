"""The Starlette integration: routes, the token, metrics, a real server. Warming is in `test_web_warming`."""

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from apicache import InputError, UnifiedAPICache
from apicache.integrations.starlette import cache_app, cache_routes, warming
from apicache.web.stats import stats_document
from apicache.web.token import VARIABLE

_spec = importlib.util.spec_from_file_location("asgi_server", Path(__file__).with_name("asgi_server.py"))
asgi_server: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(asgi_server)

TOKEN = "s3cret-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def use(cache: UnifiedAPICache, operation: str = "doubling", hits: int = 3, cost: float = 0.5) -> None:
    """One miss, then hits."""
    calls = cache.using(operation=operation, ttl=60, cost=cost)
    for _ in range(hits + 1):
        calls.cached_api_call_sync(lambda number: 2 * number, 4)


def client_of(cache: UnifiedAPICache, **options: Any) -> TestClient:
    app = Starlette()
    app.router.routes.extend(cache_routes(cache, **options))
    return TestClient(app)


def test_stats_have_the_source_documents_fields_beside_the_caches_own(cache: UnifiedAPICache) -> None:
    use(cache)
    answer = client_of(cache).get("/cache/stats")
    told, known = answer.json(), cache.get_stats()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (told["cache_hits"], told["cache_misses"], told["hit_rate"]) == (3, 1, 0.75)
    assert (told["api_calls_saved"], told["estimated_cost_saved"]) == (3, 1.5)
    assert told["target_hit_rate"] == 0.7
    assert known.keys() <= told.keys()
    assert {name: told[name] for name in known if name not in {"operations", "windows"}} == {
        name: value for name, value in known.items() if name not in {"operations", "windows"}
    }
    for counts in (
        told["operations"]["doubling"],
        told["windows"]["1m"],
        told["operations"]["doubling"]["windows"]["1h"],
    ):
        assert (counts["api_calls_saved"], counts["estimated_cost_saved"]) == (3, 1.5)


def test_calls_that_joined_a_load_are_saved_too() -> None:
    stats = {"cache_hits": 3, "coalesced": 2, "operations": {"a": {"cache_hits": 3, "coalesced": 2, "cost_saved": 1.0}}}
    told = stats_document(stats)
    assert (told["api_calls_saved"], told["estimated_cost_saved"]) == (5, 1.0)


def test_an_average_cost_stands_in_for_operations_that_tell_none(cache: UnifiedAPICache) -> None:
    use(cache, "priced", cost=0.5)
    use(cache, "unpriced", hits=5, cost=0.0)
    told = client_of(cache, cost_per_call=0.002).get("/cache/stats").json()
    assert told["operations"]["priced"]["estimated_cost_saved"] == 1.5
    assert told["operations"]["unpriced"]["estimated_cost_saved"] == pytest.approx(0.01)
    assert told["estimated_cost_saved"] == told["windows"]["1m"]["estimated_cost_saved"] == pytest.approx(1.51)
    assert told["cost_saved"] == 1.5


def test_an_unused_cache_has_stats_too(cache: UnifiedAPICache) -> None:
    told = client_of(cache).get("/cache/stats").json()
    assert (told["hit_rate"], told["api_calls_saved"], told["estimated_cost_saved"]) == (0.0, 0, 0)


def test_nothing_is_mounted_unless_the_application_asks(cache: UnifiedAPICache) -> None:
    client = TestClient(Starlette())
    assert {client.get(path).status_code for path in ("/cache", "/cache/stats", "/metrics")} == {404}


def test_an_application_can_be_mounted(cache: UnifiedAPICache) -> None:
    use(cache)
    app = Starlette()
    app.mount("/internal/cache", cache_app(cache))
    client = TestClient(app)
    assert client.get("/internal/cache").url.path == "/internal/cache/"
    assert client.get("/internal/cache/").headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/internal/cache/stats").json()["cache_hits"] == 3
    assert "apicache_hits_total" in client.get("/internal/cache/metrics").text


def test_paths_are_the_applications_choice(cache: UnifiedAPICache) -> None:
    client = client_of(cache, path="/ops/saved", metrics=None)
    assert client.get("/ops/saved").status_code == client.get("/ops/saved/stats").status_code == 200
    assert client.get("/metrics").status_code == client.get("/cache").status_code == 404


@pytest.mark.parametrize("options", [{"path": "cache"}, {"path": "/cache/"}, {"path": ""}, {"metrics": "metrics"}])
def test_what_is_no_path_is_refused_with_the_one_to_write(cache: UnifiedAPICache, options: dict[str, str]) -> None:
    with pytest.raises(InputError, match="is no path; write one as '/"):
        cache_routes(cache, **options)


def test_metrics_in_the_dashboards_place_are_refused(cache: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="is where the dashboard is"):
        cache_routes(cache, metrics="/cache/stats")


def test_pages_are_read_and_not_written(cache: UnifiedAPICache) -> None:
    client = client_of(cache)
    assert client.head("/cache/stats").status_code == 200
    assert client.post("/cache/stats").status_code == 405


def test_the_page_may_run_its_own_script_and_style_and_nothing_else(cache: UnifiedAPICache) -> None:
    page = client_of(cache).get("/cache")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"].startswith("'sha256-")
    assert policy["style-src"].startswith("'sha256-")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "http-equiv" not in page.text
    without_icon = page.text.replace("http://www.w3.org/2000/svg", "").replace("xmlns='", "")
    assert "http:" not in without_icon
    assert "https:" not in without_icon
    assert " on" + "click=" not in page.text
    assert "innerHTML" not in page.text


class TestToken:
    @pytest.mark.parametrize("path", ["/cache/stats", "/metrics"])
    @pytest.mark.parametrize(
        "given", [None, "", "Bearer", "Bearer ", "Bearer s3cret-tokeN", "Bearer s3cret-token2", f"Basic {TOKEN}", TOKEN]
    )
    def test_nobody_reads_without_it(self, cache: UnifiedAPICache, path: str, given: str | None) -> None:
        use(cache)
        headers = {} if given is None else {"Authorization": given}
        answer = client_of(cache, token=TOKEN).get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "doubling" not in answer.text
        assert TOKEN not in answer.text

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_with_it_all_is_read(self, cache: UnifiedAPICache, scheme: str) -> None:
        use(cache)
        client = client_of(cache, token=TOKEN)
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert client.get("/cache/stats", headers=headers).json()["cache_hits"] == 3
        assert client.get("/metrics", headers=headers).status_code == 200

    def test_the_page_asks_for_it_and_holds_no_figures(self, cache: UnifiedAPICache) -> None:
        use(cache)
        guarded = client_of(cache, token=TOKEN).get("/cache")
        assert guarded.status_code == 200
        assert 'data-token="required"' in guarded.text
        assert "doubling" not in guarded.text
        assert TOKEN not in guarded.text
        assert 'data-token="none"' in client_of(cache).get("/cache").text

    def test_a_token_in_the_url_counts_for_nothing(self, cache: UnifiedAPICache) -> None:
        client = client_of(cache, token=TOKEN)
        assert client.get(f"/cache/stats?token={TOKEN}&access_token={TOKEN}").status_code == 401

    def test_the_variable_sets_it_and_the_argument_goes_first(
        self, cache: UnifiedAPICache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, TOKEN)
        assert client_of(cache).get("/cache/stats").status_code == 401
        assert client_of(cache).get("/cache/stats", headers=BEARER).status_code == 200
        assert client_of(cache, token="other").get("/cache/stats", headers=BEARER).status_code == 401

    def test_an_empty_variable_does_not_open_the_page(
        self, cache: UnifiedAPICache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, "")
        with pytest.raises(InputError, match=f"{VARIABLE} is empty"):
            cache_routes(cache)

    @pytest.mark.parametrize("given", ["two words", "schlüssel", "line\nbreak", " x"])
    def test_one_that_no_header_carries_is_refused_and_not_repeated(self, cache: UnifiedAPICache, given: str) -> None:
        with pytest.raises(InputError) as refused:
            cache_routes(cache, token=given)
        assert given not in str(refused.value)

    def test_it_is_never_logged_and_no_object_shows_it(
        self, cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture
    ) -> None:
        from apicache.web.pages import CachePages

        with caplog.at_level(logging.DEBUG):
            client = client_of(cache, token=TOKEN)
            client.get("/cache/stats", headers=BEARER)
            client.get("/cache/stats", headers={"Authorization": f"Bearer {TOKEN}x"})
        assert TOKEN not in caplog.text
        pages = CachePages(cache, token=TOKEN)
        assert TOKEN not in repr(vars(pages)) + repr(vars(pages._token))


def test_metrics_come_in_the_format_that_is_asked_for(cache: UnifiedAPICache) -> None:
    use(cache)
    client = client_of(cache)
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'apicache_hits_total{operation="doubling"} 3.0' in plain.text
    asked = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


WITHOUT_PROMETHEUS = """
import sys
sys.modules["prometheus_client"] = None
from starlette.applications import Starlette
from starlette.testclient import TestClient
from apicache import UnifiedAPICache
from apicache.integrations.starlette import cache_routes
client = TestClient(Starlette(routes=cache_routes(UnifiedAPICache.create(), token="t")))
headers = {"Authorization": "Bearer t"}
answer = client.get("/metrics", headers=headers)
print(client.get("/metrics").status_code, client.get("/cache/stats", headers=headers).status_code, answer.status_code)
print(answer.text)
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_prometheus_client_metrics_are_501_and_name_the_extra() -> None:
    ended = run(WITHOUT_PROMETHEUS)
    assert ended.stdout.startswith("401 200 501\n"), ended.stderr
    assert "pip install 'apicache-toolkit[prometheus]'" in ended.stdout


def test_without_starlette_the_error_names_the_extra() -> None:
    ended = run("import sys; sys.modules['starlette'] = None; import apicache.integrations.starlette")
    assert ended.returncode != 0
    assert "pip install 'apicache-toolkit[starlette]'" in ended.stderr


def test_a_real_server_answers_warms_and_stops(cache: UnifiedAPICache) -> None:
    cache.operation("square", ttl=60)(lambda n: n * n)
    entries = [{"operation": "square", "n": n} for n in (2, 3)]
    app = Starlette(lifespan=warming(entries, cache=cache, when="before-serving"))
    app.router.routes.extend(cache_routes(cache, token=TOKEN))
    with asgi_server.served(app) as url:
        assert cache.cached_api_call_sync(operation="square", n=2) == 4
        told = httpx.get(f"{url}/cache/stats", headers=BEARER).json()
        assert "apicache" in httpx.get(f"{url}/cache").text
        assert httpx.get(f"{url}/cache/stats").status_code == 401
    assert (told["cache_hits"], told["cache_misses"], told["api_calls_saved"]) == (1, 2, 1)
