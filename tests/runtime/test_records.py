"""Records come back as they were."""

import dataclasses
import datetime as dt
import enum
import importlib.util
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache import tagged
from apicache.records import RecordTypes


def load_record_classes() -> Any:
    """The module, loaded once: its classes are found by its name."""
    if "record_classes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("record_classes", Path(__file__).with_name("record_classes.py"))
        sys.modules["record_classes"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["record_classes"])
    return sys.modules["record_classes"]


classes = load_record_classes()
(
    ALL,
    Checked,
    Colour,
    Document,
    Doubling,
    Frozen,
    Model,
    Odd,
    Page,
    Point,
    SlottedBase,
    Struct,
    VALUES,
    checked,
    full,
    types_of,
    with_attribute,
    with_dict,
) = (
    classes.ALL,
    classes.Checked,
    classes.Colour,
    classes.Document,
    classes.Doubling,
    classes.Frozen,
    classes.Model,
    classes.Odd,
    classes.Page,
    classes.Point,
    classes.SlottedBase,
    classes.Struct,
    classes.VALUES,
    classes.checked,
    classes.full,
    classes.types_of,
    classes.with_attribute,
    classes.with_dict,
)


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
