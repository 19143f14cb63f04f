"""The few lines for Flask and Django that the README shows, with the real frameworks."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from apicache import UnifiedAPICache
from apicache.web.pages import CachePages
from apicache.web.token import VARIABLE


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str
    json: Any


Ask = Callable[..., Answered]


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def api_cache(cache: UnifiedAPICache) -> UnifiedAPICache:
    @cache.operation("square", ttl=60, cost=0.5)
    def square(n: int) -> int:
        return n * n

    asyncio.run(cache.warm_cache([{"operation": "square", "n": 3}]))
    assert [cache.cached_api_call_sync(operation="square", n=3) for _ in range(3)] == [9, 9, 9]
    return cache


def flask_client(api_cache: UnifiedAPICache, token: str | None) -> Ask:
    from flask import Flask, Response, request

    app = Flask("tested")
    pages = CachePages(api_cache, token=token)

    @app.get("/cache", defaults={"page": ""})
    @app.get("/cache/<page>")
    def cache(page: str) -> Response:
        answer = pages.answer(page, request.headers.get("Authorization"), request.headers.get("Accept"))
        return Response(answer.body, answer.status, answer.headers)

    client = app.test_client()

    def ask(path: str, **headers: str) -> Answered:
        found = client.get(path, headers=headers)
        return Answered(found.status_code, dict(found.headers), found.text, found.get_json(silent=True))

    return ask


def django_client(api_cache: UnifiedAPICache, token: str | None) -> Ask:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"], SECRET_KEY="x", USE_TZ=True)
        django.setup()
    from django.http import HttpRequest, HttpResponse
    from django.test import Client, override_settings
    from django.urls import path

    pages = CachePages(api_cache, token=token)

    def cache(request: HttpRequest, page: str = "") -> HttpResponse:
        answer = pages.answer(page, request.headers.get("Authorization"), request.headers.get("Accept"))
        return HttpResponse(answer.body, status=answer.status, headers=answer.headers)

    urls = (path("cache", cache), path("cache/<str:page>", cache))

    def ask(address: str, **headers: str) -> Answered:
        with override_settings(ROOT_URLCONF=urls):
            found = Client().get(address, headers=headers)
        is_json = found.headers["Content-Type"] == "application/json"
        return Answered(found.status_code, dict(found.headers), found.text, found.json() if is_json else None)

    return ask


@pytest.fixture(params=[flask_client, django_client], ids=["flask", "django"])
def framework(request: pytest.FixtureRequest) -> Iterator[Callable[..., Ask]]:
    return request.param


def test_stats_are_answered_as_json(framework: Callable[..., Ask], api_cache: UnifiedAPICache) -> None:
    answered = framework(api_cache, None)("/cache/stats")
    assert answered.status == 200
    assert answered.headers["Content-Type"] == "application/json"
    assert answered.headers["Cache-Control"] == "no-store"
    assert (answered.json["cache_hits"], answered.json["cache_misses"], answered.json["hit_rate"]) == (3, 1, 0.75)
    assert (answered.json["api_calls_saved"], answered.json["estimated_cost_saved"]) == (3, 1.5)


def test_the_page_and_the_metrics_are_answered(framework: Callable[..., Ask], api_cache: UnifiedAPICache) -> None:
    ask = framework(api_cache, None)
    page = ask("/cache")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'sha256-" in page.headers["Content-Security-Policy"]
    assert 'apicache_hits_total{operation="square"} 3.0' in ask("/cache/metrics").text


def test_a_token_guards_stats_and_metrics(framework: Callable[..., Ask], api_cache: UnifiedAPICache) -> None:
    ask = framework(api_cache, "s3cret")
    assert [ask(path).status for path in ("/cache", "/cache/stats", "/cache/metrics")] == [200, 401, 401]
    assert ask("/cache/stats", Authorization="Bearer s3cret").json["cache_hits"] == 3


def test_another_page_is_not_there(framework: Callable[..., Ask], api_cache: UnifiedAPICache) -> None:
    answered = framework(api_cache, None)("/cache/secrets")
    assert (answered.status, answered.text) == (404, "there is no page 'secrets'; known: stats, metrics\n")
