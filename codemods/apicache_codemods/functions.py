"""What calls of the project's own functions are worth: what they return, with the caller's arguments filled in."""

import ast
from collections.abc import Callable

from apicache_codemods.bindings import Binding, Parameter
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import (
    NOTHING,
    UNKNOWN,
    Generated,
    Nothing,
    ProjectFunction,
    Text,
    Unknown,
    Value,
    Values,
    join,
    text_of,
    united_texts,
)

_MANAGERS = {"contextmanager", "asynccontextmanager"}
_ABSOLUTE = ("http://", "https://")
_PROPERTIES = {"property", "cached_property"}


class Functions:
    """Calls of project functions, evaluated by what the functions return."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._returned: dict[Scope, Values] = {}
        self._doubtful: set[Scope] = set()

    def called(self, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        """What `call`, standing in `frame`, gives."""
        names = function.scope.names
        if names.yields and not names.returns:
            return (Generated(function),)
        return self.filled(self.returned(function), function, call, frame)

    def returned(self, function: ProjectFunction) -> Values:
        """What a function returns whoever calls it; a parameter it returns stays a hole of that parameter."""
        scope = function.scope
        if scope not in self._returned:
            before = self._evaluator.doubts
            self._returned[scope] = (UNKNOWN,)  # a recursive function adds nothing to what its other returns give
            self._doubtful.add(scope)
            found = [self._evaluator.evaluate(value, Frame(scope, block)) for value, block in scope.names.returns]
            self._returned[scope] = self._declared(scope, united(*found) or (NOTHING,))
            if self._evaluator.doubts == before:
                self._doubtful.discard(scope)
        elif scope in self._doubtful:
            self._evaluator.doubt()
        return self._returned[scope]

    def forget(self) -> None:
        """Forget what may be worth more now."""
        for scope in self._doubtful:
            del self._returned[scope]
        self._doubtful.clear()

    def _declared(self, scope: Scope, values: Values) -> Values:
        """`values`, or what the function's return annotation says where they say nothing."""
        annotation = getattr(scope.node, "returns", None)
        if annotation is None or not all(isinstance(value, Unknown | Nothing) for value in values):
            return values
        return united(self._evaluator.annotated(annotation, outside(scope)), values)

    def entered(self, generated: Generated) -> Values:
        """What `with` gives for a generator function that is a context manager."""
        if not _MANAGERS & decorators(generated.function.scope.node):
            return (UNKNOWN,)
        return self.yielded(generated.function)

    def yielded(self, function: ProjectFunction) -> Values:
        """What a generator function yields."""
        scope = function.scope
        found = [self._evaluator.evaluate(value, Frame(scope, block)) for value, block in scope.names.yields]
        return self._declared(scope, united(*found))

    def filled(self, values: Values, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        """`values` with the holes of the function's parameters replaced by the arguments of `call`."""
        return united(*(self._fill(value, function, call, frame) for value in values))

    def _fill(self, value: Value, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        match value:
            case Unknown(parameter=Binding() as parameter) if parameter.scope is function.scope:
                return self.argument(parameter, function, call, frame)
            case Text():
                return (self.fill_text(value, function, call, frame),)
            case _:
                return (value,)

    def fill_text(self, text: Text, function: ProjectFunction, call: ast.Call, frame: Frame) -> Text:
        """A text with the holes of the function's parameters replaced by the arguments of `call`."""
        options = text.options
        filled = [join(*(self._fill_part(part, function, call, frame) for part in each.parts)) for each in options]
        return filled[0] if len(filled) == 1 else united_texts(filled)

    def _fill_part(self, part: str | Unknown, function: ProjectFunction, call: ast.Call, frame: Frame) -> Text:
        if isinstance(part, Unknown) and part.parameter is not None and part.parameter.scope is function.scope:
            return text_of(self.argument(part.parameter, function, call, frame))
        return Text((part,))

    def with_defaults(self, text: Text, passed: Callable[[Binding], Values]) -> Text:
        """A URL whose base is a constructor's parameter, with what is passed for it and its default.

        A function's parameter stays a hole: each of its callers decides.
        """
        if text.others:
            return united_texts([self.with_defaults(option, passed) for option in text.options])
        first = text.parts[0] if text.parts else None
        parameter = first.parameter if isinstance(first, Unknown) else None
        if parameter is None or not isinstance(parameter.source, Parameter) or not _is_constructor(parameter.scope):
            return text
        source = parameter.source
        values = passed(parameter)
        if source.default is not None:
            values = united(values, self._evaluator.evaluate(source.default, outside(parameter.scope)))
        bases = [each for each in text_of(values).options if _is_absolute(each)] if values else []
        return join(united_texts(bases), Text(text.parts[1:])) if bases else text

    def argument(self, parameter: Binding, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        """What `call` passes for a parameter: its argument, else the parameter's default."""
        source = parameter.source
        if not isinstance(source, Parameter):
            return (UNKNOWN,)
        for keyword in call.keywords:
            if keyword.arg == source.name:
                return self._evaluator.evaluate(keyword.value, frame)
        if source.index is not None:
            index = source.index - (function.bound is not None)
            if any(isinstance(argument, ast.Starred) for argument in call.args[: index + 1]):
                return (UNKNOWN,)
            if 0 <= index < len(call.args):
                return self._evaluator.evaluate(call.args[index], frame)
        if any(keyword.arg is None for keyword in call.keywords) or source.default is None:
            return (UNKNOWN,)
        return self._evaluator.evaluate(source.default, outside(function.scope))


def _is_constructor(scope: Scope) -> bool:
    return getattr(scope.node, "name", "") == "__init__"


def _is_absolute(text: Text) -> bool:
    return bool(text.parts) and (
        text.parts[0].startswith(_ABSOLUTE) if isinstance(text.parts[0], str) else text.parts[0].name is not None
    )


def outside(scope: Scope) -> Frame:
    """Where a function's defaults, annotations and decorators stand."""
    return Frame(scope.parent if scope.parent is not None else scope)


def decorators(node: ast.AST) -> set[str]:
    """The last names of a definition's decorators: `functools.cached_property` is `cached_property`."""
    found = set()
    for decorator in getattr(node, "decorator_list", ()):
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        found.add(named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", ""))
    return found


def is_property(node: ast.AST) -> bool:
    """Whether a method is read like an attribute."""
    return any(name in _PROPERTIES or name.endswith("property") for name in decorators(node))
