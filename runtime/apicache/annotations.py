"""The record classes that a function's return annotation reaches."""

import builtins
import enum
import functools
import sys
import types
import typing
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from apicache.tagged import is_record

_Names = tuple[Mapping[str, Any], ...]
"""Where the names of an annotation that is text are looked up: the first that has it."""
_Missing = tuple[tuple[_Names, str], ...]
"""Names, each with where it was looked for."""

_UNRESOLVED: Final = (AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError, ValueError)
"""What `typing.get_type_hints` raises for text that means nothing at run time, such as a type checker's import."""
_LIBRARIES: Final = frozenset({"builtins", "msgspec", "pydantic", "typing"})
"""Whose base classes declare nothing of a record's own."""


def declaring(function: Callable[..., Any]) -> Any:
    """The function or class whose return annotation tells what a callable returns: the same one for all instances."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return function
    if not isinstance(function, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - of an instance, its class's method
    return getattr(function, "__func__", function)


class Reach:
    """What the return annotation of a function, one that `declaring` gives, reaches.

    The classes are those of enums, dataclasses, structs and models in what it returns, and in their fields. When one
    name of an annotation cannot be resolved, its other names still are: by look-up, without evaluation.
    """

    def __init__(self, function: Any) -> None:
        self.classes: tuple[type, ...] = ()
        """In the order in which they are reached."""
        self.missing: _Missing = ()
        """Names that meant nothing: some may be defined later, a type checker's imports never are."""
        self._function: Callable[[], Any] = _reference(function)
        self._walk(function)

    def has_grown(self) -> bool:
        """Whether a name that was missing has been defined since; the classes are then found anew."""
        if not any(name in namespace for names, name in self.missing for namespace in names):
            return False
        function = self._function()
        if function is None:
            return False
        self._walk(function)
        return True

    def _walk(self, function: Any) -> None:
        walk = _Walk()
        if isinstance(function, type):
            walk.visit(function, ())
        else:
            names = _names_around(function)
            try:
                hints = typing.get_type_hints(function, localns=dict(names[0]), include_extras=True)
            except _UNRESOLVED:
                hints = getattr(function, "__annotations__", {})
            walk.visit(hints.get("return"), names)
        self.classes, self.missing = tuple(walk.found), tuple(walk.missing)


def _reference(function: Any) -> Callable[[], Any]:
    """Weak, for what a function declares is remembered as long as it lives."""
    try:
        return weakref.ref(function)
    except TypeError:  # a builtin, which lives anyway
        return lambda: function


def _names_around(function: Any) -> _Names:
    return (_Closure(function), getattr(function, "__globals__", {}))


class _Closure(Mapping[str, Any]):
    """The names that a function has closed over, once they are assigned."""

    def __init__(self, function: Any) -> None:
        code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
        self._cells = dict(zip(code.co_freevars if code else (), cells, strict=False))

    def __getitem__(self, name: str) -> Any:
        try:
            return self._cells[name].cell_contents
        except ValueError:  # not assigned yet
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._cells if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Walk:
    """One walk over an annotation and all that it reaches."""

    def __init__(self) -> None:
        self.found: dict[type, None] = {}
        self.missing: list[tuple[_Names, str]] = []
        self._seen: dict[int, Any] = {}
        """By id, for not all annotations are hashable; holds them, so that no id is used again."""

    def visit(self, given: Any, names: _Names) -> None:
        """Take in what an annotation reaches; `names` are those that mean something where it stands."""
        if given is None or id(given) in self._seen:
            return
        self._seen[id(given)] = given
        origin = typing.get_origin(given)
        if isinstance(given, type) and origin is None:
            self._visit_class(given)
        elif isinstance(given, str):
            self._visit_text(given, names)
        else:
            for part in _parts_of(given, origin):
                self.visit(part, names)

    def _visit_class(self, kind: type) -> None:
        if is_record(kind):
            self.found[kind] = None
        elif not typing.is_typeddict(kind):
            return
        for annotation, names in _fields_of(kind):
            self.visit(annotation, names)

    def _visit_text(self, text: str, names: _Names) -> None:
        import ast  # noqa: PLC0415 - for annotations that `typing` could not resolve only

        try:
            tree = ast.parse(text, mode="eval")
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._visit_text(node.value, names)
            elif isinstance(node, ast.Name | ast.Attribute):
                self.visit(self._looked_up(ast.unparse(node), names), names)

    def _looked_up(self, dotted: str, names: _Names) -> Any:
        """What a dotted name stands for; None when it is unknown. Reads namespaces only."""
        found, namespaces = None, names
        for name in dotted.split("."):
            namespace = next((each for each in namespaces if name in each), None)
            if namespace is None:
                if namespaces and not hasattr(builtins, name):
                    self.missing.append((namespaces, name))
                return None
            found = namespace[name]
            namespaces = (vars(found),) if isinstance(found, type | types.ModuleType) else ()
        return found


def _parts_of(given: Any, origin: Any) -> Iterator[Any]:
    """The annotations that one which is no class is made of."""
    if origin is typing.Literal:
        yield from (type(value) for value in typing.get_args(given) if isinstance(value, enum.Enum))
    elif origin is typing.Annotated:
        yield given.__origin__
    elif origin is not None and origin is not typing.ClassVar:
        yield origin
        yield from typing.get_args(given)
    elif isinstance(given, list):  # the parameters of a Callable
        yield from given
    elif isinstance(given, typing.ForwardRef):
        yield given.__forward_arg__
    elif isinstance(given, typing.TypeVar):
        yield given.__bound__
        yield from given.__constraints__
    elif isinstance(given, typing.NewType):
        yield given.__supertype__
    elif type(given).__name__ == "TypeAliasType":  # a `type` statement, from 3.12
        yield given.__value__


def _fields_of(kind: type) -> Iterator[tuple[Any, _Names]]:
    """The annotations of a class's fields, resolved where they can be, and where names in the others are looked up."""
    models: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
    yield from ((field.annotation, _names_in(kind)) for field in models.values())
    if not models:  # pydantic has resolved its own, and its base class has some that are of no concern
        try:
            hints = typing.get_type_hints(kind, include_extras=True)
        except _UNRESOLVED:
            pass
        else:
            yield from ((annotation, ()) for annotation in hints.values())
            return
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in _LIBRARIES:
            yield from ((raw, _names_in(base)) for raw in vars(base).get("__annotations__", {}).values())


def _names_in(kind: type) -> _Names:
    return (vars(kind), vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {})
