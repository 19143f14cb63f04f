"""One type-tagged encoding for keys and for stored values.

msgpack tells `1`, `True`, `1.0`, `"1"` and `b"1"` apart, but not a tuple from a list, nor a Decimal, a UUID or a date
from its text. Everything msgpack would flatten is wrapped in an extension type here, so that two values encode alike
only when they are alike.

`canonical` is for identity: dictionaries are sorted, and enums, records and subclasses are told apart by their class.
`encode` / `decode` are for storage: order is kept, and only types that come back exactly as they went in are taken.
`Storage` is the same storage with more types (`apicache.records`).
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
RECORD_STORED: Final = 14
ENUM_STORED: Final = 15
# Identity only:
ENUM: Final = 64
RECORD: Final = 65
SUBCLASS: Final = 66
PATH: Final = 67
ZONED: Final = 68

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_are_str: Final = frozenset({str}).issuperset
_ATOMS_BUT_INT: Final = frozenset({type(None), bool, float, str, bytes})
_ATOMS: Final = _ATOMS_BUT_INT | {int}
"""What msgpack carries as it is. An int may be too long for it: the encoder tells, and then each int is looked at."""

_kept = msgspec.msgpack.Encoder()
_sorted = msgspec.msgpack.Encoder(order="deterministic")


def canonical(value: Any) -> bytes:
    """The bytes that identify `value`: equal for equal content whatever the order of keys, different for any other.

    Raises UnencodableError for a value that has no content to compare (a function, a socket, a plain object).
    """
    return _IDENTITY.pack(value)


canonical_atoms: Final = _sorted.encode
"""`canonical` for a dict of texts to None, bools, ints, floats, texts and bytes.

Raises OverflowError or UnicodeEncodeError for what msgpack does not take: `canonical` then has another form, or none.
"""


def encode(value: Any) -> bytes:
    """The stored form of `value`; raises UnencodableError for a type that would not come back exactly."""
    return _STORED.pack(value)


def refusal(kind: type, remedy: str = "") -> UnencodableError:
    """The error about a value of a type that is not carried."""
    return UnencodableError(f"a value of type {_class_name(kind)}{remedy}")


class Form:
    """One of the encodings: what it does with types that are neither atoms nor builtin containers, and with order."""

    __slots__ = ("_are_atoms", "_atoms", "_careful", "_tag_other", "encoder")

    def __init__(
        self,
        encoder: msgspec.msgpack.Encoder,
        tag_other: "Callable[[Any, type, Form], Any]",
        atoms: frozenset[type] = _ATOMS,
    ) -> None:
        self.encoder = encoder
        self._tag_other = tag_other
        self._atoms = atoms
        self._are_atoms = atoms.issuperset
        self._careful = Form(encoder, tag_other, _ATOMS_BUT_INT) if int in atoms else self

    def pack(self, value: Any) -> bytes:
        """The encoded value; raises UnencodableError."""
        try:
            return self.encoder.encode(self.tag(value))
        except OverflowError:  # an int beyond 64 bits somewhere
            if self._careful is self:
                raise
            return self._careful.pack(value)
        except RecursionError:
            raise UnencodableError("a value nested too deeply, or one that contains itself") from None
        except UnicodeEncodeError:
            raise UnencodableError("a str with lone surrogates") from None

    def tag(self, value: Any) -> Any:
        """What msgpack encodes in place of `value`: often `value` itself."""
        kind = type(value)
        if kind in self._atoms:
            return value
        if kind is dict:
            return self._tag_dict(value)
        if kind is list:
            return self.tag_items(value)
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else _Ext(BIG_INT, f"{value:x}".encode())
        tagged = self._tag_builtin(value, kind)
        return self._tag_other(value, kind, self) if tagged is NotImplemented else tagged

    def _tag_dict(self, value: dict[Any, Any]) -> Any:
        if _are_str(map(type, value)):
            if self._are_atoms(map(type, value.values())):
                return value
            atoms = self._atoms
            return {key: item if type(item) in atoms else self.tag(item) for key, item in value.items()}
        encode = self.encoder.encode
        pairs = [encode([self.tag(key), self.tag(item)]) for key, item in value.items()]
        return _Ext(PAIRS, encode(sorted(pairs) if self.encoder is _sorted else pairs))

    def tag_items(self, value: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
        """The tagged items; msgpack makes no difference between a list and a tuple."""
        if self._are_atoms(map(type, value)):
            return value
        atoms = self._atoms
        return [item if type(item) in atoms else self.tag(item) for item in value]

    def _tag_builtin(self, value: Any, kind: type) -> Any:
        """The tagged form of what msgpack would flatten; NotImplemented for other types."""
        encode = self.encoder.encode
        if kind is tuple:
            return _Ext(TUPLE, encode(self.tag_items(value)))
        if kind is set or kind is frozenset:
            code = SET if kind is set else FROZENSET
            return _Ext(code, encode(sorted(encode(self.tag(item)) for item in value)))
        text = _AS_TEXT.get(kind)
        if text is not None:
            return _Ext(text[0], text[1](value).encode())
        if kind is bytearray:
            return _Ext(BYTEARRAY, bytes(value))
        return NotImplemented


class Storage:
    """`encode` and `decode` with more types.

    `tag_other(value, kind, form)` gives an extension for a value of another type, or NotImplemented;
    `restore_other(code, data)` the value of an extension with another code.
    """

    __slots__ = ("_decoder", "_form", "_restore_other")

    def __init__(self, tag_other: Callable[[Any, type, Form], Any], restore_other: Callable[[int, bytes], Any]) -> None:
        def tag(value: Any, kind: type, form: Form) -> Any:
            tagged = tag_other(value, kind, form)
            return _tag_for_storage(value, kind, form) if tagged is NotImplemented else tagged

        self._form = Form(_kept, tag)
        self._restore_other = restore_other
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._restore)

    def encode(self, value: Any) -> bytes:
        """The stored form of `value`; raises UnencodableError."""
        return self._form.pack(value)

    def decode(self, data: bytes) -> Any:
        """A fresh copy of what `encode` was given; raises ValueError on damage, and when a type is not known."""
        try:
            return self._decoder.decode(data)
        except _DAMAGE as error:
            raise ValueError(f"a damaged value ({type(error).__name__})") from error

    def _restore(self, code: int, data: memoryview) -> Any:
        restore = _FROM_EXT.get(code)
        return self._restore_other(code, bytes(data)) if restore is None else restore(bytes(data), self._decoder.decode)


_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError)
"""What restoring raises, beside ValueError, when the bytes are not what `encode` wrote."""


def _tag_for_storage(value: Any, kind: type, _form: Form) -> Any:
    if kind in {dt.datetime, dt.time} and _zone_comes_back(value.tzinfo):
        return _Ext(DATETIME if kind is dt.datetime else TIME, f"{value.fold}{value.isoformat()}".encode())
    raise refusal(kind, _AS_RECORD if is_record(kind) else "")


_AS_RECORD: Final = ": declare it as the function's return type, or allow its module with allow-modules"


def is_record(kind: type) -> bool:
    """Whether it is a class of enum members, a dataclass, a msgspec struct or a pydantic model."""
    return (
        issubclass(kind, _RECORD_BASES) or hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__pydantic_fields__")
    )


_RECORD_BASES: Final = (enum.Enum, msgspec.Struct)


def _zone_comes_back(zone: dt.tzinfo | None) -> bool:
    """Whether the text of a time tells its zone: none, or an offset without a name of its own."""
    return zone is None or (
        type(zone) is dt.timezone and zone.tzname(None) == dt.timezone(zone.utcoffset(None)).tzname(None)
    )


def _tag_for_identity(value: Any, kind: type, form: Form) -> Any:
    """Identity of what is told apart by its class: enums, dates with a zone, paths, records, subclasses of builtins."""
    tag, encode, name = form.tag, form.encoder.encode, _class_name(kind)
    if isinstance(value, enum.Enum):
        return _Ext(ENUM, encode([name, value.name, tag(value.value)]))
    if isinstance(value, dt.datetime | dt.time):
        return _Ext(ZONED, encode([name, value.isoformat(), value.fold, str(value.tzinfo)]))
    if isinstance(value, os.PathLike):
        return _Ext(PATH, encode([name, os.fspath(value)]))
    fields = _record_fields(value, kind)
    if fields is not None:
        return _Ext(RECORD, encode([name, tag(fields)]))
    for base, plain in _PLAIN.items():
        if isinstance(value, base) and not _has_hidden_state(kind, base):
            own = tag(vars(value)) if hasattr(value, "__dict__") else None
            return _Ext(SUBCLASS, encode([name, tag(plain(value)), own]))
    raise refusal(kind)


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


_Decode = Callable[[bytes], Any]

_FROM_EXT: Final[dict[int, Callable[[bytes, _Decode], Any]]] = {
    TUPLE: lambda data, decode: tuple(decode(data)),
    SET: lambda data, decode: {decode(item) for item in decode(data)},
    FROZENSET: lambda data, decode: frozenset(decode(item) for item in decode(data)),
    PAIRS: lambda data, decode: dict(decode(pair) for pair in decode(data)),
    BIG_INT: lambda data, _: int(data, 16),
    DECIMAL: lambda data, _: decimal.Decimal(data.decode()),
    UUID: lambda data, _: uuid.UUID(hex=data.decode()),
    DATETIME: lambda data, _: dt.datetime.fromisoformat(data[1:].decode()).replace(fold=int(data[:1])),
    DATE: lambda data, _: dt.date.fromisoformat(data.decode()),
    TIME: lambda data, _: dt.time.fromisoformat(data[1:].decode()).replace(fold=int(data[:1])),
    TIMEDELTA: lambda data, _: dt.timedelta(*map(int, data.decode().split(","))),
    COMPLEX: lambda data, _: complex(data.decode()),
    BYTEARRAY: lambda data, _: bytearray(data),
}


def _restore_nothing(code: int, _data: bytes) -> Any:
    raise ValueError(
        f"extension type {code} is not known to this version, or holds a record whose class is not allowed"
    )


_IDENTITY: Final = Form(_sorted, _tag_for_identity)
_STORED: Final = Form(_kept, _tag_for_storage)
decode: Final[Callable[[bytes], Any]] = Storage(_tag_for_storage, _restore_nothing).decode
"""A fresh, mutable copy of what `encode` was given; raises ValueError on damage."""
