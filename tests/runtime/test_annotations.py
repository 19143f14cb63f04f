"""What a callable's annotation reaches, found once, and what that means for wrapped calls."""

import asyncio
import dataclasses
import enum
import functools
import gc
import importlib
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from apicache import UnifiedAPICache, records
from apicache.annotations import Reach, declaring
from apicache.errors import UnencodableError
from apicache.records import RecordTypes
from apicache.tiers.memory import MemoryTier


@dataclasses.dataclass
class Point:
    x: int


class Struct(msgspec.Struct):
    x: int


class Model(pydantic.BaseModel):
    x: int


class Colour(enum.Enum):
    RED = 1


def dataclass(x: int) -> Point:
    return Point(x)


def structs(x: int) -> list[Struct]:
    return [Struct(x)]


def models(x: int) -> dict[str, Model]:
    return {"x": Model(x=x)}


def colour(x: int) -> Colour | None:
    return Colour(x)


def undeclared(x: int) -> Any:
    return Point(x)


class Service:
    def find(self) -> Point:
        raise NotImplementedError

    def __call__(self) -> Struct:
        raise NotImplementedError


@pytest.fixture
def cache() -> UnifiedAPICache:
    return UnifiedAPICache.create(tiers=[MemoryTier()], usage_log=False)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A module in which `Late` is not defined yet."""
    program = "def find(x: int) -> 'list[Late]':\n    return [globals()['Made'](x)]\n"
    (tmp_path / "late_shop.py").write_text(program, encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    made: Any = importlib.import_module("late_shop")
    made.Made = dataclasses.make_dataclass("Late", [("x", int)])
    made.Made.__module__ = "late_shop"
    yield made
    del sys.modules["late_shop"]


WRAPPED = [dataclass, structs, models, colour, functools.partial(dataclass)]


@pytest.mark.parametrize("function", WRAPPED)
def test_a_wrapped_calls_records_are_stored_as_its_function_declares_them(
    cache: UnifiedAPICache, function: Callable[[int], Any]
) -> None:
    first, second = (cache.cached_api_call_sync(function, 1) for _ in range(2))
    assert first == second
    assert type(first) is type(second)
    assert cache.get_stats()["cache_hits"] == 1


def test_an_async_one_knows_them_too(cache: UnifiedAPICache) -> None:
    async def main() -> list[Any]:
        first = await cache.cached_api_call(dataclass, 1)
        return [first, await cache.cached_api_call(dataclass, 1)]

    assert asyncio.run(main()) == [Point(1)] * 2
    assert cache.get_stats()["cache_hits"] == 1


def test_without_a_declaration_the_allowed_modules_count() -> None:
    for allowed, hits in (((), 0), ((__name__,), 1)):
        made = UnifiedAPICache.create(tiers=[MemoryTier()], usage_log=False, allow_modules=allowed)
        assert [made.cached_api_call_sync(undeclared, 1) for _ in range(2)] == [Point(1)] * 2
        assert made.get_stats()["cache_hits"] == hits


def test_methods_of_short_lived_instances_are_one_function() -> None:
    before = RecordTypes.of(Service().find)
    known = len(records._known)
    for _ in range(100):
        assert RecordTypes.of(Service().find) is before
        assert RecordTypes.of(functools.partial(Service().find)) is before
    assert len(records._known) == known
    assert before.classes == [Point]
    assert RecordTypes.of(Service()) is RecordTypes.of(Service())
    assert RecordTypes.of(Service()).classes == [Struct]


@pytest.mark.parametrize("annotation", [Point, "Point", "Unknown", "Local"])
def test_a_function_that_is_gone_is_not_remembered(annotation: Any) -> None:
    def function() -> Any: ...

    function.__annotations__["return"] = annotation
    RecordTypes.of(function)
    gone = weakref.ref(function)
    del function
    gc.collect()
    assert gone() is None


def test_classes_that_declare_themselves_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_KNOWN_MAX", 10)
    for number in range(25):
        RecordTypes.of(dataclasses.make_dataclass(f"Made{number}", ["x"]))
        assert len(records._known) <= 10


@pytest.mark.parametrize("function", [len, "text".upper, type.__call__, functools.lru_cache(len), str, [].append])
def test_builtins_declare_nothing(function: Callable[..., Any]) -> None:
    assert RecordTypes.of(function) is RecordTypes.EMPTY
    assert RecordTypes.of(function, ("shop",)).classes == []


def test_each_set_of_allowed_modules_has_its_own() -> None:
    plain, allowing = RecordTypes.of(undeclared), RecordTypes.of(undeclared, (__name__,))
    assert plain is RecordTypes.EMPTY
    assert allowing is RecordTypes.of(undeclared, (__name__,))
    with pytest.raises(UnencodableError):
        plain.encode(Point(1))
    assert allowing.decode(allowing.encode(Point(1))) == Point(1)


def test_a_name_that_is_defined_after_its_first_use_is_found(module: Any) -> None:
    found = RecordTypes.of(module.find)
    assert (found.classes, found.is_plain) == ([], True)
    with pytest.raises(UnencodableError):
        found.encode(module.find(1))
    module.Late = module.Made
    assert found.decode(found.encode(module.find(1))) == module.find(1)
    assert RecordTypes.of(module.find) is found
    assert found.classes == [module.Late]


@pytest.mark.parametrize("way", ["wrapped", "operation", "decorated"])
def test_calls_are_stored_once_the_name_is_defined(cache: UnifiedAPICache, module: Any, way: str) -> None:
    cache.operation("find")(module.find)
    decorated = cache.cached("find")(module.find)

    def call() -> Any:
        if way == "operation":
            return cache.cached_api_call_sync(operation="find", x=1)
        return decorated(1) if way == "decorated" else cache.using(operation="f").cached_api_call_sync(module.find, 1)

    assert [call() for _ in range(2)] == [module.find(1)] * 2
    assert cache.get_stats()["cache_hits"] == 0
    module.Late = module.Made
    assert [call() for _ in range(3)] == [module.find(1)] * 3
    assert cache.get_stats()["cache_hits"] == 2


def test_a_name_that_is_never_defined_is_looked_for_only_when_a_record_is_refused(module: Any) -> None:
    reach = Reach(declaring(module.find))
    assert [name for _, name in reach.missing] == ["Late"]
    assert not reach.has_grown()
    found = RecordTypes.of(module.find)
    assert found.decode(found.encode({"a": 1})) == {"a": 1}


def test_a_closed_over_name_that_is_assigned_later_is_found() -> None:
    def function() -> "Local":
        return Local(1)

    found = RecordTypes.of(function)
    assert found.classes == []

    @dataclasses.dataclass
    class Local:
        x: int

    assert found.decode(found.encode(function())) == Local(1)


def test_nothing_grows_of_a_function_that_is_gone(module: Any) -> None:
    reach = Reach(module.find)
    del module.find
    gc.collect()
    module.Late = module.Made
    assert not reach.has_grown()
