"""What statements assign to attributes of objects and put into collections, found from the text of a module first.

Most names are never written to so; a look at the text, once a module, spares a walk over its scopes.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from apicache_codemods.bindings import Binding, Item
from apicache_codemods.project import Project
from apicache_codemods.scopes import Frame, Scope, lookup

# Patterns that begin with a literal: the engine skips through the text.
_ITEM = re.compile(r"\][ \t]*(?::[^=\n]+)?=(?!=)")
_COLLECTION = re.compile(r"[ \t]*(?:\w+\.)?(\w+)\[")
_PUT = re.compile(r"\.(?:append|appendleft|add|set|put|put_nowait|setdefault)\(")
_ATTRIBUTE = re.compile(r"\.(\w+)[ \t]*[:=](?!=)")
_ENTERED = re.compile(r"\bas[ \t]+\w+(?:\.\w+)?\.(\w+)")
_WORD_BEFORE = re.compile(r"\w+\Z")
_LONGEST_NAME = 60


class Written:
    """Items and attributes by how they are written: `clients[name] = ...`, `local.session = ...`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._collections: dict[str, frozenset[str]] = {}
        self._attributes: dict[str, frozenset[str]] = {}
        self._items: dict[tuple[Scope, str], Sequence[Item]] = {}

    def items(self, collection: ast.expr, frame: Frame) -> Sequence[Item]:
        """What is put into a collection that is a name or an attribute of one."""
        match collection:
            case ast.Name(id=name):
                holder = None
            case ast.Attribute(value=ast.Name(id=holder), attr=name):
                pass
            case _:
                return ()
        if name not in self._put_into(frame.scope.owner):
            return ()
        scope = self._scope_of(holder or name, frame, collection)
        key = (scope, name if holder is None else f"{holder}.{name}")
        if key not in self._items:
            self._items[key] = list(_items_in(scope, name, holder))
        return self._items[key]

    def _put_into(self, location: str) -> frozenset[str]:
        if location not in self._collections:
            text = self._project.sources[location].text
            found = set()
            for hit in _ITEM.finditer(text):
                collection = _COLLECTION.match(text, text.rfind("\n", 0, hit.start()) + 1)
                found |= {collection[1]} if collection is not None else set()
            for hit in _PUT.finditer(text):
                word = _WORD_BEFORE.search(text[max(0, hit.start() - _LONGEST_NAME) : hit.start()])
                found |= {word[0]} if word is not None else set()
            self._collections[location] = frozenset(found)
        return self._collections[location]

    def attributes(self, expression: ast.Attribute, frame: Frame) -> list[Binding]:
        """What is assigned to an attribute of an object: of `threading.local()`, of `app.state`."""
        match expression.value:
            case ast.Name(id=holder):
                written = holder
            case ast.Attribute(value=ast.Name(id=holder), attr=between):
                written = f"{holder}.{between}"
            case _:
                return []
        if expression.attr not in self._assigned(frame.scope.owner):
            return []
        scope = self._scope_of(holder, frame, expression)
        key = (written, expression.attr)
        return [each for inner in (scope, *scope.descendants()) for each in inner.names.attributes.get(key, ())]

    def _assigned(self, location: str) -> frozenset[str]:
        if location not in self._attributes:
            text = self._project.sources[location].text
            self._attributes[location] = frozenset((*_ATTRIBUTE.findall(text), *_ENTERED.findall(text)))
        return self._attributes[location]

    @staticmethod
    def _scope_of(name: str, frame: Frame, place: ast.expr) -> Scope:
        """The scope to search: that which binds a name; for `self`, its class."""
        found = lookup(name, frame, (place.lineno, place.col_offset))
        scope = found[0] if found is not None else frame.scope
        is_method = scope.kind == "function" and scope.parent is not None and scope.parent.kind == "class"
        if is_method and scope.parent is not None and isinstance(place, ast.Attribute) and _first(scope) == name:
            return scope.parent
        return scope


def _items_in(scope: Scope, name: str, holder: str | None) -> Iterator[Item]:
    for inner in (scope, *scope.descendants()):
        written = name if holder is None else f"{_first(inner) or holder if scope.kind == 'class' else holder}.{name}"
        yield from inner.names.items.get(written, ())


def _first(function: Scope) -> str | None:
    """The name of a function's first parameter."""
    arguments = getattr(function.node, "args", None)
    if not isinstance(arguments, ast.arguments):
        return None
    return next((argument.arg for argument in (*arguments.posonlyargs, *arguments.args)), None)
