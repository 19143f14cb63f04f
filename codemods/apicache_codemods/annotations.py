"""What annotations say: clients, instances of the project's classes, containers of them, functions that make them."""

import ast
from typing import TYPE_CHECKING

from apicache_codemods.detector import Catalogue
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.scopes import Frame
from apicache_codemods.values import (
    NOTHING,
    UNKNOWN,
    Client,
    Collection,
    External,
    Nothing,
    Producer,
    ProjectClass,
    Unknown,
    Values,
)

if TYPE_CHECKING:
    from apicache_codemods.classes import Classes

_UNIONS = {"Optional", "Union"}
_WRAPPERS = {"Annotated", "ClassVar", "Final", "InitVar", "Required", "NotRequired", "ReadOnly", "Awaitable"}
_YIELDING = {"Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator"}
_MAPPINGS = {
    "dict",
    "Dict",
    "Mapping",
    "MutableMapping",
    "defaultdict",
    "DefaultDict",
    "OrderedDict",
    "WeakValueDictionary",
}
_COLLECTIONS = {
    *("list", "List", "Sequence", "MutableSequence", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet", "deque"),
    *("Collection", "Queue", "LifoQueue", "ContextVar"),
}
_CLASSES = {"type", "Type"}
_INJECTED = {"Depends", "Security"}


class Annotations:
    """Reads annotations; `classes` knows the project's classes."""

    def __init__(self, evaluator: Evaluator, classes: "Classes", catalogue: Catalogue) -> None:
        self._evaluator = evaluator
        self._classes = classes
        self._catalogue = catalogue
        self._clients: dict[str, Client] = {}

    def read(self, annotation: ast.expr, frame: Frame) -> Values:
        """What a name annotated so is worth; unknown when it is nothing that leads to a client."""
        match annotation:
            case ast.Constant(value=None):
                return (NOTHING,)
            case ast.Constant(value=str() as written):
                return self._written(written, frame)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return united(self.read(left, frame), self.read(right, frame))
            case ast.Subscript(value=head, slice=inner):
                return self._subscripted(head, inner, frame)
            case ast.Name() | ast.Attribute():
                return united(*(self._instance_of(value) for value in self._evaluator.evaluate(annotation, frame)))
            case _:
                return (UNKNOWN,)

    def _written(self, written: str, frame: Frame) -> Values:
        try:
            parsed = ast.parse(written.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return (UNKNOWN,)
        return self.read(parsed, Frame(frame.scope))

    def _subscripted(self, head: ast.expr, inner: ast.expr, frame: Frame) -> Values:  # noqa: PLR0911 - one row per kind
        name = head.attr if isinstance(head, ast.Attribute) else getattr(head, "id", "")
        members = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
        if not members:
            return (UNKNOWN,)
        if name in _UNIONS:
            return united(*(self.read(member, frame) for member in members))
        if name in _WRAPPERS | _YIELDING:
            return self._wrapped(members, frame)
        if name in _MAPPINGS | _COLLECTIONS:
            held = self.read(members[-1] if name in _MAPPINGS else members[0], frame)
            return (Collection(held),) if _says_something(held) else (UNKNOWN,)
        if name == "Callable":
            made = self.read(members[-1], frame)
            return (Producer(made),) if _says_something(made) else (UNKNOWN,)
        if name in _CLASSES:
            return self._evaluator.evaluate(inner, frame)
        return self.read(head, frame)  # a generic class: `psycopg.Connection[DictRow]`

    def _wrapped(self, members: list[ast.expr], frame: Frame) -> Values:
        found = self.read(members[0], frame)
        if _says_something(found):
            return found
        injected = [each for each in members[1:] if isinstance(each, ast.Call) and _last_name(each.func) in _INJECTED]
        return united(*(self._evaluator.evaluate(each, frame) for each in injected)) or found

    def _instance_of(self, value: object) -> Values:
        match value:
            case ProjectClass():
                return (self._classes.instance(value),)
            case External(name=name) if name in self._catalogue.constructors:
                if name not in self._clients:
                    self._clients[name] = self._classes.client(name)
                return (self._clients[name],)
            case _:
                return (UNKNOWN,)


def _says_something(values: Values) -> bool:
    return any(not isinstance(value, Unknown | Nothing) for value in values)


def _last_name(expression: ast.expr) -> str:
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
