"""Operations that only a declared endpoint has, called by their names."""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.defaults import project_setup
from apicache.errors import InputError
from apicache.provider import ProviderError

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

Make = Callable[..., UnifiedAPICache]


@pytest.fixture
def table(upstream: Any) -> dict[str, Any]:
    upstream.script("/weather", lambda asked: wire.of_json({"now": {"degrees": asked.number, "of": asked.path}}))
    return {
        "url": f"{upstream.url}/weather?city={{city}}",
        "method": "GET",
        "operations": ["weather"],
        "answer": "now",
    }


@pytest.fixture
def make(table: dict[str, Any], clock: ManualClock) -> Iterator[Make]:
    made: list[UnifiedAPICache] = []

    def make_cache(**providers: Any) -> UnifiedAPICache:
        given = {"retries_alone": 0, "tables": {"stations": table}, **providers}
        made.append(UnifiedAPICache.create(clock=clock, providers=given))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


def test_it_is_called_by_its_name_and_cached_by_its_parameters(upstream: Any, make: Make, call: Any) -> None:
    cache = make()
    answers = [call(cache, operation="weather", city=city) for city in ("Bern", "Bern", "Rome")]
    assert [answer["degrees"] for answer in answers] == [1, 1, 2]
    assert answers[0]["of"] == "/weather?city=Bern"
    assert upstream.count("/weather") == 2
    assert cache.get_stats()["operations"]["weather"]["cache_hits"] == 1
    assert cache.get_stats()["providers"]["stations"]["answers"] == 2
    assert list(cache.operations) == []


def test_batches_warming_and_keys_work_as_for_any_operation(upstream: Any, make: Make) -> None:
    cache = make()
    calls = [{"operation": "weather", "city": city} for city in ("Bern", "Rome", "Bern")]

    async def run() -> tuple[Any, Any]:
        return await cache.warm_cache(calls[:1]), await cache.cached_api_calls(calls)

    (outcome,), answers = asyncio.run(run())
    assert (outcome.status, outcome.key) == ("warmed", cache.key_of(operation="weather", city="Bern"))
    assert [answer["degrees"] for answer in answers] == [1, 2, 1]


def test_its_life_is_configured_as_any_operations(
    upstream: Any, table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    (tmp_path / "apicache.toml").write_text(
        f"""
[operations.weather]
ttl = "5s"
tags = ["sky"]

[providers.stations]
url = "{table["url"]}"
method = "GET"
operations = ["weather"]
answer = "now"
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APICACHE", "on")
    monkeypatch.setenv("APICACHE_TIERS", "memory")
    cache = UnifiedAPICache._new(project_setup, clock)
    assert cache.plan_of(operation="weather", city="Bern").policy.ttl == 5
    assert [cache.cached_api_call_sync(operation="weather", city="Bern")["degrees"] for _ in range(2)] == [1, 1]
    clock.advance(6)
    assert cache.cached_api_call_sync(operation="weather", city="Bern")["degrees"] == 2
    cache.invalidate_sync(tags=["sky"])
    assert cache.cached_api_call_sync(operation="weather", city="Bern")["degrees"] == 3
    cache.close()


def test_of_several_endpoints_the_next_one_answers_when_the_first_fails(
    upstream: Any, make: Make, table: dict[str, Any], call: Any
) -> None:
    upstream.script("/down", wire.failure(503))
    down = {**table, "url": f"{upstream.url}/down?city={{city}}"}
    cache = make(tables={"down": down, "stations": table}, retries=0)
    assert call(cache, operation="weather", city="Bern")["degrees"] == 1
    assert call(cache, operation="weather", city="Bern", provider="stations")["degrees"] == 1
    with pytest.raises(ProviderError):
        call(cache, operation="weather", city="Bern", provider="down")


def test_an_applications_own_operation_replaces_it(upstream: Any, make: Make) -> None:
    cache = make()
    assert cache.cached_api_call_sync(operation="weather", city="Bern")["degrees"] == 1

    @cache.operation("weather")
    def weather(city: str) -> str:
        return f"own {city}"

    assert cache.cached_api_call_sync(operation="weather", city="Bern") == "own Bern"


def test_a_missing_and_an_unknown_parameter_are_named_and_nothing_is_sent(upstream: Any, make: Make, call: Any) -> None:
    cache = make()
    with pytest.raises(InputError, match="refers to parameter 'city'"):
        call(cache, operation="weather")
    with pytest.raises(InputError, match="cannot carry parameter 'town' of operation 'weather'"):
        call(cache, operation="weather", city="Bern", town="Bern")
    with pytest.raises(InputError, match="cannot carry parameter 'extra' of operation 'weather'"):
        call(cache, operation="weather", city="Bern", extra={"units": "K"})
    assert upstream.asked == []


def test_a_misspelt_operation_names_the_declared_one(make: Make, call: Any) -> None:
    with pytest.raises(InputError, match=r"unknown operation 'wether'; did you mean 'weather'\?"):
        call(make(), operation="wether", city="Bern")


def test_a_provider_without_it_says_what_it_has(make: Make, call: Any) -> None:
    with pytest.raises(InputError, match="'openai' has no operation 'weather'"):
        call(make(), operation="weather", city="Bern", provider="openai")


@pytest.mark.parametrize("operations", ["weather", 7, [1], None])
def test_operations_that_are_no_list_of_names_declare_nothing(
    make: Make, table: dict[str, Any], call: Any, operations: Any
) -> None:
    cache = make(tables={"stations": {**table, "operations": operations}})
    with pytest.raises(InputError, match="unknown operation 'weather'"):
        call(cache, operation="weather", city="Bern")


def test_another_tables_mistake_does_not_hide_it(upstream: Any, make: Make, table: dict[str, Any], call: Any) -> None:
    cache = make(tables={"broken": {"url": 7, "operations": ["other"]}, "stations": table})
    assert call(cache, operation="weather", city="Bern")["degrees"] == 1


def test_it_gives_one_answer_and_no_stream(make: Make) -> None:
    with pytest.raises(InputError, match="'weather' gives one answer; call cached_api_call"):
        make().cached_stream(operation="weather", city="Bern")
