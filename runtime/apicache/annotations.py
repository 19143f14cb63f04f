"""The record classes that a function's return annotation reaches."""

import enum
import functools
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from apicache.tagged import is_record

_Names = tuple[Mapping[str, Any], ...]
"""Where the names of an annotation that is text are looked up: the first that has it."""

_UNRESOLVED: Final = (AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError, ValueError)
"""What `typing.get_type_hints` raises for text that means nothing at run time, such as a type checker's import."""
_LIBRARIES: Final = frozenset({"builtins", "msgspec", "pydantic", "typing"})
"""Whose base classes declare nothing of a record's own."""


def classes_of_result(function: Callable[..., Any]) -> list[type]:
    """The classes of enums, dataclasses, structs and models in what `function` returns, and in their fields.

    When one name of an annotation cannot be resolved, its other names still are: by look-up, without evaluation.
    """
    if isinstance(function, type):
        return _Walk().over(function, ())
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - of an instance, its class's method
    names = _names_around(function)
    try:
        closure = dict(names[0]) if names else None
        result = typing.get_type_hints(function, localns=closure, include_extras=True).get("return")
    except _UNRESOLVED:
        result = getattr(function, "__annotations__", {}).get("return")
    return _Walk().over(result, names)


def _names_around(function: Any) -> _Names:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    closure = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            closure[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return (closure, getattr(function, "__globals__", {}))


class _Walk:
    """One walk over an annotation and all that it reaches."""

    def __init__(self) -> None:
        self._found: dict[type, None] = {}
        self._seen: dict[int, Any] = {}
        """By id, for not all annotations are hashable; holds them, so that no id is used again."""

    def over(self, annotation: Any, names: _Names) -> list[type]:
        """The classes found, in the order of the walk."""
        self._visit(annotation, names)
        return list(self._found)

    def _visit(self, given: Any, names: _Names) -> None:
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
                self._visit(part, names)

    def _visit_class(self, kind: type) -> None:
        if is_record(kind):
            self._found[kind] = None
        elif not typing.is_typeddict(kind):
            return
        for annotation, names in _fields_of(kind):
            self._visit(annotation, names)

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
                self._visit(_looked_up(ast.unparse(node), names), names)


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


def _looked_up(dotted: str, names: _Names) -> Any:
    """What a dotted name stands for; None when it is unknown. Reads namespaces only."""
    first, *rest = dotted.split(".")
    found = next((mapping[first] for mapping in names if first in mapping), None)
    for part in rest:
        found = vars(found).get(part) if isinstance(found, type | types.ModuleType) else None
    return found
