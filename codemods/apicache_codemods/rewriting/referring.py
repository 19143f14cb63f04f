"""Which values of other modules an operation can read where they are: settings that may change while a program runs.

Such a value is read when the call is made, as the site read it, and is part of the operation's scope. So its module
must be one that the operations module can import without a circle, and its values must have content to compare.
"""

import ast
import posixpath
from collections.abc import Collection

from apicache_codemods.bindings import Annotated, Assigned, Augmented, Binding, Imported
from apicache_codemods.project import Module, Project
from apicache_codemods.rewriting.dependencies import imported_by
from apicache_codemods.rewriting.layout import Layout

_CONVERSIONS = frozenset({"str", "int", "float", "bool", "dict", "list", "tuple"})
_READS = frozenset({"os.getenv", "os.environ.get", "getenv", "environ.get"})
_TEXT_METHODS = frozenset({"strip", "rstrip", "lstrip", "lower", "upper", "format", "split", "removesuffix", "replace"})


class References:
    """Says by what name an operations module imports the module that a site reads values of.

    `users` are the locations of the modules that may come to import an operations module; `place` is the absolute path
    of the operations module that was asked for, None for the default ones.
    """

    def __init__(self, project: Project, layout: Layout, users: Collection[str], place: str | None) -> None:
        self._project = project
        self._layout = layout
        self._users = frozenset(users)
        self._place = place
        self._names: dict[tuple[str, str], str | None] = {}

    def import_name(self, origin: Module, site: Module) -> str | None:
        """The dotted name of `origin`; None when an operations module beside `site` cannot import it."""
        base, package = self._layout.unit(site)
        if origin is site or self._layout.base(origin) != base:
            return None
        below = posixpath.dirname(self._place) if self._place is not None else posixpath.join(base, package)
        key = (origin.location, below)
        if key not in self._names:
            self._names[key] = self._import_name(origin, below)
        return self._names[key]

    def _import_name(self, origin: Module, below: str) -> str | None:
        if not self._users.isdisjoint(imported_by(origin.location, below, self._project)):
            return None
        name = self._layout.import_name(origin)
        parent = self._project.module(posixpath.dirname(origin.location))
        is_hidden = parent is not None and "." in name and name.rpartition(".")[2] in parent.scope.bindings
        return None if is_hidden or not all(part.isidentifier() for part in name.split(".")) else name

    def is_plain(self, module: Module, name: str) -> bool:
        """Whether everything that the module binds to a name is text, numbers, or collections of them."""
        return self._are_plain(module, name, frozenset())

    def _are_plain(self, module: Module, name: str, seen: frozenset[tuple[str, str]]) -> bool:
        key = (module.location, name)
        bindings = module.scope.bindings.get(name, [])
        if key in seen or not bindings:
            return False
        return all(self._is_plain_binding(binding, module, seen | {key}) for binding in bindings)

    def _is_plain_binding(self, binding: Binding, module: Module, seen: frozenset[tuple[str, str]]) -> bool:
        match binding.source:
            case Annotated():
                return True
            case Assigned(value=value, unpack=()) | Augmented(value=value):
                return self._is_plain_value(value, module, seen)
            case Imported(module=dotted, level=level, name=str() as name):
                location = self._project.find(dotted, level, module.location)
                origin = self._project.module(location) if location is not None else None
                return origin is not None and self._are_plain(origin, name, seen)
            case _:
                return False

    def _is_plain_value(self, value: ast.expr, module: Module, seen: frozenset[tuple[str, str]]) -> bool:
        parts = [part for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr)]
        match value:
            case ast.Constant():
                return True
            case ast.Name(id=name):
                return self._are_plain(module, name, seen)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                parts = [*arguments, *(keyword.value for keyword in keywords)]
                if isinstance(function, ast.Attribute) and function.attr in _TEXT_METHODS:
                    parts.append(function.value)
                elif ast.unparse(function) not in _CONVERSIONS | _READS:
                    return False
            case ast.Subscript(value=read, slice=index) if ast.unparse(read) in {"os.environ", "environ"}:
                parts = [index]
            case ast.JoinedStr() | ast.FormattedValue() | ast.BinOp() | ast.BoolOp() | ast.IfExp() | ast.Compare():
                pass
            case ast.Dict() | ast.List() | ast.Tuple() | ast.Set() | ast.UnaryOp():
                pass
            case _:
                return False
        return all(self._is_plain_value(part, module, seen) for part in parts)
