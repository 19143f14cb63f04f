"""Which records are not stored, and which are not restored."""

import collections
import dataclasses
import enum
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
ALL, Colour, DictLike, Document, Frozen, Loose, Node, Point, Strict, Struct, Validated = (
    classes.ALL,
    classes.Colour,
    classes.DictLike,
    classes.Document,
    classes.Frozen,
    classes.Loose,
    classes.Node,
    classes.Point,
    classes.Strict,
    classes.Struct,
    classes.Validated,
)


# What is not stored.


@pytest.mark.parametrize("value", [Colour.RED, Point(1), Struct(1), Document(x=1), Frozen("a"), Validated(1)])
@pytest.mark.parametrize("records", [RecordTypes.EMPTY, RecordTypes([Node]), RecordTypes((), ["somewhere.else"])])
def test_a_record_of_a_class_that_is_not_allowed_is_refused_with_the_remedy(value: Any, records: RecordTypes) -> None:
    with pytest.raises(UnencodableError, match=rf"{type(value).__qualname__}.*return type.*allow-modules"):
        records.encode({"a": [value]})


@pytest.mark.parametrize(
    "value",
    [
        object(),
        collections.OrderedDict(a=1),
        Loose(6),
        DictLike(),
        Point(object()),
        Document(x=1, y=print),
        types.SimpleNamespace(x=1),
    ],
)
def test_what_would_not_come_back_exactly_is_refused(value: Any) -> None:
    with pytest.raises(UnencodableError):
        ALL.encode([value])


def test_the_remedy_is_told_only_where_it_helps() -> None:
    with pytest.raises(UnencodableError) as caught:
        ALL.encode(object())
    assert "allow-modules" not in str(caught.value)


def test_a_struct_without_one_of_its_fields_is_refused() -> None:
    value = Struct(1)
    del value.x
    with pytest.raises(UnencodableError, match="without some of its fields"):
        ALL.encode(value)


def test_a_record_that_contains_itself_is_refused() -> None:
    node = Node(1)
    node.children.append(node)
    with pytest.raises(UnencodableError, match="contains itself"):
        ALL.encode(node)


def test_of_two_classes_with_one_name_only_the_first_is_stored() -> None:
    def make() -> type:
        @dataclasses.dataclass
        class Twin:
            x: int

        return Twin

    first, second = make(), make()
    records = RecordTypes([first, second])
    assert records.decode(records.encode(first(1))) == first(1)
    with pytest.raises(UnencodableError):
        records.encode(second(1))


# What is not restored.


def of_fields(*names: str) -> type:
    made = dataclasses.make_dataclass("Changing", names)
    made.__module__, made.__qualname__ = "shop", "Changing"
    return made


@pytest.mark.parametrize("names", [("x",), ("x", "y", "z"), ("x", "z"), ("y", "x")])
def test_a_class_whose_fields_have_changed_is_a_miss(names: tuple[str, ...]) -> None:
    changed = RecordTypes([of_fields(*names)])
    before = of_fields("x", "y")
    stored = RecordTypes([before]).encode([before(1, 2)])
    with pytest.raises(ValueError, match="shop:Changing with other fields"):
        changed.decode(stored)
    assert vars(RecordTypes([of_fields("x", "y")]).decode(stored)[0]) == {"x": 1, "y": 2}


def test_a_class_that_has_become_something_else_is_a_miss() -> None:
    before = enum.Enum("Changing", ["RED"], module="shop", qualname="Changing")
    stored = RecordTypes([before]).encode(before.RED)
    with pytest.raises(ValueError, match="shop:Changing with other fields"):
        RecordTypes([of_fields()]).decode(stored)


def test_an_enum_member_that_is_gone_is_a_miss() -> None:
    before, after = (enum.Enum("E", names, module="shop", qualname="E") for names in (["A", "B"], ["B"]))
    records = RecordTypes([before])
    assert RecordTypes([after]).decode(records.encode(before.B)) is after.B
    with pytest.raises(ValueError, match="shop:E"):
        RecordTypes([after]).decode(records.encode(before.A))


def test_a_record_whose_class_is_no_longer_allowed_is_a_miss() -> None:
    stored = ALL.encode([Point(1)])
    for records in (RecordTypes.EMPTY, RecordTypes([Node]), RecordTypes((), ["os"])):
        with pytest.raises(ValueError, match="not allowed"):
            records.decode(stored)


def test_a_record_whose_own_code_refuses_is_a_miss() -> None:
    value = Strict(1)
    value.x = -1
    with pytest.raises(ValueError, match="Strict that cannot be restored"):
        ALL.decode(ALL.encode(value))


def stored_record(name: str, names: list[str], values: list[Any], code: int = tagged.RECORD_STORED) -> bytes:
    head = msgspec.msgpack.encode([name, names])
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode([head, values])))


@pytest.mark.parametrize("code", [tagged.RECORD_STORED, tagged.ENUM_STORED])
@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "builtins:object",
        "builtins:dict",
        "os:stat_result",
        "subprocess:Popen",
        "antigravity:fly",
        "os.path:join",
        "os:",
        ":",
        "",
        "os:system.__class__",
        "os:_Environ.__init__",
        "os:PathLike.__class__",
    ],
)
@pytest.mark.parametrize(
    "records", [RecordTypes.EMPTY, ALL, RecordTypes((), ["os", "builtins", "subprocess", "antigravity"])]
)
def test_a_made_up_record_is_refused_and_nothing_is_imported(name: str, code: int, records: RecordTypes) -> None:
    before = set(sys.modules)
    with pytest.raises(ValueError, match="not allowed"):
        records.decode(stored_record(name, ["x"], ["true"], code))
    assert set(sys.modules) == before
    assert "antigravity" not in sys.modules


def test_looking_for_a_class_runs_no_code_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"read {name}")

    module = types.ModuleType("dynamic")
    module.__getattr__ = lambda name: pytest.fail(f"read {name}")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "dynamic", module)
    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    monkeypatch.setitem(sys.modules, "odd", 7)
    records = RecordTypes((), ["dynamic", "lazy", "odd"])
    for name in ("dynamic:Point", "lazy:Point", "odd:Point"):
        with pytest.raises(ValueError, match="not allowed"):
            records.decode(stored_record(name, ["x"], [1]))


@given(st.binary(max_size=80), st.sampled_from([tagged.RECORD_STORED, tagged.ENUM_STORED, 1, 2, 3, 4, 6, 8, 11, 99]))
def test_any_bytes_restore_or_raise_value_error(data: bytes, code: int) -> None:
    for stored in (data, msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data))):
        try:
            ALL.decode(stored)
        except ValueError:
            continue


@pytest.mark.parametrize("parts", [[], [1], [[]], [[1], [], {}], [[1, 2, 3]], [[1], ["x", "y"], 5], [[1], 5, {}]])
def test_parts_that_are_not_a_records_are_refused(parts: list[Any]) -> None:
    for kind, names in ((Point, ["x", "y"]), (Struct, ["x", "y"]), (Document, ["x", "y"])):
        head = msgspec.msgpack.encode([f"{kind.__module__}:{kind.__qualname__}", names])
        data = msgspec.msgpack.encode([head, *parts])
        stored = msgspec.msgpack.encode(msgspec.msgpack.Ext(tagged.RECORD_STORED, data))
        with pytest.raises(ValueError, match=r"cannot be restored|damaged"):
            ALL.decode(stored)
