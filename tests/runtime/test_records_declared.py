"""Whose classes are stored: those of allowed modules, and declared ones."""

import dataclasses
import functools
import importlib.util
import sys
import types
import typing
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar

import pydantic
import pytest

from apicache import tagged
from apicache.errors import UnencodableError
from apicache.records import RecordTypes


def load_record_classes() -> Any:
    """The module, loaded once: its classes are found by its name."""
    if "record_classes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("record_classes", Path(__file__).with_name("record_classes.py"))
        sys.modules["record_classes"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["record_classes"])
    return sys.modules["record_classes"]


classes = load_record_classes()
Answer, Colour, Document, Frozen, Full, Node, Page, Point, Row, Struct = (
    classes.Answer,
    classes.Colour,
    classes.Document,
    classes.Frozen,
    classes.Full,
    classes.Node,
    classes.Page,
    classes.Point,
    classes.Row,
    classes.Struct,
)


# Allowed modules.


def test_the_classes_of_an_allowed_module_are_stored_and_restored() -> None:
    records = RecordTypes((), [Point.__module__])
    for value in (Point(1), Struct(1), Document(x=1), Colour.RED, Frozen("a")):
        assert records.decode(records.encode(value)) == value


def module_with_point(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = types.ModuleType(name)
    module.Point = dataclasses.make_dataclass("Point", ["x"])
    module.Point.__module__ = name
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize(
    ("allowed", "stored"), [("shop", True), ("shop.models", True), ("sho", False), ("shop.model", False), ("", False)]
)
def test_an_allowed_module_allows_what_lies_under_it(
    allowed: str, *, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = module_with_point("shop.models", monkeypatch).Point(1)
    records = RecordTypes((), [allowed])
    if stored:
        assert records.decode(records.encode(point)) == point
    else:
        with pytest.raises(UnencodableError):
            records.encode(point)


def test_a_class_of_an_allowed_module_that_is_not_loaded_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_with_point("shop.models", monkeypatch)
    records = RecordTypes((), ["shop"])
    stored = records.encode(module.Point(1))
    monkeypatch.delitem(sys.modules, "shop.models")
    with pytest.raises(ValueError, match="not allowed"):
        records.decode(stored)


def test_a_reloaded_module_gives_records_of_its_new_class(monkeypatch: pytest.MonkeyPatch) -> None:
    old = module_with_point("shop.models", monkeypatch)
    records = RecordTypes((), ["shop"])
    stored = records.encode(old.Point(1))
    new = module_with_point("shop.models", monkeypatch)
    assert type(records.decode(stored)) is new.Point
    with pytest.raises(UnencodableError):
        records.encode(old.Point(1))


def test_a_class_within_a_function_is_not_found_by_its_module() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(UnencodableError):
        RecordTypes((), [__name__]).encode(Local(1))
    declared = RecordTypes([Local])
    assert declared.decode(declared.encode(Local(1))) == Local(1)


# Declared types.

Id = NewType("Id", Frozen)
Bound = TypeVar("Bound", bound=Struct)
Alias = list[Point]


class Holder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    page: Page[Frozen] | None = None
    _private: "Colour | None" = None


def returns(annotation: Any) -> Callable[[], Any]:
    def function() -> Any: ...

    function.__annotations__ = {"return": annotation}
    return function


@pytest.mark.parametrize(
    ("annotation", "classes"),
    [
        (None, []),
        (int, []),
        (Any, []),
        (dict[str, list[int]], []),
        (Point, [Point]),
        ("Point", [Point]),
        (list[Point], [Point]),
        (dict[str, tuple[Point, ...]], [Point]),
        (Point | None, [Point]),
        (typing.Union[Point, Struct], [Point, Struct]),  # noqa: UP007 - the old notation is under test
        (Annotated[Point, Struct, "text", ["unhashable"]], [Point]),
        (Literal[Colour.RED], [Colour]),
        (Literal["Point"], []),
        (Awaitable[Point], [Point]),
        (Callable[[Point], Struct], [Point, Struct]),
        (Frozen, [Frozen, Colour]),
        (Node, [Node]),
        (Page[Point], [Page, Point]),
        (Answer[Point], [Answer[Point], Point]),
        (Full, [Full, Document]),
        (Holder, [Holder, Page, Frozen, Colour]),
        (Row, [Point]),
        (Id, [Frozen, Colour]),
        (Bound, [Struct]),
        (Alias, [Point]),
        ("Alias", [Point]),
        # names that mean nothing at run time
        ("Unknown", []),
        ("Unknown[Point] | dict[str, 'Struct']", [Point, Struct]),
        ("typing.Unknown | Point", [Point]),
        ("pytest.Unknown.Deeper | dataclasses.Unknown", []),
        ("not python(", []),
        (list[typing.ForwardRef("Unknown | Point")], [Point]),
        (7, []),
    ],
)
def test_the_classes_that_a_return_annotation_reaches(annotation: Any, classes: list[type]) -> None:
    found = RecordTypes.declared(returns(annotation)).classes
    assert set(found) == set(classes)
    assert len(found) == len(classes)


def test_a_function_that_declares_nothing_has_the_plain_storage() -> None:
    for function in (None, len, print, returns(dict[str, int]), lambda: 1, functools.partial(print)):
        assert RecordTypes.declared(function) is RecordTypes.EMPTY
    assert RecordTypes.EMPTY.encode is tagged.encode
    assert RecordTypes.EMPTY.decode is tagged.decode


class Service:
    async def find(self, unknown: "Unknown") -> Point:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    def __call__(self) -> list[Struct]:
        raise NotImplementedError

    @staticmethod
    def static() -> "Node": ...  # type: ignore[empty-body]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@pytest.mark.parametrize(
    ("function", "classes"),
    [
        (Service().find, [Point]),
        (Service.find, [Point]),
        (Service(), [Struct]),
        (Service.static, [Node]),
        (Point, [Point]),
        (functools.partial(Service.find, Service()), [Point]),
        (decorated(Service.find), [Point]),
    ],
)
def test_every_kind_of_callable_is_looked_at(function: Callable[..., Any], classes: list[type]) -> None:
    assert RecordTypes.declared(function).classes == classes


def test_names_of_an_enclosing_function_are_found_when_it_uses_them() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    def function() -> "Local":
        return Local(1)

    assert RecordTypes.declared(function).classes == [Local]


def test_declared_classes_and_allowed_modules_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_with_point("shop.models", monkeypatch)
    records = RecordTypes.declared(returns(Point), ["shop"])
    value = [Point(1), module.Point(2)]
    back = records.decode(records.encode(value))
    assert back == value
    assert [type(item) for item in back] == [Point, module.Point]
