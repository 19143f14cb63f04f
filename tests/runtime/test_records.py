import collections
import dataclasses
import datetime as dt
import enum
import functools
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache import tagged
from apicache.errors import UnencodableError
from apicache.records import RecordTypes

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias is under test
    BLUE = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1


class Model(enum.StrEnum):
    MINI = "mini"


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    RUN = enum.auto()


class Loose(enum.IntFlag, boundary=enum.KEEP):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Frozen:
    name: str
    colour: Colour = Colour.RED


@dataclasses.dataclass(kw_only=True)
class Checked:
    """Its constructor has an effect, which restoring must not have."""

    built: typing.ClassVar[int] = 0
    size: int
    scale: dataclasses.InitVar[int] = 2
    area: int = dataclasses.field(init=False)
    label: str = dataclasses.field(init=False, default="none")

    def __post_init__(self, scale: int) -> None:
        type(self).built += 1
        self.area = self.size * scale

    @functools.cached_property
    def costly(self) -> object:
        return object()


@dataclasses.dataclass
class SlottedBase:
    __slots__ = ("_hidden", "x")
    x: int

    def hide(self, value: int) -> None:
        self._hidden = value


class LooseSubclass(Point):
    pass


@dataclasses.dataclass
class Node:
    value: int
    children: "list[Node]" = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class DictLike(dict):  # type: ignore[type-arg]
    x: int = 1


class Struct(msgspec.Struct):
    x: int
    y: Any = None


class Odd(
    msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="odd"
):
    some_name: int
    other_name: str = "a"
    unset: int | msgspec.UnsetType = msgspec.UNSET


class WithDict(msgspec.Struct, dict=True):
    x: int


class Doubling(msgspec.Struct, frozen=True):
    x: int

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "x", self.x * 2)


class Strict(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise RuntimeError("negative")


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Document(pydantic.BaseModel):
    x: int
    y: Any = None


class Full(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    x: int = pydantic.Field(alias="theX")
    when: dt.datetime | None = None
    inner: "Document | None" = None
    _secret: list[int] = pydantic.PrivateAttr(default_factory=list)

    @pydantic.field_validator("x")
    @classmethod
    def doubled(cls, value: int) -> int:
        return value * 2

    @functools.cached_property
    def costly(self) -> object:
        return object()


class Names(pydantic.RootModel[list[str]]):
    pass


class Answer(pydantic.BaseModel, Generic[T]):
    result: T


@pydantic.dataclasses.dataclass
class Validated:
    x: int


class Row(TypedDict):
    point: Point


CLASSES: list[type] = [
    Colour, Size, Model, Rights, Loose, Point, Frozen, Checked, SlottedBase, LooseSubclass, Node, DictLike, Struct,
    Odd, WithDict, Doubling, Strict, Page, Document, Full, Names, Answer, Answer[int], Validated,
]  # fmt: skip
ALL = RecordTypes(CLASSES)


def checked() -> Checked:
    value = Checked(size=3)
    value.label = "set"
    return value


def full() -> Full:
    value = Full(theX=1, when=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), inner=Document(x=1), more=[1, (2,)])
    value._secret.append(7)
    return value


def with_dict() -> WithDict:
    value = WithDict(1)
    value.note = ["kept"]
    return value


def with_attribute() -> Point:
    value = Point(1)
    value.note = Frozen("kept")
    return value


VALUES: list[Any] = [
    Colour.RED, Colour.CRIMSON, Colour.BLUE, Size.SMALL, Model.MINI, Rights.READ, Rights.READ | Rights.RUN, Rights(0),
    Point(1), Point(1, Point(2, (Colour.RED, {3}))), Frozen("a", Colour.BLUE), LooseSubclass(1, 2),
    Node(1, [Node(2), Node(3, [Node(4)])]), Struct(1), Struct(1, {"a": [Struct(2)]}), Odd(some_name=1, unset=1),
    Odd(some_name=1, other_name="b", unset=3), Page([Point(1)]), Document(x=1), Document(x=1, y=Document(x=2)),
    Names(["a", "b"]), Answer[int](result=1), Answer(result=2), Validated(1), full(), checked(), with_dict(),
    with_attribute(), Point(2**70, Decimal("1.50")), Point(b"x", None),
    [Point(1), {"a": Document(x=1)}, (Struct(1),)], {Frozen("a"), Frozen("b")}, {Frozen("a"): [Colour.RED]},
    {Colour.RED: 1, Model.MINI: 2}, frozenset({Rights.READ}), {"a": {"b": {"c": Point(1)}}},
]  # fmt: skip


def types_of(value: Any) -> Any:
    """The types of a value and of all within it."""
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, dict):
        return [type(value), sorted((str(types_of(k)), str(types_of(v))) for k, v in value.items())]
    if isinstance(value, set | frozenset):
        return [type(value), sorted(str(types_of(item)) for item in value)]
    if isinstance(value, list | tuple):
        return [type(value), [types_of(item) for item in value]]
    fields = tagged._record_fields(value, type(value))
    return [type(value), types_of(fields)] if fields is not None else type(value)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_record_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    back = ALL.decode(ALL.encode(value))
    assert back == value
    assert types_of(back) == types_of(value)
    assert tagged.canonical(back) == tagged.canonical(value)


@pytest.mark.parametrize(
    "value", [value for value in VALUES if not isinstance(value, enum.Enum)], ids=lambda value: type(value).__name__
)
def test_each_restored_record_is_the_callers_own(value: Any) -> None:
    data = ALL.encode(value)
    first, second = ALL.decode(data), ALL.decode(data)
    assert first is not second
    assert shared(first, second) == []


def shared(one: Any, other: Any) -> list[Any]:
    """The mutable objects that are in both."""

    def within(value: Any) -> Iterator[Any]:
        if isinstance(value, enum.Enum | str | bytes | int | float | type(None) | Decimal | dt.datetime):
            return
        if not isinstance(value, tuple | frozenset):
            yield value
        if isinstance(value, dict):
            for key, item in value.items():
                yield from within(key)
                yield from within(item)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                yield from within(item)
        else:
            fields = tagged._record_fields(value, type(value)) or {}
            for item in fields.values():
                yield from within(item)

    held = list(within(one))  # as long as their ids are compared
    known = {id(value) for value in held}
    return [value for value in within(other) if id(value) in known]


def test_enum_members_are_the_members_themselves() -> None:
    assert ALL.decode(ALL.encode(Colour.CRIMSON)) is Colour.RED
    assert ALL.decode(ALL.encode([Model.MINI]))[0] is Model.MINI


def test_a_constructor_does_not_run_again() -> None:
    value = checked()
    value.area = 99
    before = Checked.built
    back = ALL.decode(ALL.encode(value))
    assert (back.size, back.area, back.label) == (3, 99, "set")
    assert Checked.built == before
    assert ALL.decode(ALL.encode(full())).x == 2, "the validator, which doubles, did not run"


def test_what_a_structs_post_init_changes_is_put_back() -> None:
    value = Doubling(1)
    assert value.x == 2
    assert ALL.decode(ALL.encode(value)).x == 2


def test_cached_properties_are_computed_anew() -> None:
    for value in (checked(), full()):
        kept = value.costly
        assert ALL.decode(ALL.encode(value)).costly is not kept


def test_which_fields_of_a_model_were_given_and_what_is_private_comes_back() -> None:
    assert ALL.decode(ALL.encode(Document(x=1))).model_fields_set == {"x"}
    assert ALL.decode(ALL.encode(Document(x=1, y=None))).model_fields_set == {"x", "y"}
    back = ALL.decode(ALL.encode(full()))
    assert back._secret == [7]
    assert back.model_extra == {"more": [1, (2,)]}
    assert back.model_fields_set == full().model_fields_set
    assert back.model_dump() == full().model_dump()


def test_attributes_that_are_no_fields_come_back() -> None:
    assert ALL.decode(ALL.encode(with_attribute())).note == Frozen("kept")
    assert ALL.decode(ALL.encode(with_dict())).note == ["kept"]
    value = SlottedBase(1)
    value.hide(2)
    assert ALL.decode(ALL.encode(value))._hidden == 2


def test_a_field_that_is_not_set_is_not_set_afterwards() -> None:
    value = Point(1, 2)
    del value.x
    back = ALL.decode(ALL.encode(value))
    assert vars(back) == {"y": 2}
    unset = ALL.decode(ALL.encode(Odd(some_name=1)))
    assert unset.unset is msgspec.UNSET


def test_a_restored_record_is_as_good_as_new() -> None:
    frozen = ALL.decode(ALL.encode(Frozen("a")))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.name = "b"
    assert hash(frozen) == hash(Frozen("a"))
    assert dataclasses.replace(frozen, name="b") == Frozen("b")
    document = ALL.decode(ALL.encode(Document(x=1)))
    document.x = 5
    assert document.model_copy() == Document(x=5)
    struct = ALL.decode(ALL.encode(Odd(some_name=1)))
    assert msgspec.json.encode(struct) == msgspec.json.encode(Odd(some_name=1))


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


# Allowed modules.


def test_the_classes_of_an_allowed_module_are_stored_and_restored() -> None:
    records = RecordTypes((), [__name__])
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


# Beside records.


def test_values_without_records_are_stored_as_without_record_types() -> None:
    value = {"a": (1, {2}), "b": Decimal("1.5"), "c": dt.datetime(2026, 1, 2, fold=1), "e": [2**70], 3: b"x"}
    assert ALL.encode(value) == tagged.encode(value)
    assert ALL.decode(tagged.encode(value)) == value


def test_the_stored_form_is_what_it_was_in_the_first_release() -> None:
    point = dataclasses.make_dataclass("Point", ["x", "y"])
    colour = enum.Enum("Colour", ["RED"], module="shop", qualname="Colour")
    point.__module__ = "shop"
    records = RecordTypes([point, colour])
    golden = "91c72f0e92c41192aa73686f703a506f696e7492a178a1799201c7160f92c40e92ab73686f703a436f6c6f75729091a3524544"
    assert records.encode([point(1, colour.RED)]).hex() == golden
    assert records.decode(bytes.fromhex(golden)) == [point(1, colour.RED)]


def test_a_list_of_records_takes_little_more_than_their_names() -> None:
    assert len(ALL.encode([Point(1, 2)] * 100)) < 100 * 60


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ATOMS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXT | st.binary(max_size=5)
)


def records_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.builds(Point, inner, inner)
        | st.builds(Struct, inner, inner)
        | st.builds(lambda x, y: Document(x=x, y=y), st.integers(), inner)
        | st.builds(lambda items: Page(items), st.lists(inner, max_size=3))
        | st.builds(Frozen, TEXT, st.sampled_from(Colour))
    )


NESTED = st.recursive(
    ATOMS | st.sampled_from(Colour) | st.sampled_from(Model),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=3)
        | records_of(inner)
    ),
    max_leaves=12,
)


@given(NESTED)
def test_what_is_stored_comes_back_whatever_is_nested_in_what(value: Any) -> None:
    back = ALL.decode(ALL.encode(value))
    assert back == value
    assert types_of(back) == types_of(value)
