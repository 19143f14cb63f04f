"""Reads located YAML values as the format's structs: every key and every value is checked, each fault has its place."""

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from apicache_scenarios.format.document import Located
from apicache_scenarios.format.problems import Place, Problems, suggestion
from apicache_scenarios.format.quantities import Quantity
from apicache_scenarios.format.templates import resolved

WRONG: Final = object()
"""What a value reads as that has a fault; the fault is noted."""
_QUOTED: Final = 60


class Reader:
    """Reads the values of one file; `environ` is what `${{ env.X }}` refers to."""

    def __init__(self, path: Path, problems: Problems, environ: Mapping[str, str] | None) -> None:
        """Without an `environ` references stay as they are written."""
        self._path = path
        self._problems = problems
        self._environ = environ

    def literal(self) -> Self:
        """A reader of the same file that leaves references as they are written."""
        return type(self)(self._path, self._problems, None)

    def note(self, place: Place, message: str) -> None:
        """Note a fault of the file."""
        self._problems.add(self._path, place, message)

    def resolved(self, located: Located) -> Located:
        """The value with each `${{ env.X }}` in it replaced; those that are unset are noted."""
        return located if self._environ is None else resolved(located, self._environ, self.note)

    def read(self, located: Located, expected: Any, what: str) -> Any:
        """The value as `expected` has it, or WRONG; `what` names it in messages."""
        quantity = next((each for each in getattr(expected, "__metadata__", ()) if isinstance(each, Quantity)), None)
        if quantity is not None:
            return self._quantity(located, quantity, what)
        if isinstance(expected, type) and issubclass(expected, Struct):
            return self.struct(located, expected, what)
        origin, arguments = typing.get_origin(expected), typing.get_args(expected)
        if origin in (typing.Union, types.UnionType):
            return self._optional(located, arguments, what)
        if origin is tuple:
            return self._items(located, arguments[0], what)
        if origin is dict and arguments[1] is not Any:
            return self._fields(located, arguments[1], what)
        return self._plain(located, expected, what)

    def struct(self, located: Located, expected: type[Struct], what: str) -> Any:
        """A mapping as a struct; unknown keys are noted with the close ones, missing ones by name."""
        if not isinstance(located.value, dict):
            keys = ", ".join(expected.__struct_fields__)
            return self._wrong(located, what, f"a mapping with {keys}")
        known = {field.name: field for field in msgspec.structs.fields(expected)}
        hints = typing.get_type_hints(expected, include_extras=True)
        for key in located.value:
            if key not in known:
                self.note(located.key_places[key], f"unknown key {key!r} of {what}{suggestion(str(key), known)}")
        read = {
            name: self.read(located.value[name], hints[name], f"{what}.{name}")
            for name in known
            if name in located.value
        }
        missing = [name for name, field in known.items() if field.required and name not in located.value]
        for name in missing:
            self.note(located.place, f"{what} needs {name!r}; add {name}:")
        if missing or any(value is WRONG for value in read.values()):
            return WRONG
        return expected(**read)

    def _optional(self, located: Located, alternatives: tuple[Any, ...], what: str) -> Any:
        if located.value is None and type(None) in alternatives:
            return None
        (expected,) = (each for each in alternatives if each is not type(None))
        return self.read(located, expected, what)

    def _items(self, located: Located, expected: Any, what: str) -> Any:
        if not isinstance(located.value, list):
            return self._wrong(located, what, "a list")
        items = [self.read(item, expected, what) for item in located.value]
        return WRONG if WRONG in items else tuple(items)

    def _fields(self, located: Located, expected: Any, what: str) -> Any:
        if not isinstance(located.value, dict):
            return self._wrong(located, what, "a mapping")
        fields = {}
        for name, value in located.value.items():
            if not isinstance(name, str):
                self.note(located.key_places[name], f"key {name!r} of {what} is not text; quote it")
                return WRONG
            fields[name] = self.read(value, expected, f"{what}.{name}")
        return WRONG if WRONG in fields.values() else fields

    def _quantity(self, located: Located, quantity: Quantity, what: str) -> Any:
        given = self.resolved(located).value
        try:
            return quantity.parse(given)
        except ValueError:
            return self._wrong(located, what, quantity.expected)

    def _plain(self, located: Located, expected: Any, what: str) -> Any:
        given = self.resolved(located).plain()
        if expected is Path:
            return self._path.parent / given if isinstance(given, str) else self._wrong(located, what, "a file's path")
        try:
            return msgspec.convert(given, expected)
        except msgspec.ValidationError as error:
            message = str(error).partition(" - at `")[0]
            self.note(located.place, f"{what} {shown(located)}: {message[:1].lower()}{message[1:]}")
            return WRONG

    def _wrong(self, located: Located, what: str, expected: str) -> object:
        self.note(located.place, f"{what} {shown(located)} is not usable; expected {expected}")
        return WRONG


def shown(located: Located) -> str:
    """A value as an error quotes it, shortened."""
    text = repr(located.plain())
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 3]}..."
