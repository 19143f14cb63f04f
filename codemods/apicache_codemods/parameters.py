"""What a function's parameters are worth: by annotation, by default, by what the project's calls pass."""

import ast
from typing import TYPE_CHECKING

from apicache_codemods.bindings import Binding, Parameter
from apicache_codemods.caching import last_name
from apicache_codemods.callers import Callers
from apicache_codemods.evaluator import united
from apicache_codemods.functions import decorators, outside
from apicache_codemods.scopes import Scope
from apicache_codemods.values import Client, Nothing, ProjectClass, Text, Unknown, Value, Values

if TYPE_CHECKING:
    from apicache_codemods.resolver import Resolver

_MOST_PASSED = 3  # parameters followed to callers, one behind the other
_FROM_CLASS = {"__new__", "__init_subclass__", "__class_getitem__"}
_ANYTHING = {"Any", "object"}


class Parameters:
    """Evaluates parameters; without `callers`, what is passed for them is not known."""

    def __init__(self, resolver: "Resolver", callers: Callers | None) -> None:
        self._resolver = resolver
        self._callers = callers
        self._active: set[Binding] = set()
        self._passing = 0

    def of(self, parameter: Parameter, binding: Binding) -> Values:
        """What a parameter is worth."""
        scope = binding.scope
        owner = scope.parent
        kinds = decorators(scope.node)
        if parameter.index == 0 and owner is not None and owner.kind == "class" and "staticmethod" not in kinds:
            of = ProjectClass(owner)
            from_class = "classmethod" in kinds or getattr(scope.node, "name", "") in _FROM_CLASS
            return (of,) if from_class else (self._resolver.classes.instance(of),)
        unknown = Unknown(binding)
        if parameter.annotation is not None:
            declared = self._resolver.classes.annotated(parameter.annotation, outside(scope))
            if any(not isinstance(value, Unknown | Nothing) for value in declared):
                return self._injected(parameter, scope) or declared
        found: list[Value] = []
        if parameter.default is not None:
            found.extend(self._resolver.evaluate(parameter.default, outside(scope)))
        if parameter.annotation is None or last_name(parameter.annotation) in _ANYTHING:
            found.extend(self._passed(binding))
        # A text is what some callers pass: which one, the call that is asked about decides.
        return united(tuple(value for value in found if not isinstance(value, Text | Nothing | Unknown)), (unknown,))

    def _injected(self, parameter: Parameter, scope: Scope) -> Values:
        """The client that a framework passes for a parameter: `client: Client = Depends(get_client)`."""
        values = (
            self._resolver.evaluate(parameter.default, outside(scope))
            if isinstance(parameter.default, ast.Call)
            else ()
        )
        return tuple(value for value in values if isinstance(value, Client) and value.constructed is not None)

    def _passed(self, parameter: Binding) -> Values:
        """What callers pass for a parameter."""
        if self._callers is None:
            return ()
        self._resolver.doubt()
        if parameter in self._active or self._passing >= _MOST_PASSED:
            return ()
        self._active.add(parameter)
        self._passing += 1
        try:
            callers = list(self._callers.of(parameter.scope, self._resolver))
            return united(*(self._resolver.functions.argument(parameter, *caller) for caller in callers))
        finally:
            self._passing -= 1
            self._active.discard(parameter)
