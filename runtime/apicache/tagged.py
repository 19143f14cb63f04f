"""One type-tagged encoding for keys and for stored values.

msgpack tells `1`, `True`, `1.0`, `"1"` and `b"1"` apart, but not a tuple from a list, nor a Decimal, a UUID or a date
from its text. Everything msgpack would flatten is wrapped in an extension type here, so that two values encode alike
only when they are alike.

`canonical` is for identity: dictionaries are sorted, and enums, records and subclasses are told apart by their class.
`encode` / `decode` are for storage: order is kept, and only types that come back exactly as they went in are taken.
"""

import collections
import datetime as dt
import decimal
import enum
import os
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec

from apicache.errors import UnencodableError

_Ext = msgspec.msgpack.Ext
_Tag = Callable[[Any], Any]

# Extension codes are part of the stored format: never renumber, only append.
TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3
PAIRS: Final = 4
BIG_INT: Final = 5
DECIMAL: Final = 6
UUID: Final = 7
DATETIME: Final = 8
DATE: Final = 9
TIME: Final = 10
TIMEDELTA: Final = 11
COMPLEX: Final = 12
BYTEARRAY: Final = 13
# Identity only:
ENUM: Final = 64
RECORD: Final = 65
SUBCLASS: Final = 66
PATH: Final = 67
ZONED: Final = 68

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_ATOMS: Final = frozenset({type(None), bool, float, str, bytes})

_kept = msgspec.msgpack.Encoder()
_sorted = msgspec.msgpack.Encoder(order="deterministic")


def canonical(value: Any) -> bytes:
    """The bytes that identify `value`: equal for equal content whatever the order of keys, different for any other.

    Raises UnencodableError for a value that has no content to compare (a function, a socket, a plain object).
    """
    return _pack(value, _tag_for_identity, _sorted)


def encode(value: Any) -> bytes:
    """The stored form of `value`; raises UnencodableError for a type that would not come back exactly."""
    return _pack(value, _tag_for_storage, _kept)


def decode(data: bytes) -> Any:
    """A fresh, mutable copy of what `encode` was given; raises msgspec.DecodeError or ValueError on damage."""
    return _decoder.decode(data)


def _pack(value: Any, tag: _Tag, encoder: msgspec.msgpack.Encoder) -> bytes:
    try:
        return encoder.encode(tag(value))
    except RecursionError:
        raise UnencodableError("a value nested too deeply, or one that contains itself") from None
    except UnicodeEncodeError:
        raise UnencodableError("a str with lone surrogates") from None


def _tag_int(value: int) -> Any:
    if _INT_MIN <= value <= _INT_MAX:
        return value
    return _Ext(BIG_INT, f"{value:x}".encode())


def _tag_dict(value: dict[Any, Any], tag: _Tag, encoder: msgspec.msgpack.Encoder) -> Any:
    if set(map(type, value)) <= {str}:
        return {key: tag(item) for key, item in value.items()}
    pairs = [encoder.encode([tag(key), tag(item)]) for key, item in value.items()]
    return _Ext(PAIRS, encoder.encode(sorted(pairs) if encoder is _sorted else pairs))


def _tag_items(value: Any, tag: _Tag) -> list[Any]:
    if set(map(type, value)) <= _ATOMS:
        return list(value)
    return [tag(item) for item in value]


def _tag_set(value: Any, tag: _Tag, encoder: msgspec.msgpack.Encoder) -> bytes:
    return encoder.encode(sorted(encoder.encode(tag(item)) for item in value))


def _tag_builtin(value: Any, kind: type, tag: _Tag, encoder: msgspec.msgpack.Encoder) -> Any:  # noqa: PLR0911 - a table
    """The tagged form of a container or of an atom that msgpack would flatten; NotImplemented for other types."""
    if kind is int:
        return _tag_int(value)
    if kind is list:
        return _tag_items(value, tag)
    if kind is dict:
        return _tag_dict(value, tag, encoder)
    if kind is tuple:
        return _Ext(TUPLE, encoder.encode(_tag_items(value, tag)))
    if kind is set:
        return _Ext(SET, _tag_set(value, tag, encoder))
    if kind is frozenset:
        return _Ext(FROZENSET, _tag_set(value, tag, encoder))
    text = _AS_TEXT.get(kind)
    if text is not None:
        return _Ext(text[0], text[1](value).encode())
    if kind is bytearray:
        return _Ext(BYTEARRAY, bytes(value))
    return NotImplemented


def _tag_for_storage(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    tagged = _tag_builtin(value, kind, _tag_for_storage, _kept)
    if tagged is NotImplemented and kind in {dt.datetime, dt.time} and _zone_comes_back(value.tzinfo):
        tagged = _Ext(DATETIME if kind is dt.datetime else TIME, f"{value.fold}{value.isoformat()}".encode())
    if tagged is NotImplemented:
        raise UnencodableError(f"a value of type {_class_name(kind)}")
    return tagged


def _zone_comes_back(zone: dt.tzinfo | None) -> bool:
    """Whether the text of a time tells its zone: none, or an offset without a name of its own."""
    return zone is None or (
        type(zone) is dt.timezone and zone.tzname(None) == dt.timezone(zone.utcoffset(None)).tzname(None)
    )


def _tag_for_identity(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    tagged = _tag_builtin(value, kind, _tag_for_identity, _sorted)
    return _tag_object(value, kind) if tagged is NotImplemented else tagged


def _tag_object(value: Any, kind: type) -> Any:
    """Identity of what is told apart by its class: enums, dates with a zone, paths, records, subclasses of builtins."""
    if isinstance(value, enum.Enum):
        return _Ext(ENUM, _sorted.encode([_class_name(kind), value.name, _tag_for_identity(value.value)]))
    if isinstance(value, dt.datetime | dt.time):
        return _Ext(ZONED, _sorted.encode([_class_name(kind), value.isoformat(), value.fold, str(value.tzinfo)]))
    if isinstance(value, os.PathLike):
        return _Ext(PATH, _sorted.encode([_class_name(kind), os.fspath(value)]))
    fields = _record_fields(value, kind)
    if fields is not None:
        return _Ext(RECORD, _sorted.encode([_class_name(kind), _tag_for_identity(fields)]))
    for base, plain in _PLAIN.items():
        if isinstance(value, base) and not _has_hidden_state(kind, base):
            own = _tag_for_identity(vars(value)) if hasattr(value, "__dict__") else None
            return _Ext(SUBCLASS, _sorted.encode([_class_name(kind), _tag_for_identity(plain(value)), own]))
    raise UnencodableError(f"a value of type {_class_name(kind)}")


def _record_fields(value: Any, kind: type) -> dict[str, Any] | None:
    """The fields of a dataclass, a msgspec struct or a pydantic model, by name; None for anything else."""
    own = getattr(value, "__dict__", {})
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields as fields_of  # noqa: PLC0415 - loaded already where there is a dataclass

        # Beside its fields, what was set otherwise: by `__post_init__`, by a subclass.
        fields = {field.name: getattr(value, field.name) for field in fields_of(value) if hasattr(value, field.name)}
        return {**own, **fields}
    if isinstance(value, msgspec.Struct):
        return {**own, **{name: getattr(value, name) for name in value.__struct_fields__}}
    if hasattr(kind, "__pydantic_fields__"):
        extra, private = (getattr(value, f"__pydantic_{what}__", None) or {} for what in ("extra", "private"))
        return {**own, **extra, **private}
    return None


def _has_hidden_state(kind: type, base: type) -> bool:
    """Whether a builtin's subclass keeps what neither its content nor its `__dict__` shows."""
    slotted = any(vars(each).get("__slots__") for each in kind.__mro__[: kind.__mro__.index(base)])
    return slotted or issubclass(kind, collections.defaultdict)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    # The base class's own methods: a subclass may have overridden its conversions.
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    int: int.__int__,
    float: float.__float__,
    dict: dict.copy,
    list: list.copy,
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
}

_AS_TEXT: Final[dict[type, tuple[int, Callable[[Any], str]]]] = {
    decimal.Decimal: (DECIMAL, str),
    uuid.UUID: (UUID, lambda value: value.hex),
    dt.date: (DATE, dt.date.isoformat),
    dt.timedelta: (TIMEDELTA, lambda value: f"{value.days},{value.seconds},{value.microseconds}"),
    complex: (COMPLEX, repr),
}


def _from_pairs(data: bytes) -> dict[Any, Any]:
    return dict(decode(pair) for pair in decode(data))


_FROM_EXT: Final[dict[int, Callable[[bytes], Any]]] = {
    TUPLE: lambda data: tuple(decode(data)),
    SET: lambda data: {decode(item) for item in decode(data)},
    FROZENSET: lambda data: frozenset(decode(item) for item in decode(data)),
    PAIRS: _from_pairs,
    BIG_INT: lambda data: int(data, 16),
    DECIMAL: lambda data: decimal.Decimal(data.decode()),
    UUID: lambda data: uuid.UUID(hex=data.decode()),
    DATETIME: lambda data: dt.datetime.fromisoformat(data[1:].decode()).replace(fold=int(data[:1])),
    DATE: lambda data: dt.date.fromisoformat(data.decode()),
    TIME: lambda data: dt.time.fromisoformat(data[1:].decode()).replace(fold=int(data[:1])),
    TIMEDELTA: lambda data: dt.timedelta(*map(int, data.decode().split(","))),
    COMPLEX: lambda data: complex(data.decode()),
    BYTEARRAY: bytearray,
}


def _from_ext(code: int, data: memoryview) -> Any:
    restore = _FROM_EXT.get(code)
    if restore is None:
        raise ValueError(f"extension type {code} is not known to this version")
    return restore(bytes(data))


_decoder = msgspec.msgpack.Decoder(ext_hook=_from_ext)
