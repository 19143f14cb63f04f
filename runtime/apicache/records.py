"""Storing and restoring records: enum members, dataclasses, msgspec structs and pydantic models, anywhere in a value.

A stored record names its class, so restoring looks classes up by stored names. Only two kinds are ever found: those
that a function's return annotation reaches, and those of modules that the user allowed and that are loaded already.
Nothing is imported, and no attribute is read on the way that could run code. A class whose fields have changed since is
no longer found: the entry is a miss.
"""

import enum
import functools
import operator
import sys
import types
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from apicache.annotations import Reach, declaring
from apicache.tagged import ENUM_STORED, RECORD_STORED, Form, Storage, is_record, refusal
from apicache.tagged import decode as decode_plain
from apicache.tagged import encode as encode_plain

_Ext = msgspec.msgpack.Ext
_HEAPTYPE: Final = 1 << 9
"""`Py_TPFLAGS_HEAPTYPE`: set for every class that Python code defines."""
_MISSING: Final = object()
_CODES: Final = frozenset({RECORD_STORED, ENUM_STORED})
_KNOWN_MAX: Final = 1024
"""Functions; a class that declares itself, or a method that returns its own class, would otherwise never leave."""

_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(tuple[str, list[str]]).decode


class RecordTypes:
    """The classes that may be stored and restored, and the storage that does so."""

    EMPTY: ClassVar["RecordTypes"]
    """No class at all: `tagged.encode` and `tagged.decode` themselves."""

    encode: Callable[[Any], bytes]
    """The stored form of a value; raises UnencodableError, also for a record of a class that is not allowed."""
    decode: Callable[[bytes], Any]
    """A fresh copy; raises ValueError on damage, for a class that is not allowed, and for one with other fields."""

    def __init__(
        self, classes: Iterable[type] = (), allow_modules: Iterable[str] = (), reach: Reach | None = None
    ) -> None:
        """`reach` may come to reach more than `classes`."""
        self._declared: dict[str, type] = {}
        self._declare(classes)
        self._reach = reach
        self._modules = tuple(allow_modules)
        self._shapes: dict[type, _Shape] = {}
        self._settled: dict[type | bytes, _Shape] = {}
        """Those of declared classes, by class and by head; one of a module is looked up each time, as it may change."""
        self.is_plain = not (self._declared or self._modules)
        """Whether no class is allowed so far: values are stored and restored as by `EMPTY`."""
        if not self.is_plain or reach is not None:
            storage = Storage(self._tag, self._restore)
            self.encode, self.decode = storage.encode, storage.decode
        else:
            self.encode, self.decode = encode_plain, decode_plain

    @classmethod
    def declared(cls, function: Callable[..., Any] | None, allow_modules: Iterable[str] = ()) -> "RecordTypes":
        """The classes that the return annotation of `function` reaches, and those of the allowed modules.

        A module allows what lies under it, too. Annotations that cannot be resolved reach what can be.
        """
        modules = tuple(allow_modules)
        if function is None:
            return cls((), modules) if modules else cls.EMPTY
        reach = Reach(declaring(function))
        if not (reach.classes or reach.missing or modules):
            return cls.EMPTY
        return cls(reach.classes, modules, reach if reach.missing else None)

    @classmethod
    def of(cls, function: Callable[..., Any], allow_modules: tuple[str, ...] = ()) -> "RecordTypes":
        """As `declared`, found once for a function, whichever instance it is bound to, as long as it lives."""
        source = declaring(function)
        try:
            known = _known.get(source)
        except TypeError:  # a builtin's method: has no weak references, and no annotations
            return cls.declared(source, allow_modules)
        if known is None:
            if len(_known) >= _KNOWN_MAX:
                _known.clear()
            known = _known[source] = {}
        found = known.get(allow_modules)
        if found is None:
            found = known[allow_modules] = cls.declared(source, allow_modules)
        return found

    @property
    def classes(self) -> list[type]:
        """The declared classes."""
        return list(self._declared.values())

    def _declare(self, classes: Iterable[type]) -> None:
        for kind in classes:
            # Of two classes with one name (made by one function, called twice) the second is not stored.
            self._declared.setdefault(_name_of(kind), kind)

    def _find(self, name: str) -> type | None:
        """The allowed class of a name, `module:qualname`."""
        kind = self._declared.get(name)
        if kind is None and self._reach is not None and self._reach.has_grown():
            self._declare(self._reach.classes)
            kind = self._declared.get(name)
        if kind is not None:
            return kind
        module, _, qualname = name.partition(":")
        if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in self._modules):
            return None
        kind = _member(module, qualname)
        return kind if kind is not None and _name_of(kind) == name and is_record(kind) else None

    def _shape(self, name: str, kind: type) -> "_Shape":
        shape = self._shapes.get(kind)
        if shape is None:
            shape = self._shapes[kind] = _shape_of(kind)
            if name in self._declared:
                self._settled[kind] = self._settled[shape.head] = shape
        return shape

    def _tag(self, value: Any, kind: type, form: Form) -> Any:
        """The extension for a record of an allowed class."""
        shape = self._settled.get(kind)
        if shape is None:
            name = _name_of(kind)
            if not is_record(kind) or self._find(name) is not kind:
                return NotImplemented
            shape = self._shape(name, kind)
        return _Ext(shape.code, _encode([shape.head, *shape.taken_apart(value, form.tag)]))

    def _restore(self, code: int, data: bytes) -> Any:
        """The record in an extension; raises ValueError."""
        if code not in _CODES:
            raise ValueError(f"extension type {code} is not known to this version")
        head, *parts = self.decode(data)
        shape = self._settled.get(head) or self._shape_of_stored(head)
        if shape.code != code:
            raise ValueError(f"a stored {shape.name} with other fields than it has now")
        try:
            return shape.put_together(parts)
        except Exception as error:
            # A class's own code, such as a struct's `__post_init__`, raises what it likes.
            raise ValueError(f"a stored {shape.name} that cannot be restored ({type(error).__name__})") from error

    def _shape_of_stored(self, head: bytes) -> "_Shape":
        name, _ = _decode_head(head)
        kind = self._find(name)
        if kind is None:
            raise ValueError(f"a stored {name}, which is not allowed (any longer)")
        shape = self._shape(name, kind)
        if shape.head != head:
            raise ValueError(f"a stored {name} with other fields than it has now")
        return shape


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _member(module: str, qualname: str) -> type | None:
    """The class at a place in a loaded module; reads namespaces only, so that no `__getattr__` or descriptor runs."""
    found: Any = sys.modules.get(module)
    try:
        # Not `vars`: reading an attribute of a lazily loaded module would load it.
        namespace: Mapping[str, Any] = object.__getattribute__(found, "__dict__")
    except AttributeError:
        return None
    for part in qualname.split("."):
        found = namespace.get(part)
        if not isinstance(found, type):
            return None
        namespace = type.__dict__["__dict__"].__get__(found)
    return typing.cast("type", found)


class _Shape:
    """How the records of one class are taken apart and put together."""

    code = RECORD_STORED

    def __init__(self, kind: type, names: Iterable[str]) -> None:
        self.kind = kind
        self.names = tuple(names)
        self.name = _name_of(kind)
        self.head = _encode([self.name, self.names])
        """The class's name and fields in one piece: compared as bytes, it tells whether the fields have changed."""

    def taken_apart(self, value: Any, tag: Callable[[Any], Any]) -> list[Any]:
        """The tagged parts that are stored after the head; raises UnencodableError."""
        values, missing, own = [], [], self.state(value)
        for name in self.names:
            item = own.pop(name, _MISSING)
            if item is _MISSING:
                missing.append(name)
            else:
                values.append(tag(item))
        rest = self.rest(value, own)
        return [values, missing, tag(rest)] if missing or rest else [values]

    def put_together(self, parts: list[Any]) -> Any:
        """The record; raises ValueError when the parts are not those of one."""
        values, missing, rest = parts if len(parts) > 1 else (*parts, [], {})
        present = [name for name in self.names if name not in missing] if missing else self.names
        return self.built(dict(zip(present, values, strict=True)), rest)

    def state(self, value: Any) -> dict[str, Any]:
        """The attributes of a record: its fields, and what was set otherwise."""
        raise NotImplementedError

    def rest(self, _value: Any, own: dict[str, Any]) -> dict[str, Any]:
        """What is to be stored beside the fields; empty for nothing."""
        return own

    def built(self, fields: dict[str, Any], rest: dict[str, Any]) -> Any:
        """The record of these fields."""
        raise NotImplementedError


class _EnumShape(_Shape):
    """A member by its name; several names are the members of a flag, joined."""

    kind: type[enum.Enum]
    code = ENUM_STORED

    def taken_apart(self, value: Any, _tag: Callable[[Any], Any]) -> list[Any]:
        known: Any = self.kind.__members__.get(value.name)
        if known is value:
            return [[value.name]]
        if issubclass(self.kind, enum.Flag):
            names = [member.name for member in value]
            if self.put_together([names]) == value:
                return [names]
        raise refusal(self.kind, " that is none of its members")

    def put_together(self, parts: list[Any]) -> Any:
        (names,) = parts
        members: list[Any] = [self.kind.__members__[name] for name in names]
        if len(members) == 1:
            return members[0]
        return functools.reduce(operator.or_, members, self.kind(0))


class _DataclassShape(_Shape):
    """Attributes are read from and put where they lie, so that neither `__init__` nor a frozen class minds."""

    def __init__(self, kind: type) -> None:
        from dataclasses import fields  # noqa: PLC0415 - loaded already where there is a dataclass

        if any(not base.__flags__ & _HEAPTYPE and base is not object for base in kind.__mro__):
            # What a builtin base holds (the items of a dict, the arguments of an exception) is no attribute.
            raise refusal(kind, ", a dataclass that is also a builtin")
        super().__init__(kind, [field.name for field in fields(kind)])
        members = [item for base in kind.__mro__ for item in vars(base).items()]
        self.slots = {name for name, member in members if isinstance(member, types.MemberDescriptorType)}
        self.derived = {name for name, member in members if isinstance(member, functools.cached_property)}

    def state(self, value: Any) -> dict[str, Any]:
        own = getattr(value, "__dict__", {})
        state = {name: item for name, item in own.items() if name not in self.derived}
        for name in self.slots:
            item = getattr(value, name, _MISSING)
            if item is not _MISSING:
                state[name] = item
        return state

    def built(self, fields: dict[str, Any], rest: dict[str, Any]) -> Any:
        record: Any = object.__new__(self.kind)
        for name, item in (fields | rest).items():
            if name in self.slots:
                object.__setattr__(record, name, item)
            else:
                record.__dict__[name] = item
        return record


class _StructShape(_Shape):
    """Built by its constructor, for want of another way; what a `__post_init__` changes is put back."""

    kind: type[msgspec.Struct]

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        super().__init__(kind, kind.__struct_fields__)
        self.force = self.names if hasattr(kind, "__post_init__") else ()
        defaults = zip(reversed(self.names), reversed(kind.__struct_defaults__), strict=False)
        # `omit_defaults` goes by identity: an equal text that was restored would be written out.
        atoms = {str, bytes, int, float} if kind.__struct_config__.omit_defaults else set()
        self.same = {name: default for name, default in defaults if type(default) in atoms}

    def state(self, value: Any) -> dict[str, Any]:
        fields = {name: getattr(value, name, _MISSING) for name in self.names}
        if any(item is _MISSING for item in fields.values()):
            raise refusal(self.kind, " without some of its fields")
        return dict(getattr(value, "__dict__", {})) | {
            name: item for name, item in fields.items() if item is not msgspec.UNSET
        }

    def built(self, fields: dict[str, Any], rest: dict[str, Any]) -> Any:
        every = {name: fields.get(name, msgspec.UNSET) for name in self.names}
        for name, default in self.same.items():
            item = every[name]
            if type(item) is type(default) and item == default and repr(item) == repr(default):  # 0.0 is not -0.0
                every[name] = default
        record = self.kind(**every)
        for name in self.force:
            msgspec.structs.force_setattr(record, name, every[name])
        if rest:
            vars(record).update(rest)
        return record


class _PydanticShape(_Shape):
    """Its state is what pydantic itself pickles; validators do not run."""

    kind: Any

    def __init__(self, kind: Any) -> None:
        super().__init__(kind, kind.__pydantic_fields__)
        members = [item for base in kind.__mro__ for item in vars(base).items()]
        self.derived = {name for name, member in members if isinstance(member, functools.cached_property)}

    def state(self, value: Any) -> dict[str, Any]:
        return {name: item for name, item in vars(value).items() if name not in self.derived}

    def rest(self, value: Any, own: dict[str, Any]) -> dict[str, Any]:
        given = value.__pydantic_fields_set__
        rest = {
            "own": own or None,
            # None stands for the usual: every field was given.
            "given": None if given == set(self.names) else sorted(given),
            "extra": value.__pydantic_extra__,
            "private": value.__pydantic_private__,
        }
        return {name: item for name, item in rest.items() if item is not None}

    def built(self, fields: dict[str, Any], rest: dict[str, Any]) -> Any:
        record: Any = object.__new__(self.kind)
        record.__setstate__(
            {
                "__dict__": fields | rest.get("own", {}),
                "__pydantic_fields_set__": set(rest.get("given", self.names)),
                "__pydantic_extra__": rest.get("extra"),
                "__pydantic_private__": rest.get("private"),
            }
        )
        return record


def _shape_of(kind: type) -> _Shape:
    if issubclass(kind, enum.Enum):
        return _EnumShape(kind, ())
    if issubclass(kind, msgspec.Struct):
        return _StructShape(kind)
    # A pydantic dataclass bears both marks, and is a dataclass.
    return _DataclassShape(kind) if hasattr(kind, "__dataclass_fields__") else _PydanticShape(kind)


RecordTypes.EMPTY = RecordTypes()
_known: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], RecordTypes]] = weakref.WeakKeyDictionary()
