"""What lists, dictionaries and their like hold: displays, what is put into them later, loops that go through them."""

import ast
from collections.abc import Callable
from typing import Final

from apicache_codemods.bindings import Comprehension
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.scopes import Frame
from apicache_codemods.values import UNKNOWN, Collection, Literal, Nothing, Row, Unknown, Value, Values
from apicache_codemods.written import Written

ANY: Final = object()
"""An index that is not known."""
_MOST = 12  # elements looked into
_TAKING = frozenset({"get", "pop", "setdefault", "__getitem__", "popleft", "get_nowait"})
_WHOLE = frozenset({"copy", "values"})


class Containers:
    """The elements of containers, evaluated when asked for."""

    def __init__(self, evaluator: Evaluator, written: Written) -> None:
        self._evaluator = evaluator
        self._open: set[ast.expr] = set()
        """The displays being looked into, since one may unpack itself: `options = {**options}`."""
        self._written = written

    def element(self, value: Value, index: object) -> Values:
        """What a container holds at an index or under a key; `ANY` when that is not known."""
        return self._once(value, lambda: self._element(value, index))

    def _once(self, value: Value, look: Callable[[], Values]) -> Values:
        """What a look into a container gives; nothing is known of one that is looked into already: `x = [*x, y]`."""
        if not isinstance(value, Literal):
            return look()
        if value.node in self._open:
            return (UNKNOWN,)
        self._open.add(value.node)
        try:
            return look()
        finally:
            self._open.discard(value.node)

    def _element(self, value: Value, index: object) -> Values:
        match value:
            case Collection(elements=elements):
                return elements
            case Row(columns=columns):
                known = isinstance(index, int) and -len(columns) <= index < len(columns)
                return columns[index] if known and isinstance(index, int) else (UNKNOWN,)
            case Literal(node=ast.Dict() as node, frame=frame):
                return self._of_dictionary(node, index, frame)
            case Literal(node=ast.Tuple() | ast.List() as node, frame=frame):
                return self._of_sequence(node, index, frame)
            case _:
                return (UNKNOWN,)

    def _of_dictionary(self, node: ast.Dict, index: object, frame: Frame) -> Values:
        found: list[Values] = []
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                found += [self.element(value, index) for value in self._evaluator.evaluate(item, frame)]
            elif index is ANY or (isinstance(key, ast.Constant) and key.value == index):
                found.append(self._evaluator.evaluate(item, frame))
            if len(found) > _MOST:
                return united(*found[:_MOST], (UNKNOWN,))
        return united(*(found if index is ANY else found[-1:])) or (UNKNOWN,)

    def _of_sequence(self, node: ast.Tuple | ast.List, index: object, frame: Frame) -> Values:
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        if isinstance(index, int) and not starred and -len(node.elts) <= index < len(node.elts):
            return self._evaluator.evaluate(node.elts[index], frame)
        return self._each(Literal(node, frame)) if index is ANY else (UNKNOWN,)

    def each(self, value: Value) -> Values:
        """What a loop over a container goes through."""
        return self._once(value, lambda: self._each(value))

    def _each(self, value: Value) -> Values:
        match value:
            case Collection(elements=elements, keys=keys):
                return keys or elements
            case Row(columns=columns):
                return united(*columns)
            case Literal(node=ast.Dict(keys=keys), frame=frame):
                found = [self._evaluator.evaluate(key, frame) for key in keys[:_MOST] if key is not None]
                return united(*found, (UNKNOWN,) if len(keys) > _MOST else ())
            case Literal(node=ast.Tuple(elts=elements) | ast.List(elts=elements), frame=frame):
                found = [self._in_display(element, frame) for element in elements[:_MOST]]
                return united(*found, (UNKNOWN,) if len(elements) > _MOST else ())
            case _:
                return (UNKNOWN,)

    def _in_display(self, element: ast.expr, frame: Frame) -> Values:
        if isinstance(element, ast.Starred):
            return united(*(self.each(value) for value in self._evaluator.evaluate(element.value, frame)))
        return self._evaluator.evaluate(element, frame)

    def iterated(self, iterable: ast.expr, frame: Frame) -> Values:
        """What a loop over an expression goes through."""
        found = united(*(self.each(value) for value in self._evaluator.evaluate(iterable, frame)))
        return found if _is_known(found) else united(self._put(iterable, ANY, frame), found) or (UNKNOWN,)

    def subscript(self, expression: ast.Subscript, frame: Frame) -> Values:
        """What `collection[index]` is worth."""
        index = expression.slice.value if isinstance(expression.slice, ast.Constant) else ANY
        return self.at(expression.value, self._evaluator.evaluate(expression.value, frame), index, frame)

    def at(self, collection: ast.expr, values: Values, index: object, frame: Frame) -> Values:
        """What a collection that is worth `values` holds at an index, what is put into it elsewhere included."""
        found = united(*(self.element(value, index) for value in values))
        return found if _is_known(found) else united(self._put(collection, index, frame), found) or (UNKNOWN,)

    def method(self, receiver: Values, call: ast.Call, frame: Frame) -> Values | None:  # noqa: PLR0911 - a row per method
        """What a method of a collection gives; None when it is none that is known."""
        function = call.func
        if not isinstance(function, ast.Attribute):
            return None
        if function.attr in _TAKING:
            return self._taken(function, receiver, call, frame)
        held = tuple(value for value in receiver if isinstance(value, Collection | Literal))
        if not held:
            return None
        keys = united(*(self._keys(value) for value in held))
        match function.attr:
            case "items":
                return (Collection((Row((keys, self.at(function.value, held, ANY, frame))),)),)
            case "keys":
                return (Collection(keys),)
            case name if name in _WHOLE:
                return (Collection(self.at(function.value, held, ANY, frame)),)
            case _:
                return None

    def _taken(self, function: ast.Attribute, receiver: Values, call: ast.Call, frame: Frame) -> Values | None:
        is_container = any(isinstance(each, Collection | Literal) for each in receiver)
        if not is_container and not all(isinstance(each, Unknown | Nothing) for each in receiver):
            return None
        index = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ANY
        found = self.at(function.value, receiver, index, frame)
        if len(call.args) > 1:
            found = united(found, self._evaluator.evaluate(call.args[1], frame))
        return found if is_container or _is_known(found) else None

    def _keys(self, value: Value) -> Values:
        if isinstance(value, Collection):
            return value.keys or (UNKNOWN,)
        return self.each(value)

    def comprehension(self, node: Comprehension, frame: Frame) -> Values:
        """What a comprehension gives."""
        inside = Frame(frame.scope.child(node), frame.block)
        if isinstance(node, ast.DictComp):
            keys = self._evaluator.evaluate(node.key, inside)
            return (Collection(self._evaluator.evaluate(node.value, inside), keys),)
        return (Collection(self._evaluator.evaluate(node.elt, inside)),)

    def _put(self, collection: ast.expr, index: object, frame: Frame) -> Values:
        """What statements put into a collection that is a name or an attribute."""
        found = []
        for item in self._written.items(collection, frame):
            other = isinstance(item.key, ast.Constant) and index is not ANY and item.key.value != index
            if not other:
                found.append(self._evaluator.evaluate(item.value, Frame(item.scope, item.block)))
        return united(*found)


def _is_known(values: Values) -> bool:
    return any(not isinstance(value, Unknown | Nothing) for value in values)
