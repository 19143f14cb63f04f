"""Who is left alone, and for how long: probes that are given back, Retry-After kept between calls, stored answers."""

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.chain.failures import NotAskedError
from apicache.chain.standings import FAILURES_MAX, WAIT_MAX
from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.provider import ProviderError

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream
waits = wire.waits

ONCE = {"retries": 0, "retries_alone": 0}


@pytest.fixture
def make(clock: ManualClock) -> Iterator[Any]:
    made: list[UnifiedAPICache] = []

    def make_cache(**providers: Any) -> UnifiedAPICache:
        made.append(UnifiedAPICache.create(clock=clock, providers=providers))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


def breaker(cache: UnifiedAPICache, name: str = "openai") -> str:
    return cache.get_stats()["providers"][name]["breaker"]


def in_a_loop(cache: UnifiedAPICache, **given: Any) -> Any:
    return asyncio.run(cache.cached_api_call(**given))


def fail_until_open(cache: UnifiedAPICache, upstream: Any, call: Any, clock: ManualClock) -> None:
    """Open openai's breaker; it is time for a probe, and openai is well again."""
    upstream.script("openai", wire.failure(503))
    for number in range(FAILURES_MAX):
        with pytest.raises(ProviderError):
            call(cache, operation="completion", prompt=f"failing {number}")
    assert breaker(cache) == "open"
    upstream.script("openai", wire.chat("well"))
    clock.advance(2)


# Probes.


@pytest.mark.parametrize(
    "given",
    [
        {"operation": "completion", "prompt": "x", "temperature": "hot"},
        {"operation": "completion", "prompt": "x", "extra": {"stream": True}},
        {"operation": "completion", "prompt": 7},
        {"operation": "embedding", "text": 7},
    ],
)
def test_a_callers_mistake_takes_no_probe(upstream, make, call, clock, given) -> None:
    cache = make(order=["openai"], **ONCE)
    fail_until_open(cache, upstream, call, clock)
    with pytest.raises(InputError):
        call(cache, **given)
    assert breaker(cache) == "open"
    assert call(cache, operation="completion", prompt="y").text == "well"
    assert breaker(cache) == "closed"


def test_a_mistake_in_a_stream_takes_no_probe(upstream, make, call, clock) -> None:
    cache = make(order=["openai"], **ONCE)
    fail_until_open(cache, upstream, call, clock)
    with pytest.raises(InputError):
        list(cache.cached_stream_sync(operation="completion", prompt="x", temperature="hot"))
    assert call(cache, operation="completion", prompt="y").text == "well"


def test_a_call_without_a_key_takes_no_probe(upstream, make, call, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(order=["openai"], **ONCE)
    fail_until_open(cache, upstream, call, clock)
    with monkeypatch.context() as without:
        without.delenv("OPENAI_API_KEY")
        with pytest.raises(NotAskedError, match="OPENAI_API_KEY"):
            call(cache, operation="completion", prompt="x")
    assert call(cache, operation="completion", prompt="y").text == "well"


async def abandoned(asking: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.05)


def test_a_probe_that_is_cancelled_is_given_back(upstream, make, clock) -> None:
    cache = make(order=["openai"], **ONCE)
    fail_until_open(cache, upstream, in_a_loop, clock)
    upstream.script("openai", wire.Answer(hangs=True))

    async def run() -> str:
        await abandoned(cache.cached_api_call(operation="completion", prompt="x"))
        upstream.script("openai", wire.chat("well"))
        return (await cache.cached_api_call(operation="completion", prompt="y")).text

    assert asyncio.run(run()) == "well"
    assert breaker(cache) == "closed"


def test_a_probe_whose_caller_has_timed_out_goes_on_and_another_may_try_a_second_later(upstream, make, clock) -> None:
    cache = make(order=["openai"], timeout=0.3, **ONCE)
    fail_until_open(cache, upstream, in_a_loop, clock)
    upstream.script("openai", wire.Answer(hangs=True))

    async def run() -> str:
        await abandoned(cache.using(hard_timeout=0.02).cached_api_call(operation="completion", prompt="x"))
        upstream.script("openai", wire.chat("well"))
        clock.advance(1)
        return (await cache.cached_api_call(operation="completion", prompt="y")).text

    assert asyncio.run(run()) == "well"
    assert breaker(cache) == "closed"


def test_a_stream_that_is_cancelled_before_it_begins_gives_its_probe_back(upstream, make, clock) -> None:
    cache = make(order=["openai"], **ONCE)
    fail_until_open(cache, upstream, in_a_loop, clock)
    upstream.script("openai", wire.Answer(hangs=True))

    async def read() -> None:
        async for _ in cache.cached_stream(operation="completion", prompt="x"):
            pass

    async def run() -> str:
        await abandoned(read())
        while len(cache.engine.streams):
            await asyncio.sleep(0.001)
        upstream.script("openai", wire.chat("well"))
        return (await cache.cached_api_call(operation="completion", prompt="y")).text

    assert asyncio.run(run()) == "well"


# What a provider asks for.


def test_a_provider_that_names_a_time_is_left_alone_for_it(upstream, make, call, clock) -> None:
    cache = make()
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "40"}), wire.message("again"))
    for number in range(3):
        assert call(cache, operation="completion", prompt=str(number)).provider == "openai"
    clock.advance(39)
    assert call(cache, operation="completion", prompt="39").provider == "openai"
    assert upstream.count("anthropic") == 1
    clock.advance(1)
    assert call(cache, operation="completion", prompt="40").text == "again"


def test_a_time_past_all_sense_is_bounded(upstream, make, call, clock) -> None:
    cache = make()
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "86400"}), wire.message("again"))
    call(cache, operation="completion", prompt="a")
    clock.advance(WAIT_MAX)
    assert call(cache, operation="completion", prompt="b").text == "again"


def test_another_model_of_it_is_asked_meanwhile(upstream, make, call) -> None:
    cache = make(order=["openai"], **ONCE)
    upstream.script("openai", wire.failure(429, {"Retry-After": "40"}), wire.chat("there"))
    with pytest.raises(ProviderError):
        call(cache, operation="completion", prompt="a", model="one")
    with pytest.raises(NotAskedError) as found:
        call(cache, operation="completion", prompt="b", model="one")
    assert (found.value.kind, found.value.status, found.value.retry_after) == ("rate_limit", 429, 40.0)
    assert call(cache, operation="completion", prompt="b", model="two").text == "there"
    assert upstream.count("openai") == 2


def test_a_short_time_is_waited_for_where_no_other_provider_is_ready(upstream, make, call, waits) -> None:
    cache = make(order=["openai"], **ONCE)
    upstream.script("openai", wire.failure(429, {"Retry-After": "4"}), wire.chat("there"))
    with pytest.raises(ProviderError):
        call(cache, operation="completion", prompt="a")
    assert call(cache, operation="completion", prompt="b").text == "there"
    assert waits == [4.0]


def test_who_was_left_alone_for_one_that_is_down_is_waited_for(upstream, make, call, waits) -> None:
    cache = make(order=["anthropic", "openai"], retries=0)
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "8"}), wire.message("after all"))
    assert call(cache, operation="completion", prompt="a").provider == "openai"
    upstream.script("openai", wire.failure(401))
    assert call(cache, operation="completion", prompt="b").text == "after all"
    assert waits == [8.0]


# Stored answers of others.


@pytest.mark.parametrize("status", [401, 429, 500])
def test_while_a_provider_fails_a_repeat_is_answered_by_what_is_stored_and_asks_nobody(
    upstream, make, call, status: int
) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(status))
    for _ in range(5):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 1)
    assert call(cache, operation="completion", prompt="other").provider == "openai"
    assert upstream.count("anthropic") == 3


def test_a_provider_that_failed_all_attempts_of_a_call_is_not_asked_by_its_repeat(upstream, make, call, waits) -> None:
    cache = make()
    upstream.script("anthropic", wire.failure(500))
    for _ in range(3):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert (upstream.count("anthropic"), upstream.count("openai"), len(waits)) == (2, 1, 1)


def test_a_provider_that_failed_once_is_asked_again(upstream, make, call) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(500), wire.message("well"))
    assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert call(cache, operation="completion", prompt="same").text == "well"


def test_a_repeated_stream_is_answered_by_what_is_stored(upstream, make) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(500))
    upstream.script("openai", wire.stream(wire.chat_events("one ", "two")))
    for _ in range(4):
        assert "".join(cache.cached_stream_sync(operation="completion", prompt="same")) == "one two"
        assert cache.flush()
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 1)


def test_repeated_embeddings_are_answered_by_what_is_stored(upstream, make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APICACHE_MOCK", "1")
    cache = make(order=["openai", "mock"], **ONCE)
    upstream.script("embeddings", wire.failure(500))
    for _ in range(4):
        found = asyncio.run(cache.cached_api_calls([{"operation": "embedding", "text": text} for text in "ab"]))
        assert [each.provider for each in found] == ["mock", "mock"]
    assert upstream.count("embeddings") == 2


def failing(upstream: Any, *others: Any) -> None:
    """Have anthropic fail twice, then answer as given."""
    upstream.script("anthropic", wire.failure(500), wire.failure(500), *others)


def test_what_a_provider_has_stored_itself_goes_before(upstream, make, call) -> None:
    cache = make(**ONCE)
    failing(upstream, wire.message("mine"), wire.failure(500))
    for _ in range(2):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert call(cache, operation="completion", prompt="same", provider="anthropic").text == "mine"
    for number in range(2):
        with pytest.raises(ProviderError):
            call(cache, operation="completion", prompt=str(number), provider="anthropic")
    assert call(cache, operation="completion", prompt="same").text == "mine"


def test_a_provider_that_has_answered_since_is_asked_again(upstream, make, call) -> None:
    cache = make(**ONCE)
    failing(upstream, wire.message("well"))
    for _ in range(3):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert call(cache, operation="completion", prompt="other").text == "well"
    assert call(cache, operation="completion", prompt="same").text == "well"


def test_past_half_a_minute_a_provider_that_failed_is_asked_again(upstream, make, call, clock) -> None:
    cache = make(**ONCE)
    failing(upstream, wire.message("well"))
    for _ in range(3):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    clock.advance(30)
    assert call(cache, operation="completion", prompt="same").text == "well"


def test_while_the_cache_is_off_nothing_stored_is_counted_on(upstream, call, clock) -> None:
    cache = UnifiedAPICache.create(clock=clock, mode="off", providers=ONCE)
    failing(upstream, wire.message("well"))
    for _ in range(2):
        assert call(cache, operation="completion", prompt="same").provider == "openai"
    assert call(cache, operation="completion", prompt="same").text == "well"
    cache.close()
