import contextlib
import dataclasses
import datetime as dt
import enum
import hashlib
import itertools
import os
import socket
import subprocess
import sys
import uuid
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache import tagged
from apicache.errors import UnencodableError


class Colour(enum.Enum):
    RED = "red"


class OtherColour(enum.Enum):
    RED = "red"


class Model(enum.StrEnum):
    MINI = "mini"


@dataclasses.dataclass
class Point:
    x: int
    y: int


@dataclasses.dataclass
class Vector:
    x: int
    y: int


class Pair(NamedTuple):
    x: int
    y: int


class Record(msgspec.Struct):
    x: int
    y: int


class Document(pydantic.BaseModel):
    x: int
    y: int


class Size(enum.IntEnum):
    SMALL = 1


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "always the same"


ID = uuid.UUID(int=7)
UTC = dt.UTC
ALL_DIFFERENT: list[Any] = [
    None, True, 1, 1.0, "1", b"1", Decimal(1), Decimal("1.0"), bytearray(b"1"), 1 + 0j,
    0, False, 0.0, "", b"", [], (), {}, set(), frozenset(),
    [1], (1,), {1}, frozenset({1}), {"a": 1}, {1: "a"}, {"1": "a"}, {True: "a"}, [["a", 1]], [("a", 1)],
    ID, str(ID), ID.hex, ID.bytes, ID.int,
    dt.date(2026, 1, 2), dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02",
    dt.time(1, 2), dt.timedelta(seconds=1), dt.timedelta(days=1),
    dt.datetime(2026, 10, 25, 2, 30), dt.datetime(2026, 10, 25, 2, 30, fold=1),
    Colour.RED, OtherColour.RED, "red", Model.MINI, "mini",
    Point(1, 2), Vector(1, 2), Pair(1, 2), Record(1, 2), Document(x=1, y=2), {"x": 1, "y": 2}, (1, 2),
    2**63, 2**64, 2**200, -(2**63), -(2**63) - 1, str(2**200),
    PurePosixPath("a"), "a", Loud("a"), Loud("b"),
    float("nan"), float("inf"), float("-inf"), "nan",
    [None], [[]], [[[]]], {"a": None}, {"a": {}},
]  # fmt: skip

PINNED = [value for value in ALL_DIFFERENT if type(value).__module__ != __name__]


def test_no_two_different_values_encode_alike() -> None:
    encoded = [tagged.canonical(value) for value in ALL_DIFFERENT]
    for (i, one), (j, other) in itertools.combinations(enumerate(encoded), 2):
        assert one != other, (ALL_DIFFERENT[i], ALL_DIFFERENT[j])


def test_the_order_of_keys_and_of_set_members_does_not_matter() -> None:
    assert tagged.canonical({"a": 1, "b": {"d": 1, "c": 2}}) == tagged.canonical({"b": {"c": 2, "d": 1}, "a": 1})
    assert tagged.canonical({1: "a", (2,): "b"}) == tagged.canonical({(2,): "b", 1: "a"})
    names = [str(n) for n in range(50)]
    assert tagged.canonical(set(names)) == tagged.canonical({*names[25:], *names[:25]})
    assert tagged.canonical(OrderedDict(a=1, b=2)) == tagged.canonical(OrderedDict(b=2, a=1))


@pytest.mark.parametrize("value", [object(), print, lambda: 1, iter([]), (n for n in ()), socket.socket()])
def test_what_has_no_content_to_compare_is_refused_by_type(value: Any) -> None:
    with pytest.raises(UnencodableError, match=type(value).__qualname__):
        tagged.canonical([{"a": value}])
    if hasattr(value, "close"):
        value.close()


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnencodableError, match="contains itself"):
        tagged.canonical(loop)
    with pytest.raises(UnencodableError, match="contains itself"):
        tagged.encode(loop)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnencodableError, match="surrogates"):
        tagged.canonical({"a": "\ud800"})


def test_keys_are_the_same_whatever_the_hash_seed() -> None:
    code = "from apicache import tagged; print(tagged.canonical({'a': {'x', 'y', 'z'}, 'b': frozenset('pqr')}).hex())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


@pytest.mark.parametrize("form", [tagged.canonical, tagged.encode])
def test_an_int_of_any_length_is_carried_wherever_it_stands(form: Callable[[Any], bytes]) -> None:
    for edge in (2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40):
        for value in (edge, [edge], {"a": edge}, {edge: "a"}, (1, edge), {edge}, {"a": [{"b": (edge, "x")}]}):
            back = tagged.decode(form(value))
            assert back == value
            assert types_of(back) == types_of(value)


def test_ints_of_64_bits_have_no_tag() -> None:
    for value in (0, -1, 2**64 - 1, -(2**63)):
        assert tagged.canonical(value) == tagged.encode(value) == msgspec.msgpack.encode(value)


class Wide(int):
    pass


class Key(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "flattened"),
    [
        ({"a": Size.SMALL}, {"a": 1}),
        ([Wide(1)], [1]),
        ({"a": True}, {"a": 1}),
        ({Key("a"): 1}, {"a": 1}),
        ({"a": Key("b")}, {"a": "b"}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ([{"a": [1, (2,)]}], [{"a": [1, [2]]}]),
        ({"a": Decimal(1)}, {"a": "1"}),
        ({"a": ID}, {"a": str(ID)}),
        ({"a": {1}}, {"a": [1]}),
        ({"a": dt.date(2026, 1, 2)}, {"a": "2026-01-02"}),
        ({"a": bytearray(b"x")}, {"a": b"x"}),
        ({"a": Record(1, 2)}, {"a": {"x": 1, "y": 2}}),
    ],
)
def test_nothing_that_msgpack_would_flatten_slips_through_beside_atoms(value: Any, flattened: Any) -> None:
    assert tagged.canonical(value) != tagged.canonical(flattened)


def test_an_overflow_that_a_value_raises_itself_is_not_mistaken_for_a_long_int() -> None:
    class Broken(PurePosixPath):
        def __fspath__(self) -> str:
            raise OverflowError("its own")

    with pytest.raises(OverflowError, match="its own"):
        tagged.canonical([2**70, Broken("a")])


@pytest.mark.parametrize("value", [Colour.RED, Point(1, 2), Record(1, 2), Document(x=1, y=2)])
def test_the_refusal_of_a_record_tells_how_to_allow_it(value: Any) -> None:
    with pytest.raises(UnencodableError, match=rf"{type(value).__qualname__}: declare .* allow-modules"):
        tagged.encode(value)


@given(st.binary(max_size=60), st.integers(0, 20))
def test_damaged_bytes_decode_or_raise_value_error(data: bytes, code: int) -> None:
    for stored in (data, msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data)), b"\x91" * 5000 + data):
        with contextlib.suppress(ValueError):
            tagged.decode(stored)


@pytest.mark.parametrize("code", [tagged.RECORD_STORED, tagged.ENUM_STORED, 16, 63, tagged.ENUM, tagged.RECORD])
def test_extensions_that_the_plain_storage_does_not_know_are_damage(code: int) -> None:
    with pytest.raises(ValueError, match=f"extension type {code}"):
        tagged.decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(code, b"\x90")))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.dates()
    | st.timedeltas()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), inner, max_size=4)
        | st.sets(st.integers() | st.text("ab"), max_size=4)
        | st.frozensets(st.booleans() | st.binary(), max_size=4)
    ),
    max_leaves=20,
)


def types_of(value: Any) -> Any:
    if isinstance(value, dict):
        return [(type(k), types_of(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), [types_of(item) for item in value]]
    return type(value)


@given(PLAIN)
def test_what_is_stored_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    back = tagged.decode(tagged.encode(value))
    assert back == value
    assert types_of(back) == types_of(value)


@given(PLAIN, PLAIN)
def test_canonical_forms_are_equal_only_for_equal_content_of_equal_types(one: Any, other: Any) -> None:
    if tagged.canonical(one) == tagged.canonical(other):
        assert one == other


@given(PLAIN)
def test_a_decoded_copy_has_the_same_canonical_form(value: Any) -> None:
    assert tagged.canonical(tagged.decode(tagged.encode(value))) == tagged.canonical(value)


@pytest.mark.parametrize(
    "value", [Colour.RED, Point(1, 2), Pair(1, 2), Model.MINI, OrderedDict(a=1), Loud("a"), PurePosixPath("a")]
)
def test_what_would_not_come_back_exactly_is_not_stored(value: Any) -> None:
    with pytest.raises(UnencodableError):
        tagged.encode({"a": [value]})


def test_dictionaries_keep_their_order_in_the_store() -> None:
    assert list(tagged.decode(tagged.encode({"b": 1, "a": 2}))) == ["b", "a"]
    assert list(tagged.decode(tagged.encode({2: 1, 1: 2}))) == [2, 1]


def test_each_decoded_copy_is_the_callers_own() -> None:
    data = tagged.encode({"a": [1, {"b": 2}]})
    first, second = tagged.decode(data), tagged.decode(data)
    first["a"][1]["b"] = 99
    assert second == {"a": [1, {"b": 2}]}


def test_the_stored_form_is_what_it_was_in_the_first_release() -> None:
    value = {"a": (1, {2}), "b": Decimal("1.5"), "c": dt.date(2026, 1, 2), "d": uuid.UUID(int=1), "e": 2**70, 3: b"x"}
    golden = (
        "c7760496c40d92a161d7019201d60291c40102c40992a162c70306312e35c41092a163c70a09323032362d30312d3032c426"
        "92a164c720073030303030303030303030303030303030303030303030303030303030303031c41892a165c7120534303030"
        "3030303030303030303030303030c4059203c40178"
    )
    assert tagged.encode(value).hex() == golden
    assert tagged.decode(bytes.fromhex(golden)) == value


def test_the_identity_of_a_value_is_what_it_was_in_the_first_release() -> None:
    digest = hashlib.sha256(b"".join(tagged.canonical(value) for value in PINNED)).hexdigest()
    assert digest == "a95f6e5e88a27b2db2bfb9a4eb24e97358d041783c799d075d04bf5d5978d51e"
