"""The built-in operations and their chain, over real HTTP; what waits goes by a clock that stands still."""

import asyncio
import importlib.util
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from apicache import UnifiedAPICache
from apicache.answers import Completion, Embedding
from apicache.chain import builtin
from apicache.chain.failures import AllProvidersFailedError, NotAskedError
from apicache.chain.prices import PriceTable
from apicache.chain.routing import APIProvider
from apicache.chain.standings import FAILURES_MAX
from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.provider import ProviderCall, ProviderError, Request, Response, Tokens

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream
waits = wire.waits

ONCE = {"retries": 0, "retries_alone": 0}


@pytest.fixture
def make(clock: ManualClock, waits: list[float]) -> Iterator[Any]:
    made: list[UnifiedAPICache] = []

    def make_cache(**providers: Any) -> UnifiedAPICache:
        made.append(UnifiedAPICache.create(clock=clock, providers=providers))
        return made[-1]

    yield make_cache
    for cache in made:
        cache.close()


def raised(call: Any, cache: UnifiedAPICache, **parameters: Any) -> Any:
    with pytest.raises(ProviderError) as found:
        call(cache, operation="completion", **parameters)
    return found.value


# What they answer.


def test_a_completion_is_there_as_soon_as_a_key_is_set_and_is_stored_as_a_record(upstream, make, call) -> None:
    cache = make()
    first, second = (call(cache, operation="completion", prompt="hello", max_tokens=5) for _ in range(2))
    assert isinstance(first, Completion)
    assert first == second
    assert first is not second
    assert (str(first), first.provider, first.input_tokens) == ("answer 1", "anthropic", 7)
    assert upstream.count("anthropic") == 1
    assert upstream.asked[0].json["messages"] == [{"role": "user", "content": "hello"}]
    assert upstream.asked[0].json["max_tokens"] == 5


def test_an_embedding_is_asked_of_the_provider_that_has_it(upstream, make, call) -> None:
    cache = make()
    found = [call(cache, operation="embedding", text="hello", dimensions=2) for _ in range(2)]
    assert found[0] == found[1]
    assert isinstance(found[0], Embedding)
    assert list(found[0].vector) == wire.vector("hello")
    assert (found[0].provider, upstream.count("embeddings"), upstream.count("anthropic")) == ("openai", 1, 0)


def test_an_analysis_carries_its_data(upstream, make, call) -> None:
    answer = call(make(), operation="analysis", prompt="what of it?", data={"rows": [1, 2]})
    assert isinstance(answer, Completion)
    assert '"rows":[1,2]' in upstream.asked[0].json["messages"][0]["content"]


def test_their_lives_are_the_source_documents(make) -> None:
    cache = make(order=["mock"])
    ttls = {name: cache.plan_of(operation=name, **given).policy.ttl for name, given in (
        ("completion", {"prompt": "x"}), ("embedding", {"text": "x"}), ("analysis", {"prompt": "x"})
    )}  # fmt: skip
    assert ttls == {"completion": 3600, "embedding": 24 * 3600, "analysis": 30 * 60}


def test_an_applications_own_operation_replaces_the_built_in_one(upstream, make, call) -> None:
    cache = make()
    assert call(cache, operation="completion", prompt="x").text == "answer 1"

    @cache.operation("completion")
    def completion(prompt: str) -> str:
        return f"own {prompt}"

    assert cache.cached_api_call_sync(operation="completion", prompt="x") == "own x"
    assert list(cache.operations) == ["completion"]


def test_batches_warming_and_keys_work_as_for_any_operation(upstream, make) -> None:
    cache = make()
    calls = [{"operation": "completion", "prompt": text} for text in ("a", "b", "a")]

    async def run() -> tuple[Any, Any]:
        outcomes = await cache.warm_cache(calls[:1])
        return outcomes, await cache.cached_api_calls([*calls, {"operation": "embedding", "text": "c"}])

    (outcome,), answers = asyncio.run(run())
    assert (outcome.status, outcome.key) == ("warmed", cache.key_of(operation="completion", prompt="a"))
    assert [getattr(answer, "text", None) for answer in answers] == ["answer 1", "answer 2", "answer 1", None]
    assert upstream.count("anthropic") == 2


def test_a_views_policy_applies(upstream, make, call, clock: ManualClock) -> None:
    cache = make()
    view = cache.using(ttl=10)
    call(view, operation="completion", prompt="x")
    clock.advance(11)
    assert call(view, operation="completion", prompt="x").text == "answer 2"


def test_while_the_cache_is_off_the_chain_still_answers(upstream, call) -> None:
    cache = UnifiedAPICache.create(mode="off", providers=ONCE)
    upstream.script("anthropic", wire.failure(529))
    assert [call(cache, operation="completion", prompt="x").provider for _ in range(2)] == ["openai"] * 2
    assert upstream.count("anthropic") == 2
    cache.close()


def test_a_thousand_callers_of_a_cold_key_make_one_call_of_each_provider(upstream) -> None:
    upstream.script("anthropic", wire.failure(503))
    cache = UnifiedAPICache.create(providers=ONCE)

    async def run() -> list[Any]:
        return await asyncio.gather(*(cache.cached_api_call(operation="completion", prompt="x") for _ in range(1000)))

    assert {answer.text for answer in asyncio.run(run())} == {"answer 1"}
    assert (upstream.count("anthropic"), upstream.count("openai")) == (1, 1)
    cache.close()


# Whom they ask.


def test_it_is_read_by_the_intended_provider_and_stored_under_the_one_that_answered(upstream, make, call) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(529), wire.message("recovered"))
    assert call(cache, operation="completion", prompt="x").provider == "openai"
    # The first one's entry is not the second one's answer: it is asked again, and stored now.
    assert call(cache, operation="completion", prompt="x").text == "recovered"
    assert call(cache, operation="completion", prompt="x").text == "recovered"
    # What the second one answered is its own, and still there.
    assert call(cache, operation="completion", prompt="x", provider="openai").text == "answer 1"
    assert (upstream.count("anthropic"), upstream.count("openai")) == (2, 1)


def test_a_fallbacks_stored_answer_is_found_while_the_first_provider_still_fails(upstream, make, call) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(503))
    for _ in range(3):
        assert call(cache, operation="completion", prompt="x").text == "answer 1"
    assert upstream.count("openai") == 1


def test_with_an_open_breaker_a_stored_answer_is_found_and_nothing_is_sent(upstream, make, call) -> None:
    cache = make(**ONCE)
    call(cache, operation="completion", prompt="stored")
    upstream.script("anthropic", wire.failure(503))
    for number in range(FAILURES_MAX):
        call(cache, operation="completion", prompt=str(number))
    assert cache.get_stats()["providers"]["anthropic"]["breaker"] == "open"
    asked = upstream.count("anthropic")
    assert call(cache, operation="completion", prompt="stored").provider == "anthropic"
    assert call(cache, operation="completion", prompt="another").provider == "openai"
    assert upstream.count("anthropic") == asked


def test_an_open_breaker_lets_a_probe_through_and_closes_on_its_answer(upstream, make, call, clock) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(503))
    for number in range(FAILURES_MAX):
        call(cache, operation="completion", prompt=str(number))
    upstream.script("anthropic", wire.message("back"))
    clock.advance(2)
    assert call(cache, operation="completion", prompt="probe").text == "back"
    assert cache.get_stats()["providers"]["anthropic"]["breaker"] == "closed"


def test_a_sole_provider_that_is_left_alone_tells_what_it_answered_last(upstream, make, call, clock) -> None:
    cache = make(order=["anthropic"], **ONCE)
    upstream.script("anthropic", *[wire.failure(503)] * (FAILURES_MAX - 1), wire.failure(429, {"retry-after": "20"}))
    for number in range(FAILURES_MAX):
        raised(call, cache, prompt=str(number))
    clock.advance(0.5)
    error = raised(call, cache, prompt="x")
    assert isinstance(error, NotAskedError)
    assert (error.kind, error.status, error.retry_after) == ("unavailable", 429, 19.5)
    assert "status 429: too many requests" in str(error)
    assert upstream.count("anthropic") == FAILURES_MAX


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_bad_request_is_the_callers_and_falls_through_nowhere(upstream, make, call, status: int) -> None:
    cache = make()
    upstream.script("anthropic", wire.failure(status))
    error = raised(call, cache, prompt="x")
    assert (error.kind, error.status) == ("bad_request", status)
    assert (upstream.count("anthropic"), upstream.count("openai")) == (1, 0)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 529])
def test_what_another_provider_may_answer_falls_through(upstream, make, call, status: int) -> None:
    cache = make(**ONCE)
    upstream.script("anthropic", wire.failure(status))
    assert call(cache, operation="completion", prompt="x").provider == "openai"


def test_a_parameter_that_the_fallback_cannot_carry_is_told_beside_the_first_ones_failure(upstream, make, call) -> None:
    cache = make(order=["openai", "anthropic"], **ONCE)
    upstream.script("openai", wire.failure(503))
    error = raised(call, cache, prompt="x", temperature=0.5)
    assert isinstance(error, AllProvidersFailedError)
    assert [failure.kind for failure in error.failures] == ["unavailable", "bad_request"]
    assert "'temperature'" in str(error)


def test_a_provider_that_cannot_carry_a_parameter_is_left_out_while_others_remain(upstream, make, call) -> None:
    cache = make(order=["anthropic", "openai"])
    for _ in range(2):
        assert call(cache, operation="completion", prompt="x", temperature=0.5).provider == "openai"
    assert (upstream.count("anthropic"), upstream.count("openai")) == (0, 1)
    answer = call(cache, operation="completion", prompt="x", temperature=0.5, provider=["anthropic", "openai"])
    assert answer.provider == "openai"
    found = cache.get_stats()["providers"]["anthropic"]
    assert (found["calls"], found["errors"], found["breaker"]) == (0, {}, "closed")


def test_a_provider_that_cannot_carry_a_parameter_is_named_when_the_others_fail(upstream, make, call) -> None:
    upstream.script("openai", wire.failure(503))
    error = raised(call, make(order=["anthropic", "openai"], **ONCE), prompt="x", temperature=0.5)
    assert isinstance(error, AllProvidersFailedError)
    assert [(each.provider, each.kind) for each in error.failures] == [
        ("anthropic", "bad_request"),
        ("openai", "unavailable"),
    ]
    assert "'temperature' is not taken by model 'claude-haiku-5-5'" in str(error)


@pytest.mark.parametrize("asked", [{"order": ["anthropic"]}, {"order": ["anthropic", "openai"]}])
def test_the_only_provider_and_a_named_one_refuse_what_they_cannot_carry(upstream, make, call, asked) -> None:
    named = {} if len(asked["order"]) == 1 else {"provider": "anthropic"}
    with pytest.raises(InputError, match="'temperature' is not taken by model 'claude-haiku-5-5'"):
        call(make(**asked), operation="completion", prompt="x", temperature=0.5, **named)
    assert upstream.asked == []


def test_what_no_provider_can_carry_is_the_callers_mistake_and_each_says_why(upstream, make, call) -> None:
    table = {"url": f"{upstream.url}/own", "body": {"p": "{prompt}"}}
    cache = make(order=["anthropic", "own"], tables={"own": table})
    with pytest.raises(InputError) as error:
        call(cache, operation="completion", prompt="x", temperature=0.5)
    assert "is not taken by model 'claude-haiku-5-5'" in str(error.value)
    assert "provider 'own' cannot carry parameter 'temperature'" in str(error.value)
    with pytest.raises(InputError, match="stop"):
        call(make(), operation="completion", prompt="x", stop=7)
    assert upstream.asked == []


def test_a_named_provider_is_asked_alone_and_a_list_is_the_chain(upstream, make, call) -> None:
    cache = make(**ONCE)
    assert call(cache, operation="completion", prompt="x", provider=APIProvider.OPENAI).provider == "openai"
    upstream.script("openai", wire.failure(503))
    error = raised(call, cache, prompt="y", provider="openai")
    assert type(error) is ProviderError
    assert call(cache, operation="completion", prompt="y", provider=["openai", "anthropic"]).provider == "anthropic"


def test_a_known_model_is_asked_for_where_it_is_sold(upstream, make, call) -> None:
    answer = call(make(), operation="completion", prompt="x", model="gpt-5-mini")
    assert (answer.provider, answer.model) == ("openai", "gpt-5-mini")
    assert upstream.count("anthropic") == 0


def test_an_unknown_provider_names_the_close_one(upstream, make, call) -> None:
    with pytest.raises(InputError, match="unknown provider 'opnai'; did you mean 'openai'"):
        call(make(), operation="completion", prompt="x", provider="opnai")


def test_a_provider_without_the_operation_says_what_it_has(upstream, make, call) -> None:
    with pytest.raises(InputError, match="'anthropic' has no operation 'embedding'"):
        call(make(), operation="embedding", text="x", provider="anthropic")


def test_an_unknown_operation_names_the_built_in_one(make, call) -> None:
    with pytest.raises(InputError, match=r"unknown operation 'complete'; did you mean 'completion'\?"):
        call(make(), operation="complete", prompt="x")


def test_a_provider_without_its_key_is_left_out(upstream, make, call, monkeypatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    cache = make()
    assert call(cache, operation="completion", prompt="x").provider == "openai"
    assert cache.get_stats()["load_errors"] == 0


@pytest.mark.parametrize(
    ("providers", "told"),
    [
        ({"tables": {"anthropic": {"modle": "m"}}}, "unknown option 'modle' of provider 'anthropic'; did you mean"),
        ({"order": ["antropic", "openai"]}, "unknown provider 'antropic'; did you mean 'anthropic'?"),
        ({"order": ["house", "openai"], "tables": {"house": {"body": {}}}}, "an option of provider 'house'"),
    ],
    ids=["an option", "a name", "an endpoint without its url"],
)
@pytest.mark.usefixtures("upstream")
def test_a_provider_that_is_configured_wrongly_is_left_out_and_told_once(
    make, call, caplog: pytest.LogCaptureFixture, providers: Any, told: str
) -> None:
    cache = make(**providers)
    for prompt in "ab":
        assert call(cache, operation="completion", prompt=prompt).provider == "openai"
    (record,) = [record for record in caplog.records if "left out" in record.getMessage()]
    assert told in record.getMessage()
    with pytest.raises(InputError, match=re.escape(told)):
        call(cache, operation="completion", prompt="c", provider=next(iter(providers.get("order", ["anthropic"]))))


def test_where_every_configured_provider_is_wrong_the_first_mistake_is_raised(upstream, make, call) -> None:
    cache = make(order=["antropic", "opnai"])
    with pytest.raises(InputError, match="unknown provider 'antropic'"):
        call(cache, operation="completion", prompt="x")


def test_an_endpoint_with_an_operation_of_its_own_is_asked_whatever_the_others_lack(upstream, make, call) -> None:
    upstream.script("/quote", wire.of_json({"price": 3}))
    quote = {"url": f"{upstream.url}/quote", "operations": ["quote"]}
    assert call(make(order=["opnai"], tables={"quotes": quote}), operation="quote") == {"price": 3}


def test_without_any_key_the_error_names_every_variable(upstream, make, call, monkeypatch) -> None:
    for name in wire.KEYS:
        monkeypatch.delenv(name)
    error = raised(call, make(), prompt="x")
    assert isinstance(error, AllProvidersFailedError)
    assert error.kind == "auth"
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "APICACHE_MOCK=1"):
        assert f"set {variable}" in str(error)
    assert upstream.asked == []


@pytest.mark.parametrize("variable", wire.KEYS)
def test_a_named_provider_without_its_key_says_which_variable(upstream, make, call, monkeypatch, variable) -> None:
    monkeypatch.delenv(variable)
    name = variable.partition("_")[0].lower()
    error = raised(call, make(), prompt="x", provider=name)
    assert str(error) == f"{name} was not asked: it has no key; set {variable}"
    assert upstream.asked == []


@pytest.mark.parametrize("given", [{5520}, {"rows": [b"5520"]}, object()])
def test_a_parameter_that_json_cannot_carry_is_named_and_nothing_is_sent(upstream, make, call, given: Any) -> None:
    with pytest.raises(InputError, match=r"parameter 'data' holds a \w+, which JSON cannot carry; convert") as found:
        call(make(), operation="analysis", prompt="x", data=given)
    assert "5520" not in str(found.value)
    assert upstream.asked == []


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_another_credential_server_or_account_has_answers_of_its_own(
    upstream, make, call, monkeypatch, variable
) -> None:
    cache = make(order=["openai"])
    first = call(cache, operation="completion", prompt="x").text
    before = os.environ.get(variable)
    elsewhere = upstream.openai_url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv(variable, elsewhere if variable == "OPENAI_BASE_URL" else "another")
    assert call(cache, operation="completion", prompt="x").text != first
    if before is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, before)
    assert call(cache, operation="completion", prompt="x").text == first


def test_cheapest_asks_the_provider_with_the_lower_price_first(upstream, make, call) -> None:
    prices = {"claude-haiku-5-5": {"input": 5, "output": 5}, "gpt-6-luna": {"input": 1, "output": 1}}
    cache = make(routing="cheapest", prices=prices)
    assert call(cache, operation="completion", prompt="x").provider == "openai"


def test_fastest_asks_the_provider_that_answers_sooner_first(upstream, make, call) -> None:
    cache = make(routing="fastest")
    providers = cache._engine.providers
    providers._random = lambda: 1.0
    providers.standing("anthropic").answered(2.0, Tokens(), None)
    providers.standing("openai").answered(1.0, Tokens(), None)
    assert call(cache, operation="completion", prompt="x").provider == "openai"
    providers._random = lambda: 0.0
    assert call(cache, operation="completion", prompt="x").provider == "anthropic"


# How often they ask.


def test_while_another_provider_stands_ready_there_is_one_retry_and_alone_there_are_three(upstream, make, call) -> None:
    cache = make()
    upstream.script("anthropic", wire.failure(503))
    assert call(cache, operation="completion", prompt="x").provider == "openai"
    assert upstream.count("anthropic") == 2
    raised(call, make(), prompt="x", provider="anthropic")
    assert upstream.count("anthropic") == 6


def test_a_provider_that_was_left_for_one_that_is_down_is_asked_once_more(upstream, make, call) -> None:
    upstream.script("anthropic", wire.failure(503), wire.failure(503), wire.message("after all"))
    upstream.script("openai", wire.failure(503))
    assert call(make(), operation="completion", prompt="x").text == "after all"
    assert (upstream.count("anthropic"), upstream.count("openai")) == (3, 4)


@pytest.mark.parametrize("status", [401, 404])
def test_what_does_not_pass_by_itself_is_not_tried_again(upstream, make, call, status: int) -> None:
    upstream.script("anthropic", wire.failure(status))
    raised(call, make(), prompt="x", provider="anthropic")
    assert upstream.count("anthropic") == 1


def test_retry_after_is_honoured(upstream, make, call, waits: list[float]) -> None:
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "7"}), wire.message("now"))
    assert call(make(), operation="completion", prompt="x").text == "now"
    assert waits == [7.0]


def test_a_retry_after_past_the_bound_goes_to_the_next_provider_at_once(upstream, make, call, waits) -> None:
    upstream.script("anthropic", wire.failure(429, {"Retry-After": "60"}))
    assert call(make(), operation="completion", prompt="x").provider == "openai"
    assert (upstream.count("anthropic"), waits) == (1, [])


def test_waits_grow_with_each_attempt(upstream, make, call, waits: list[float]) -> None:
    upstream.script("anthropic", wire.failure(503))
    raised(call, make(), prompt="x", provider="anthropic")
    assert len(waits) == 3
    for wait, least in zip(waits, (0.25, 0.5, 1.0), strict=True):
        assert least <= wait <= least + 0.5


def test_a_provider_that_hangs_is_left_after_its_own_timeout(upstream, make, call) -> None:
    upstream.script("anthropic", wire.Answer(hangs=True))
    cache = make(timeouts={"anthropic": 0.05}, **ONCE)
    assert call(cache, operation="completion", prompt="x").provider == "openai"
    assert cache.get_stats()["providers"]["anthropic"]["errors"] == {"timeout": 1}


def test_past_its_rate_limit_a_provider_is_waited_for(upstream, make, call, waits: list[float]) -> None:
    cache = make(rate_limits={"anthropic": "2/minute"})
    for text in ("a", "b", "c"):
        assert call(cache, operation="completion", prompt=text).provider == "anthropic"
    assert sum(waits) == pytest.approx(60.0)


def test_a_wait_past_the_timeout_goes_to_the_next_provider(upstream, make, call, waits: list[float]) -> None:
    cache = make(rate_limits={"anthropic": "1/minute"}, timeout=10)
    assert [call(cache, operation="completion", prompt=text).provider for text in "ab"] == ["anthropic", "openai"]
    assert waits == []
    error = raised(call, cache, prompt="c", provider="anthropic")
    assert isinstance(error, NotAskedError)
    assert error.kind == "rate_limit"
    assert "1/minute" in str(error)


# What they cost, and what is counted.


def test_what_a_hit_saves_is_what_its_answer_cost(upstream, make, call) -> None:
    cache = make()
    usage = {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 50}
    upstream.script("anthropic", wire.message("x", model="claude-opus-5", **usage))
    answer = call(cache, operation="completion", prompt="x", model="claude-opus-5")
    expected = (100 * 5 + 900 * 0.5 + 50 * 25) / 1_000_000
    assert answer.cost == pytest.approx(expected)
    assert answer.cost == PriceTable().cost_of("claude-opus-5", Tokens(input=1000, cached=900, output=50))
    call(cache, operation="completion", prompt="x", model="claude-opus-5")
    stats = cache.get_stats()
    assert stats["cost_saved"] == pytest.approx(expected)
    assert stats["operations"]["completion"]["cost_spent"] == pytest.approx(expected)
    assert stats["providers"]["anthropic"]["cost"] == pytest.approx(expected)
    assert stats["providers"]["anthropic"]["tokens"] == {
        "input": 1000, "cached": 900, "cache_writes": 0, "output": 50
    }  # fmt: skip


def test_each_item_of_a_batch_costs_its_own_share_of_the_tokens(upstream, make) -> None:
    cache = make(prices={"e-1": {"input": 2, "output": 0}})
    call_of = ProviderCall(operation="embedding", parameters={"texts": ["a", "longer text", "b"]}, model="e-1")
    upstream.script("embeddings", wire.embeddings(["a", "longer text", "b"], indexes=[0, 1]))
    found = cache._engine.providers.ask_sync("openai", call_of)
    first, second, missing = found
    assert (first.input_tokens + second.input_tokens) < 30  # the missing one's share is nobody else's
    assert [each.cost for each in (first, second)] == [
        pytest.approx(each.input_tokens * 2 / 1_000_000) for each in (first, second)
    ]
    assert 0 < first.cost < second.cost
    assert isinstance(missing, ProviderError)
    assert builtin.cost_of(first) == first.cost
    assert cache.get_stats()["providers"]["openai"]["cost"] == pytest.approx(30 * 2 / 1_000_000)


def test_a_batch_of_a_model_without_a_price_costs_nothing_that_is_known(upstream, make) -> None:
    call_of = ProviderCall(operation="embedding", parameters={"texts": ["a", "b"]}, model="e-1")
    found = make()._engine.providers.ask_sync("openai", call_of)
    assert [each.cost for each in found] == [None, None]
    assert builtin.cost_of(found[0]) == 0.0


def test_a_model_without_a_price_costs_nothing_that_is_known(upstream, make, call) -> None:
    cache = make()
    upstream.script("openai", wire.chat("x", model="house-model"))
    for _ in range(2):
        answer = call(cache, operation="completion", prompt="x", provider="openai", model="house-model")
    assert answer.cost is None
    assert cache.get_stats()["cost_saved"] == 0.0


def test_mock_answers_come_only_where_they_are_switched_on_and_are_never_counted_as_saved(
    upstream, make, call, monkeypatch
) -> None:
    upstream.script("anthropic", wire.failure(503))
    upstream.script("openai", wire.failure(503))
    cache = make(**ONCE)
    assert isinstance(raised(call, cache, prompt="x"), AllProvidersFailedError)
    monkeypatch.setenv("APICACHE_MOCK", "1")
    answers = [call(cache, operation="completion", prompt="x") for _ in range(2)]
    assert [(answer.provider, answer.cost) for answer in answers] == [("mock", 0.0)] * 2
    assert cache.get_stats()["cost_saved"] == 0.0
    monkeypatch.delenv("APICACHE_MOCK")
    upstream.script("openai", wire.chat("real"))
    assert call(cache, operation="completion", prompt="x").text == "real"


def test_statistics_tell_how_each_provider_stands(upstream, make, call) -> None:
    cache = make()
    assert cache.get_stats()["providers"] == {}
    upstream.script("anthropic", wire.failure(529), wire.message("x"))
    call(cache, operation="completion", prompt="x")
    found = cache.get_stats()["providers"]["anthropic"]
    assert (found["calls"], found["answers"], found["retries"], found["errors"]) == (2, 1, 1, {"overloaded": 1})
    assert found["latency_seconds"] == 0.0  # by a clock that stands still
    assert found["breaker"] == "closed"


def test_all_failures_are_listed_with_kind_and_status(upstream, make, call) -> None:
    upstream.script("anthropic", wire.failure(529))
    upstream.script("openai", wire.failure(401))
    error = raised(call, make(**ONCE), prompt="x")
    assert [(each.provider, each.kind, each.status) for each in error.failures] == [
        ("anthropic", "overloaded", 529),
        ("openai", "auth", 401),
    ]
    assert "look at OPENAI_API_KEY" in str(error)


def test_a_retry_is_told_with_its_provider_and_operation_and_by_no_other_logger(
    upstream, make, call, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.script("anthropic", wire.failure(503), wire.failure(529), wire.message("late"))
    with caplog.at_level(logging.DEBUG):
        assert call(make(order=["anthropic"]), operation="completion", prompt="planted-prompt").text == "late"
    told = [record for record in caplog.records if record.name in {"apicache", "stamina"}]
    assert [(record.name, record.levelname, record.getMessage()) for record in told] == [
        (
            "apicache",
            "INFO",
            f"anthropic is asked again for completion, attempt {number}: anthropic answered with {what}",
        )
        for number, what in ((2, "status 503: it is out of order"), (3, "status 529: it is overloaded"))
    ]
    assert "planted" not in caplog.text


def test_the_applications_own_retries_are_logged_as_before(caplog: pytest.LogCaptureFixture) -> None:
    for attempt in stamina.retry_context(on=ValueError, attempts=2, wait_initial=0, wait_max=0):
        with attempt:
            if attempt.num == 1:
                raise ValueError
    assert [record.getMessage() for record in caplog.records if record.name == "stamina"] == ["stamina.retry_scheduled"]


def test_secrets_are_found_nowhere(upstream, call, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True, providers={"retry_after_max": 0})
    retry = {"Retry-After": "1"}
    told: list[str] = []
    with caplog.at_level(logging.DEBUG):
        call(cache, operation="completion", prompt="stored")
        upstream.script("anthropic", wire.failure(401))
        upstream.script("openai", wire.failure(429, retry), wire.Answer(b"{", 200), wire.Answer(is_cut=True))
        for number in range(3):
            error = raised(call, cache, prompt=str(number))
            told += [str(error), repr(error), repr(error.failures), repr(error.__context__), repr(error.__cause__)]
        told.append(json.dumps(cache.get_stats()))
        cache.flush()
        cache.close()
    told.append(caplog.text)
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (*wire.KEYS.values(), "planted-body-5520"):
        assert secret not in "\n".join(told)
        assert secret.encode() not in stored
    assert b"completion" in stored


def test_a_caller_that_is_cancelled_ends_what_it_asked_and_the_next_one_asks_anew(monkeypatch) -> None:
    class Hanging:
        ended = 0

        async def send(self, provider: str, request: Request, seconds: float) -> Response:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended += 1
            raise AssertionError

        def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
            raise NotImplementedError

        def close(self) -> None:
            pass

    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    sender = Hanging()
    cache = UnifiedAPICache.create(sender=sender)

    async def run() -> None:
        for _ in range(2):
            asking = asyncio.ensure_future(cache.cached_api_call(operation="completion", prompt="x"))
            await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(run())
    assert sender.ended == 2
    assert cache.get_stats()["providers"]["anthropic"]["errors"] == {}
    cache.close()
