"""One suite over every adapter: identity, what is cacheable, faithful replay, secrets.

The drivers in `adapter_drivers` say how each library is called; see `Driver` there.
"""

import asyncio
import base64
import contextlib
import importlib
import importlib.util
import inspect
import itertools
import json
import logging
import math
import os
import pkgutil
import sys
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apicache import UnifiedAPICache, adapters

FOLDER = Path(__file__).parent / "adapter_drivers"
PAIRS = 10_000
"""Pairs of different calls that are compared, over all drivers together."""
CALLS = 12
"""Calls in one example, which is 66 pairs: the calls are what costs time, not the pairs."""


def load_drivers() -> dict[str, list[Any]]:
    """The drivers of each adapter. The folder is a package without a place in `sys.path`: its modules' names are the
    libraries'."""
    package = "adapter_drivers"
    if package not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            package, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    names = sorted(each.name for each in pkgutil.iter_modules([str(FOLDER)]) if not each.name.startswith("_"))
    modules: dict[str, ModuleType] = {name: importlib.import_module(f"{package}.{name}") for name in names}
    return {name: module.DRIVERS for name, module in modules.items()}


DRIVERS = load_drivers()
ALL = [driver for drivers in DRIVERS.values() for driver in drivers]
RESPONSES_ONLY = {"http"}
"""Adapters without calls of their own: they hold what another library's calls return."""
GROUPS = {
    id(driver): [pytest.mark.xdist_group(name), *([getattr(pytest.mark, driver.needs)] if driver.needs else [])]
    for name, drivers in DRIVERS.items()
    for driver in drivers
}
"""The tests of one library run in one process (`--dist loadgroup`): loading it can take seconds."""


class Bench:
    """A driver with the server it speaks to, in an event loop if it needs one."""

    def __init__(self, driver: Any, api: Any) -> None:
        self.driver, self.api = driver, api
        self._runner = asyncio.Runner() if driver.is_async else None

    def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What a function returns, or what the awaitable that it returns gives."""
        if self._runner is None:
            return function(*args, **kwargs)

        async def ran() -> Any:
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return self._runner.run(ran())

    @contextlib.contextmanager
    def client(self, variant: Mapping[str, Any]) -> Iterator[Any]:
        manager = self.driver.open(self.api, variant)
        if self._runner is None:
            with manager as client:
                yield client
            return
        client = self.run(manager.__aenter__)
        try:
            yield client
        finally:
            self.run(manager.__aexit__, None, None, None)

    def direct(self, client: Any, call: Any) -> Any:
        function, args, kwargs = self.driver.call(client, *call)
        return self.run(function, *args, **kwargs)

    def cached(self, cache: Any, client: Any, call: Any) -> Any:
        function, args, kwargs = self.driver.call(client, *call)
        cache = self.using(cache)
        if self._runner is None:
            return cache.cached_api_call_sync(function, *args, **kwargs)
        return self.run(cache.cached_api_call, function, *args, **kwargs)

    def using(self, cache: UnifiedAPICache) -> Any:
        """The cache, for whoever makes the calls."""
        return cache if self.driver.scope is None else cache.using(scope=self.driver.scope)

    def read(self, answer: Any) -> Any:
        return self.run(self.driver.read, answer)

    def sent(self, client: Any) -> int:
        return self.driver.sent(self.api, client)

    def reset(self, client: Any) -> None:
        self.driver.reset(self.api, client)

    def plan(self, cache: UnifiedAPICache, client: Any, call: Any) -> Any:
        """The call's plan, identified; nothing is sent."""

        def planned() -> Any:
            function, args, kwargs = self.driver.call(client, *call)
            plan = self.using(cache)._look_up(function, args, dict(kwargs), loads=False)
            plan.identify()
            return plan

        return self.run(planned)

    def key(self, cache: UnifiedAPICache, client: Any, call: Any) -> bytes:
        plan = self.plan(cache, client, call)
        assert plan.key is not None, f"{call} has no key: {plan.bypass}"
        return plan.key

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some libraries take proxies and certificates, even keys, from there."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle", "_cert_file", "_api_key", "_base_url")):
            monkeypatch.delenv(name)


@pytest.fixture
def bench(driver: Any, api: Any) -> Iterator[Bench]:
    api.documents.append(driver.document)
    bench = Bench(driver, api)
    yield bench
    bench.close()


def each_driver(test: Any) -> Any:
    parameters = [pytest.param(driver, marks=GROUPS[id(driver)], id=driver.name) for driver in ALL]
    return pytest.mark.parametrize("driver", parameters)(test)


def each_call(kind: str) -> Any:
    """Run a test for each call in `examples` or `refused` of the drivers."""
    parameters = [
        pytest.param(driver, call, marks=GROUPS[id(driver)], id=f"{driver.name}-{call[0]}-{number}")
        for driver in ALL
        for number, call in enumerate(getattr(driver, kind))
    ]
    return pytest.mark.parametrize(("driver", "call"), parameters)


def test_every_adapter_has_drivers_and_every_driver_says_what_it_is_without() -> None:
    assert set(DRIVERS) == adapters.known() - RESPONSES_ONLY
    names = [driver.name for driver in ALL]
    assert len(set(names)) == len(names)
    for driver in ALL:
        given = {"error": driver.failing, "ignored": driver.ignored, "refused": driver.refused, "secret": driver.secret}
        assert {what for what, value in given.items() if not value} == driver.without.keys(), driver
        assert all(driver.without.values()), driver
        assert len(driver.variants) >= 2, driver
        assert not driver.secret or any(driver.secret in repr(variant) for variant in driver.variants), driver


@each_call("examples")
def test_the_second_call_sends_nothing_and_both_answer_as_an_uncached_one(
    cache: UnifiedAPICache, bench: Bench, driver: Any, call: Any
) -> None:
    with bench.client(driver.variants[0]) as client:
        bench.reset(client)
        direct = bench.direct(client, call)
        requests = bench.sent(client)
        kinds = [type(direct)]
        direct = bench.read(direct)
        bench.reset(client)
        answers = []
        for _ in range(2):
            answer = bench.cached(cache, client, call)
            kinds.append(type(answer))
            answers.append(bench.read(answer))
        assert bench.sent(client) == requests > 0
    assert cache.get_stats()["cache_hits"] == 1
    assert kinds == [kinds[0]] * 3
    for answer in answers:
        assert driver.same(answer, direct), f"{answer!r} is not {direct!r}"
    assert driver.same(*answers)


@each_call("examples")
def test_a_caller_may_change_its_answer(cache: UnifiedAPICache, bench: Bench, driver: Any, call: Any) -> None:
    with bench.client(driver.variants[0]) as client:
        bench.reset(client)
        bench.cached(cache, client, call)
        hits = [bench.cached(cache, client, call) for _ in range(3)]
        assert len({id(hit) for hit in hits}) == 3
        untouched = bench.read(hits[0])
        driver.spoil(hits[1])
        assert driver.same(bench.read(hits[2]), untouched)
        assert driver.same(bench.read(bench.cached(cache, client, call)), untouched)


@each_call("refused")
def test_refused_calls_reach_the_server_each_time(
    cache: UnifiedAPICache, bench: Bench, driver: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with bench.client(driver.variants[0]) as client, caplog.at_level(logging.WARNING, logger="apicache"):
        bench.reset(client)
        direct = _outcome(bench, lambda: bench.direct(client, call))
        requests = bench.sent(client)
        for _ in range(2):
            bench.reset(client)
            cached = _outcome(bench, lambda: bench.cached(cache, client, call))
            assert bench.sent(client) == requests
            assert _same_outcome(driver, cached, direct), f"{cached!r} is not {direct!r}"
    stats = cache.get_stats()
    assert (stats["bypassed"], stats["stored"], stats["cache_hits"]) == (2, 0, 0)
    assert "arguments are refused" not in caplog.text  # that is an accident, not a reason


@each_driver
def test_arguments_that_change_no_answer_are_not_part_of_the_identity(
    cache: UnifiedAPICache, bench: Bench, driver: Any
) -> None:
    method, args, kwargs = driver.examples[0]
    with bench.client(driver.variants[0]) as client:
        keys = {bench.key(cache, client, (method, args, {**kwargs, **ignored})) for ignored in ({}, *driver.ignored)}
    assert len(keys) == 1


@each_driver
def test_clients_share_when_and_only_when_their_settings_are_equal(
    cache: UnifiedAPICache, bench: Bench, driver: Any
) -> None:
    rounds: list[list[bytes]] = [[], []]
    for keys in rounds:
        for variant in driver.variants:
            with bench.client(variant) as client:
                keys.append(bench.key(cache, client, driver.examples[0]))
                if driver.secret and driver.secret in repr(variant):
                    assert bench.plan(cache, client, driver.examples[0]).has_owner, variant
    first, second = rounds
    assert first == second
    for (one, key), (other, another) in itertools.combinations(zip(driver.variants, first, strict=True), 2):
        assert key != another, f"{one} shares with {other}"


@each_driver
def test_no_two_different_calls_share(cache: UnifiedAPICache, bench: Bench, driver: Any) -> None:
    share = math.ceil(PAIRS / len(ALL))
    examples = math.ceil(1.4 * share / math.comb(CALLS, 2))  # some pairs are equal
    different = 0

    with bench.client(driver.variants[0]) as client:

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(st.lists(driver.arguments, min_size=CALLS, max_size=CALLS))
        def check(calls: list[Any]) -> None:
            nonlocal different
            keyed = []
            for method, args, kwargs in calls:
                key = bench.key(cache, client, (method, args, kwargs))
                turned = dict(reversed(list(kwargs.items())))
                assert bench.key(cache, client, (method, args, turned)) == key
                keyed.append(((method, args, kwargs), key))
            for (one, key), (other, another) in itertools.combinations(keyed, 2):
                if driver.meaning(one) != driver.meaning(other):
                    assert key != another, f"{one} shares with {other}"
                    different += 1
                elif repr(one) == repr(other):  # else the order within an argument may, or may not, be sent
                    assert key == another, f"{one} does not share with its equal"

        check()
    assert different >= share, f"{different} pairs of {driver} are too few: draw more different ones"


@each_driver
def test_an_error_is_answered_as_without_the_cache_and_not_kept(
    cache: UnifiedAPICache, bench: Bench, driver: Any
) -> None:
    if "error" in driver.without:
        return
    outcomes = []
    with bench.client(driver.failing) as client:
        for make in (bench.direct, bench.cached, bench.cached):
            bench.reset(client)
            given_cache = [] if make == bench.direct else [cache]
            outcomes.append(
                _outcome(bench, lambda make=make, first=given_cache: make(*first, client, driver.examples[0]))
            )
            assert bench.sent(client) > 0
    assert cache.get_stats()["stored"] == 0
    assert cache.get_stats()["bypassed"] == 0
    for outcome in outcomes[1:]:
        assert _same_outcome(driver, outcome, outcomes[0]), f"{outcome!r} is not {outcomes[0]!r}"


def _outcome(bench: Bench, make: Any) -> tuple[Any, Any]:
    """(answer, None) or (None, error)."""
    try:
        return bench.read(make()), None
    except Exception as error:  # noqa: BLE001 - whichever the library raises
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is a response, too
        return None, error


def _same_outcome(driver: Any, one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    if one[1] is None or other[1] is None:
        return one[1] is other[1] and driver.same(one[0], other[0])
    return type(one[1]) is type(other[1]) and str(one[1]) == str(other[1])


@each_driver
def test_a_credential_is_found_nowhere(
    tmp_path: Path, bench: Bench, driver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    if "secret" in driver.without:
        return
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True, tier_timeout=10.0)
    events: list[Any] = []
    cache.add_hook(events.append)
    with caplog.at_level(logging.DEBUG, logger="apicache"):
        first, *others = [variant for variant in driver.variants if driver.secret in repr(variant)]
        use_with_secret(cache, bench, first, [*driver.examples, *driver.examples, *driver.refused])
        for variant in others:  # what they change is where the secret stands, not what is answered
            use_with_secret(cache, bench, variant, [driver.examples[0], driver.examples[0], *driver.refused[:1]])
    (far,) = cache._engine.tiers.shared
    assert cache.flush(20)
    entries = list(far.entries())
    stats = json.dumps(cache.get_stats())
    cache.close()
    assert len(entries) >= 1
    # The entries whole, as what is stored is compressed.
    told = [stats, caplog.text, repr(events), repr(entries)]
    paths = [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]
    for secret in forms_of(driver.secret):
        assert not any(secret in text for text in [*told, *map(str, paths)])
        for path in paths:
            # A folder, or what SQLite has removed meanwhile as it closed.
            with contextlib.suppress(IsADirectoryError, FileNotFoundError):
                assert secret.encode() not in (tmp_path / path).read_bytes(), path


def use_with_secret(cache: UnifiedAPICache, bench: Bench, variant: Mapping[str, Any], calls: list[Any]) -> None:
    driver = bench.driver
    with bench.client(variant) as client:
        for call in calls:
            _outcome(bench, lambda call=call: bench.cached(cache, client, call))
    if driver.failing:
        with bench.client({**variant, **driver.failing}) as client:
            _outcome(bench, lambda: bench.cached(cache, client, driver.examples[0]))


def forms_of(secret: str) -> list[str]:
    """The secret, and what stands for it within a base64 text, for each of the three places where it may begin."""
    forms = [secret]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret.encode()).decode()
        forms.append(text[math.ceil(8 * before / 6) : 8 * (before + len(secret)) // 6])
    return forms


def test_a_secret_is_recognised_in_what_basic_auth_makes_of_it() -> None:
    for user in ("", "a", "ab", "abc"):
        header = base64.b64encode(f"{user}:sk-planted".encode()).decode()
        assert any(form in header for form in forms_of("sk-planted"))
    assert not any(form in base64.b64encode(b"me:something-else").decode() for form in forms_of("sk-planted"))
