"""Where a call goes and until when an entry serves it: the rules that the engine follows and `explain` tells."""

import functools
import math
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.core import Route, end_of, is_within, max_age_of, route_of, switch_of
from apicache.entry import Entry
from apicache.modes import Switch
from apicache.planning import Plan
from apicache.policy import Policy, policy_for
from apicache.tiers.memory import MemoryTier

ENTRY = Entry("quote", "value", b"", 1000.0, 1100.0, 2000.0, compute_seconds=5.0)


def policy(**options: Any) -> Policy:
    return policy_for("quote", {}).merged(options)


def call(**options: Any) -> Plan:
    plan = Plan("quote", policy(**options), functools.partial(dict), lambda plan: (plan.parameters, None))
    plan.parameters = {"private": True, "symbol": "A"}
    return plan


def raises(_parameters: Any) -> bool:
    raise LookupError


@pytest.mark.parametrize(
    ("mode", "options", "route"),
    [
        ("on", {}, Route.CACHE),
        ("off", {}, Route.OFF),
        ("off", {"mode": "on", "invalidates": ["a"]}, Route.OFF),
        ("on", {"mode": "off"}, Route.OFF),
        ("on", {"invalidates": ["a"], "no_store": ["private"]}, Route.WRITE),
        ("on", {"no_store": ["private"]}, Route.NO_STORE),
        ("on", {"no_store": ["public"]}, Route.CACHE),
        ("on", {"no_store": raises}, Route.NO_STORE),
        ("on", {"scope": object()}, Route.UNIDENTIFIED),
        ("0%", {}, Route.NOT_CHOSEN),
        ("100%", {}, Route.CACHE),
        ("observe", {}, Route.OBSERVE),
        ("observe", {"mode": "shadow"}, Route.SHADOW),
    ],
)
def test_the_first_rule_that_applies_gives_the_route(mode: str, options: dict[str, Any], route: Route) -> None:
    plan, switch = call(**options), Switch.parse(mode)
    assert route_of(plan, switch) is route
    cache = UnifiedAPICache.create(mode=mode, tiers=[MemoryTier()], usage_log=False)
    assert cache._engine.route(call(**options)) is route
    through = route in {Route.OFF, Route.NO_STORE, Route.UNIDENTIFIED, Route.NOT_CHOSEN}
    assert cache.get_stats()["bypassed"] == int(through)


def test_a_call_that_goes_past_the_cache_at_once_has_no_key_to_find() -> None:
    for mode, options in (("off", {}), ("on", {"invalidates": ["a"]}), ("on", {"no_store": ["private"]})):
        plan = call(**options)
        route_of(plan, Switch.parse(mode))
        assert (plan.key, plan.bypass) == (None, None)


def test_why_a_call_has_no_route_to_the_cache_is_kept() -> None:
    plan = call(no_store=raises)
    route_of(plan, Switch.parse("on"))
    assert plan.bypass == "its no_store raised LookupError"


def test_a_cache_that_is_off_stays_off() -> None:
    assert switch_of(policy(mode="on"), Switch.parse("off")) == Switch("off")
    assert switch_of(policy(mode="10%"), Switch.parse("on")) == Switch("on", 0.1)
    assert switch_of(policy(), Switch.parse("shadow")) == Switch("shadow")


@pytest.mark.parametrize(("ttl", "end"), [(50.0, 1055.0), (500.0, 1100.0), (lambda _: 1.0, 1100.0)])
def test_an_entry_ends_by_its_own_ttl_or_by_a_shorter_one_of_the_caller(ttl: Any, end: float) -> None:
    assert end_of(policy(ttl=ttl), ENTRY) == end
    assert max_age_of(policy(ttl=ttl), ENTRY) == (math.inf if callable(ttl) else ttl + 5)


@pytest.mark.parametrize(
    ("entry", "options", "window", "now", "served"),
    [
        (ENTRY, {}, 10.0, 1109.0, True),
        (ENTRY, {}, 10.0, 1110.0, False),
        (ENTRY, {}, 0.0, 1000.0, False),
        (ENTRY, {"ttl": 50.0}, 10.0, 1064.0, True),
        (ENTRY, {"ttl": 50.0}, 10.0, 1065.0, False),
        (Entry("quote", "value", b"", 0.0, 1.0, 99.0, must_revalidate=True), {}, 10.0, 2.0, False),
        (Entry("quote", "value", b"", 0.0, 1.0, 99.0, must_revalidate=True), {"http": "override"}, 10.0, 2.0, True),
    ],
)
def test_the_window_past_its_end(
    entry: Entry, options: dict[str, Any], window: float, now: float, served: bool
) -> None:
    assert is_within(policy(ttl=1000.0).merged(options), entry, window, now) is served


def test_the_engine_serves_within_that_window() -> None:
    clock = ManualClock(0.0)
    cache = UnifiedAPICache.create(clock=clock, tiers=[MemoryTier()], usage_log=False)
    calls = cache.using(ttl=10, stale_while_revalidate=5)
    for now, stale in ((0.0, 0), (14.9, 1)):
        clock.advance(now)
        calls.cached_api_call_sync(abs, -1)
        assert cache.get_stats()["stale"] == stale
