"""What calls of the project's own functions are worth: what they return, with the caller's arguments filled in."""

import ast

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
)

_MANAGERS = {"contextmanager", "asynccontextmanager"}
_PROPERTIES = {"property", "cached_property"}


class Functions:
    """Calls of project functions, evaluated by what the functions return."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._returned: dict[Scope, Values] = {}

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
            self._returned[scope] = (UNKNOWN,)  # a recursive function adds nothing to what its other returns give
            found = [self._evaluator.evaluate(value, Frame(scope, block)) for value, block in scope.names.returns]
            self._returned[scope] = self._declared(scope, united(*found) or (NOTHING,))
        return self._returned[scope]

    def _declared(self, scope: Scope, values: Values) -> Values:
        """`values`, or what the function's return annotation says where they say nothing."""
        annotation = getattr(scope.node, "returns", None)
        if annotation is None or not all(isinstance(value, Unknown | Nothing) for value in values):
            return values
        return united(self._evaluator.annotated(annotation, outside(scope)), values)

    def entered(self, generated: Generated) -> Values:
        """What `with` gives for a generator function that is a context manager."""
        scope = generated.function.scope
        if not _MANAGERS & decorators(scope.node):
            return (UNKNOWN,)
        found = [self._evaluator.evaluate(value, Frame(scope, block)) for value, block in scope.names.yields]
        return self._declared(scope, united(*found))

    def filled(self, values: Values, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        """`values` with the holes of the function's parameters replaced by the arguments of `call`."""
        return united(*(self._fill(value, function, call, frame) for value in values))

    def _fill(self, value: Value, function: ProjectFunction, call: ast.Call, frame: Frame) -> Values:
        match value:
            case Unknown(parameter=Binding() as parameter) if parameter.scope is function.scope:
                return self.argument(parameter, function, call, frame)
            case Text(parts=parts):
                return (join(*(self._fill_part(part, function, call, frame) for part in parts)),)
            case _:
                return (value,)

    def fill_text(self, text: Text, function: ProjectFunction, call: ast.Call, frame: Frame) -> Text:
        """A text with the holes of the function's parameters replaced by the arguments of `call`."""
        return join(*(self._fill_part(part, function, call, frame) for part in text.parts))

    def _fill_part(self, part: str | Unknown, function: ProjectFunction, call: ast.Call, frame: Frame) -> Text:
        if isinstance(part, Unknown) and part.parameter is not None and part.parameter.scope is function.scope:
            return text_of(self.argument(part.parameter, function, call, frame))
        return Text((part,))

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
