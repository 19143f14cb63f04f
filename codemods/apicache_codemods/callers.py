"""Who calls a function of the project: what callers pass says what an unannotated parameter is."""

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from apicache_codemods.calls import Calls
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import ProjectClass, ProjectFunction

if TYPE_CHECKING:
    from apicache_codemods.evaluator import Evaluator

_CONSTRUCTOR = "__init__"


class Callers:
    """The calls of a function in its own module, found by name; `calls` are those of the modules searched so far."""

    def __init__(self, calls: Mapping[str, Calls]) -> None:
        self._calls = calls

    def of(self, function: Scope, evaluator: "Evaluator") -> Iterator[tuple[ProjectFunction, ast.Call, Frame]]:
        """Each call of `function` and how it binds the function; for a constructor, the calls of its class."""
        calls = self._calls.get(function.owner)
        if calls is None or function.parent is None:
            return
        made = function.parent if getattr(function.node, "name", "") == _CONSTRUCTOR else None
        name = getattr((made or function).node, "name", "")
        for candidate in calls.named({name}, {name}):
            for value in evaluator.evaluate(candidate.call.func, candidate.frame):
                if isinstance(value, ProjectFunction) and value.scope is function:
                    yield value, candidate.call, candidate.frame
                elif isinstance(value, ProjectClass) and value.scope is made:
                    yield ProjectFunction(function, value), candidate.call, candidate.frame
