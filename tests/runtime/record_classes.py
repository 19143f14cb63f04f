"""Classes of records of every kind, and values of them."""

import dataclasses
import datetime as dt
import enum
import functools
import typing
from decimal import Decimal
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
import pydantic

from apicache import tagged
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
