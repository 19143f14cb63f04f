"""The call surface: operations, wrapped callables, views, decorators; each over sync and async."""

import asyncio
import dataclasses
import functools
import logging
from typing import Any

import pytest

import apicache
from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


def look_up(item: str, *, deep: bool = False) -> dict[str, Any]:
    calls.append(item)
    return {"item": item, "deep": deep, "n": len(calls)}


def look_up_too(item: str, *, deep: bool = False) -> dict[str, Any]:
    calls.append(item)
    return {"item": item, "too": deep}


class Service:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    def get(self, item: str) -> str:
        calls.append(item)
        return f"{self.tenant}:{item}"


def test_an_operation_runs_once_and_is_then_answered(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("look_up")(look_up)
    first = call(cache, operation="look_up", item="a")
    assert call(cache, operation="look_up", item="a") == first
    assert calls == ["a"]


def test_defaults_given_or_not_are_the_same_call(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("look_up")(look_up)
    call(cache, operation="look_up", item="a")
    call(cache, operation="look_up", deep=False, item="a")
    call(cache, operation="look_up", item="a", deep=True)
    assert len(calls) == 2


def test_one_and_true_are_different_parameters(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("look_up")(look_up)
    for item in (1, True, 1.0, "1"):
        assert call(cache, operation="look_up", item=item)["item"] is item


def test_none_and_falsy_results_are_hits(cache: UnifiedAPICache, call: Any) -> None:
    results = {"none": None, "zero": 0, "empty": []}

    @cache.operation("falsy")
    def falsy(which: str) -> Any:
        calls.append(which)
        return results[which]

    for which, expected in results.items():
        assert call(cache, operation="falsy", which=which) == expected
        assert call(cache, operation="falsy", which=which) == expected
    assert calls == ["none", "zero", "empty"]


def test_an_entry_is_served_until_its_ttl_and_not_at_it(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    cache.operation("look_up", ttl="1m")(look_up)
    call(cache, operation="look_up", item="a")
    clock.advance(59.9)
    call(cache, operation="look_up", item="a")
    assert len(calls) == 1
    clock.advance(0.1)
    call(cache, operation="look_up", item="a")
    assert len(calls) == 2


def test_what_a_caller_mutates_is_its_own(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("look_up")(look_up)
    call(cache, operation="look_up", item="a")["item"] = "spoiled"
    call(cache, operation="look_up", item="a")["item"] = "spoiled again"
    assert call(cache, operation="look_up", item="a")["item"] == "a"


def test_errors_are_raised_as_they_are_and_not_kept(cache: UnifiedAPICache, call: Any) -> None:
    class UpstreamError(Exception):
        pass

    @cache.operation("fails")
    def fails() -> None:
        calls.append("x")
        raise UpstreamError("no")

    for _ in range(2):
        with pytest.raises(UpstreamError, match="no"):
            call(cache, operation="fails")
    assert len(calls) == 2


def test_async_operations_are_awaited(cache: UnifiedAPICache) -> None:
    @cache.operation("later")
    async def later(n: int) -> int:
        calls.append(n)
        await asyncio.sleep(0)
        return n + 1

    async def run() -> list[int]:
        return [await cache.cached_api_call(operation="later", n=1) for _ in range(3)]

    assert asyncio.run(run()) == [2, 2, 2]
    assert calls == [1]


def test_the_sync_form_refuses_an_async_operation_by_naming_the_other_form(cache: UnifiedAPICache) -> None:
    @cache.operation("later")
    async def later() -> int:
        return 1

    with pytest.raises(TypeError, match=r"later is async; write `await cached_api_call"):
        cache.cached_api_call_sync(operation="later")


def test_an_unknown_operation_names_the_close_one(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("completion")(look_up)
    with pytest.raises(InputError, match=r"unknown operation 'complete'; did you mean 'completion'\?"):
        call(cache, operation="complete", prompt="x")


def test_without_any_operation_the_error_says_what_to_import(cache: UnifiedAPICache, call: Any) -> None:
    with pytest.raises(InputError, match="none is registered: import the module"):
        call(cache, operation="complete")


def test_wrong_parameters_raise_what_the_call_would_raise(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("look_up")(look_up)
    with pytest.raises(TypeError, match="missing a required argument: 'item'"):
        call(cache, operation="look_up")
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'itm'"):
        call(cache, operation="look_up", item="a", itm="a")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"itm": "a"}, r"missing .* 'item'; operation 'find': did you mean 'item'\? \(it takes item, limit\)$"),
        ({"item": "a", "limt": 3}, r"unexpected .* 'limt'; operation 'find': did you mean 'limit'\? \(it takes"),
        ({"item": "a", "xyzzy": 3}, r"unexpected .* 'xyzzy'; operation 'find': it takes item, limit$"),
        ({}, r"missing .* 'item'; operation 'find': it takes item, limit$"),
    ],
)
def test_a_misspelt_parameter_is_bad_input_and_names_the_close_one(
    cache: UnifiedAPICache, call: Any, given: dict[str, Any], told: str
) -> None:
    @cache.operation("find")
    def find(item: str, limit: int = 5) -> str:
        return item * limit

    with pytest.raises(InputError, match=told):
        call(cache, operation="find", **given)
    with pytest.raises(InputError, match=told):
        asyncio.run(cache.cached_api_calls([{"operation": "find", **given}]))
    with pytest.raises(InputError, match=told):
        cache.key_of(operation="find", **given)


def test_a_misspelt_parameter_of_a_built_in_operation_names_the_close_one(cache: UnifiedAPICache, call: Any) -> None:
    with pytest.raises(InputError, match=r"unexpected .* 'promt'; operation 'completion': did you mean 'prompt'\?"):
        call(cache, operation="completion", promt="hello")


@pytest.mark.parametrize("form", ["cached_api_calls", "cached_api_calls_sync", "warm_cache"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"operation": "look_up", "item": "a"}, r"was given a dict, and takes a list; write \[\{'operation': \.\.\., "),
        ("look_up", "was given a str, and takes a list of calls"),
        (None, "was given a NoneType, and takes a list of calls"),
        (["look_up"], "entry 0 is a str; write {'operation'"),
        ([{"item": "a"}], "entry 0 names no operation"),
    ],
)
def test_what_is_no_list_of_calls_is_refused(cache: UnifiedAPICache, form: str, given: Any, told: str) -> None:
    cache.operation("look_up")(look_up)

    def ask() -> None:
        asyncio.run(getattr(cache, form)(given))

    with pytest.raises(InputError, match=told):
        ask()


@pytest.mark.parametrize(
    ("args", "hint"), [((), "give one of them"), (("look_up",), "write operation='look_up'"), ((5,), "callable")]
)
def test_a_call_of_neither_form_says_which_forms_there_are(
    cache: UnifiedAPICache, call: Any, args: tuple[Any, ...], hint: str
) -> None:
    with pytest.raises(InputError, match=hint):
        call(cache, *args)


def test_two_functions_under_one_name_are_an_error_naming_both(cache: UnifiedAPICache) -> None:
    cache.operation("look_up")(look_up)
    with pytest.raises(InputError, match=r"registered twice: in .*look_up and in .*look_up_too"):
        cache.operation("look_up")(look_up_too)


def test_the_same_function_may_be_registered_again(cache: UnifiedAPICache) -> None:
    cache.operation("look_up")(look_up)
    cache.operation("look_up", ttl=1)(look_up)
    assert cache.operations["look_up"].options == {"ttl": 1}


def test_operations_that_cannot_be_called_by_name_are_refused(cache: UnifiedAPICache) -> None:
    def positional(a: int, /) -> int:
        return a

    def clashing(operation: str) -> str:
        return operation

    for function in (positional, clashing):
        with pytest.raises(InputError, match="rename it"):
            cache.operation("x")(function)


def test_a_module_level_function_is_wrapped_under_its_own_name(cache: UnifiedAPICache, call: Any) -> None:
    assert call(cache, look_up, "a") == call(cache, look_up, item="a", deep=False)
    call(cache, look_up_too, "a")
    assert calls == ["a", "a"]


def test_a_keyword_named_operation_belongs_to_the_wrapped_callable(cache: UnifiedAPICache, call: Any) -> None:
    assert call(cache, dict, operation="mine") == {"operation": "mine"}


def test_a_bound_method_without_a_name_is_called_uncached_with_one_warning(
    cache: UnifiedAPICache, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Service("one"), Service("other")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert [call(cache, service.get, "a") for service in (one, other, one)] == ["one:a", "other:a", "one:a"]
    assert len(calls) == 3
    assert len(caplog.records) == 1
    assert "using(operation=...)" in caplog.text


@pytest.mark.parametrize(
    "wrapped", [lambda item: calls.append(item), functools.partial(lambda item: calls.append(item))]
)
def test_closures_and_lambdas_without_a_name_are_called_uncached(
    cache: UnifiedAPICache, call: Any, wrapped: Any
) -> None:
    call(cache, wrapped, "a")
    call(cache, wrapped, "a")
    assert calls == ["a", "a"]


def test_a_partial_is_the_call_it_completes(cache: UnifiedAPICache, call: Any) -> None:
    call(cache, functools.partial(look_up, deep=True), "a")
    call(cache, look_up, "a", deep=True)
    assert calls == ["a"]


def test_an_argument_without_content_is_called_uncached_and_named(
    cache: UnifiedAPICache, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="apicache"):
        for _ in range(2):
            call(cache, look_up, object())
    assert len(calls) == 2
    assert "item" in caplog.text
    assert "object" in caplog.text


def test_a_parameter_without_content_is_named_with_its_operation(
    cache: UnifiedAPICache, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache.operation("look_up")(look_up)
    with caplog.at_level(logging.WARNING, logger="apicache"):
        call(cache, operation="look_up", item={"planted": [object()]})
    assert "look_up" in caplog.text
    assert "item" in caplog.text
    assert "object" in caplog.text
    assert "planted" not in caplog.text


def test_a_generator_argument_is_not_consumed(cache: UnifiedAPICache, call: Any) -> None:
    assert call(cache, sorted, (n for n in (3, 1, 2))) == [1, 2, 3]


def test_using_names_a_bound_method_and_sets_its_policy(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    view = cache.using(operation="service", ttl=10, scope="one")
    service = Service("one")
    assert [call(view, service.get, "a") for _ in range(2)] == ["one:a", "one:a"]
    assert len(calls) == 1
    clock.advance(10)
    call(view, service.get, "a")
    assert len(calls) == 2


@pytest.mark.parametrize("part", ["scope", "namespace", "version", "key"])
def test_each_part_of_a_views_identity_separates_answers(cache: UnifiedAPICache, call: Any, part: str) -> None:
    for value in ("x", "y", "x"):
        call(cache.using(**{part: value}), look_up, "a")
    assert len(calls) == 2


def test_a_key_function_sees_the_calls_own_arguments(cache: UnifiedAPICache, call: Any) -> None:
    view = cache.using(key=lambda item, **_: item.lower())
    assert call(view, look_up, "A") == call(view, look_up, "a", deep=True)
    assert calls == ["A"]


def test_views_cascade_and_leave_the_cache_as_it_was(cache: UnifiedAPICache) -> None:
    view = cache.using(ttl=5).using(scope="me")
    assert dict(view._options) == {"ttl": 5, "scope": "me"}
    assert dict(cache._options) == {}
    with pytest.raises(InputError, match="did you mean 'scope'"):
        cache.using(scpoe="me")


def test_a_decorated_function_keeps_its_name_and_is_answered_from_the_cache(cache: UnifiedAPICache) -> None:
    @cache.cached(prefix="analysis", ttl=1800)
    async def analyse(profile: int, data: dict[str, int]) -> dict[str, Any]:
        """What it does."""
        calls.append(profile)
        return {"profile": profile, **data}

    @cache.cached()
    def plain(n: int = 1) -> int:
        calls.append(n)
        return n

    async def run() -> list[Any]:
        return [await analyse(1, {"a": 2}), await analyse(data={"a": 2}, profile=1)]

    first, second = asyncio.run(run())
    assert first == second == {"profile": 1, "a": 2}
    assert calls == [1]
    assert (analyse.__name__, analyse.__doc__) == ("analyse", "What it does.")
    assert cache.get_stats()["operations"]["analysis"]["cache_hits"] == 1
    # A closure has no name of its own to be known by, and no prefix gives it one.
    assert [plain(), plain()] == [1, 1]
    assert len(calls) == 3


def test_two_functions_with_one_prefix_do_not_share_answers(cache: UnifiedAPICache) -> None:
    one, other = cache.cached(prefix="q")(look_up), cache.cached(prefix="q")(look_up_too)
    assert one("a") != other("a")


@dataclasses.dataclass
class Repository:
    tenant: str

    def fetch(self, item: str) -> str:
        calls.append(item)
        return f"{self.tenant}:{item}"


def test_a_decorated_method_is_answered_per_content_of_self(cache: UnifiedAPICache) -> None:
    fetch = cache.cached(prefix="repo")(Repository.fetch)
    assert [fetch(Repository(name), "a") for name in ("x", "y", "x")] == ["x:a", "y:a", "x:a"]
    assert len(calls) == 2


def test_a_decorated_method_of_a_plain_object_is_called_uncached(cache: UnifiedAPICache) -> None:
    get = cache.cached(prefix="svc")(Service.get)
    assert [get(Service(name), "a") for name in ("x", "y", "x")] == ["x:a", "y:a", "x:a"]
    assert len(calls) == 3


def test_a_generator_is_not_decorated(cache: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="generator"):

        @cache.cached()
        def numbers() -> Any:
            yield 1


def test_a_ttl_of_zero_stores_nothing(cache: UnifiedAPICache, call: Any) -> None:
    view = cache.using(ttl=0)
    call(view, look_up, "a")
    call(view, look_up, "a")
    assert len(calls) == 2


def test_what_cannot_be_stored_is_returned_and_reported_once(
    cache: UnifiedAPICache, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = object()
    cache.operation("made")(lambda: made)
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert call(cache, operation="made") is made
        assert call(cache, operation="made") is made
    assert len(caplog.records) == 1
    assert cache.get_stats()["not_stored"] == 2


def test_json_is_asked_only_of_responses(cache: UnifiedAPICache, call: Any) -> None:
    cache.operation("plain", returns="json")(lambda: {"a": 1})
    with pytest.raises(InputError, match="returned a dict; return the response"):
        call(cache, operation="plain")


def test_the_statistics_have_the_source_documents_names(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    @cache.operation("slow", cost=0.002)
    def slow(n: int) -> int:
        clock.advance(0.5)
        return n

    for n in (1, 1, 1, 2):
        call(cache, operation="slow", n=n)
    stats = cache.get_stats()
    assert (stats["cache_hits"], stats["cache_misses"], stats["hit_rate"]) == (2, 2, 0.5)
    assert stats["tier_hits"] == {"memory": 2}
    assert stats["latency_saved_seconds"] == pytest.approx(1.0)
    assert stats["cost_saved"] == pytest.approx(0.004)
    assert stats["operations"]["slow"]["cache_hits"] == 2


def test_off_calls_straight_through_and_identifies_nothing(call: Any) -> None:
    cache = UnifiedAPICache.create(mode="off")
    cache.operation("look_up")(look_up)
    for _ in range(2):
        call(cache, operation="look_up", item="a")
        call(cache, look_up, object())
    assert len(calls) == 4
    assert cache.get_stats()["bypassed"] == 4


def test_there_is_one_process_wide_cache_and_it_is_off_under_pytest() -> None:
    assert UnifiedAPICache() is UnifiedAPICache()
    assert UnifiedAPICache().mode == "off"
    assert apicache.get_stats()["mode"] == "off"
    assert apicache.cached_api_call_sync(look_up, "a") != apicache.cached_api_call_sync(look_up, "a")


def test_isolated_caches_share_nothing(call: Any) -> None:
    one, other = UnifiedAPICache.create(), UnifiedAPICache.create()
    call(one, look_up, "a")
    call(other, look_up, "a")
    assert len(calls) == 2
    with pytest.raises(InputError, match="mode 'maybe' is not known; known: off, observe, shadow, on"):
        UnifiedAPICache.create(mode="maybe")
    with pytest.raises(InputError, match="both tiers and directory"):
        UnifiedAPICache.create(tiers=[], directory="x")


@pytest.mark.parametrize("given", [["memory", "disk"], "memory", [object()], {"memory": {}}, 3])
def test_tiers_that_are_none_are_refused_and_what_to_type_is_told(given: Any) -> None:
    with pytest.raises(InputError, match=r"tiers=.* is no list of tiers.*leave tiers out.*directory='\.\.\.' alone"):
        UnifiedAPICache.create(tiers=given)


def test_a_decorator_without_its_parentheses_says_what_to_write(cache: UnifiedAPICache) -> None:
    def rate(currency: str) -> str:
        return currency

    with pytest.raises(InputError, match=r"write @cached\(\) above it"):
        cache.cached(rate)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"the function itself in the place of a name; write @operation\('a name'\)"):
        cache.operation(rate)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a int in the place of a name"):
        cache.operation(3)  # type: ignore[arg-type]
