"""Who calls a function of the project: what callers pass says what an unannotated parameter is."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from apicache_codemods.caching import last_name
from apicache_codemods.calls import Calls, Candidate
from apicache_codemods.project import Module
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import ProjectClass, ProjectFunction

if TYPE_CHECKING:
    from apicache_codemods.evaluator import Evaluator

_CONSTRUCTOR = "__init__"


Importing: TypeAlias = Callable[[str, str], Iterable[str]]
"""Gives the modules that import a module's name, both by location."""


class Callers:
    """The calls of a function, found by name, and the classes that derive from a class.

    `calls` are those of the modules searched so far, by location; `modules` are these modules.
    """

    def __init__(self, calls: Mapping[str, Calls], modules: Mapping[str, Module], importing: Importing) -> None:
        self._calls = calls
        self._modules = modules
        self._importing = importing
        self._derived: dict[str, list[Scope]] = {}
        self._searched = 0

    def derived(self, of: ProjectClass, evaluator: "Evaluator") -> Iterator[ProjectClass]:
        """The classes that name a class as their base, in the modules searched so far."""
        if self._searched < len(self._modules):
            new = list(islice(self._modules.values(), self._searched, None))
            self._searched = len(self._modules)
            for module in new:
                for node, _ in module.scope.names.definitions:
                    for base in node.bases if isinstance(node, ast.ClassDef) else ():
                        self._derived.setdefault(last_name(base), []).append(module.scope.child(node))
        for scope in self._derived.get(getattr(of.scope.node, "name", ""), ()):
            bases = getattr(scope.node, "bases", ())
            if any(of in evaluator.evaluate(base, Frame(scope.parent or scope)) for base in bases):
                yield ProjectClass(scope)

    def of(
        self, function: Scope, evaluator: "Evaluator", importing: Importing | None = None
    ) -> Iterator[tuple[ProjectFunction, ast.Call, Frame]]:
        """Each call of `function` and how it binds the function; for a constructor, the calls of its class.

        `importing`: other modules to search than those that hand a client over.
        """
        importing = importing or self._importing
        if function.parent is None:
            return
        owner = function.parent if function.parent.kind == "class" else None
        name = getattr(function.node, "name", "")
        if owner is not None and name == _CONSTRUCTOR:
            yield from self._makers(function, owner, evaluator, importing)
            return
        imported = getattr((owner or function).node, "name", "")
        for candidate in self._candidates(importing(function.owner, imported), function.owner, {name}):
            for value in evaluator.evaluate(candidate.call.func, candidate.frame):
                if isinstance(value, ProjectFunction) and value.scope is function:
                    yield value, candidate.call, candidate.frame

    def _makers(
        self, function: Scope, owner: Scope, evaluator: "Evaluator", importing: Importing
    ) -> Iterator[tuple[ProjectFunction, ast.Call, Frame]]:
        """The calls of a constructor: of its class, of classes that derive from it, and `super().__init__(...)`."""
        made = {owner, *(each.scope for each in self.derived(ProjectClass(owner), evaluator))}
        for scope in made:
            name = getattr(scope.node, "name", "")
            names = {name} if scope is owner else {name, _CONSTRUCTOR}
            for candidate in self._candidates(importing(scope.owner, name), scope.owner, names):
                for value in evaluator.evaluate(candidate.call.func, candidate.frame):
                    if isinstance(value, ProjectFunction) and value.scope is function:
                        yield value, candidate.call, candidate.frame
                    elif isinstance(value, ProjectClass) and value.scope in made and _makes(value.scope, owner):
                        yield ProjectFunction(function, value), candidate.call, candidate.frame

    def _candidates(self, others: Iterable[str], location: str, names: set[str]) -> Iterator[Candidate]:
        """The calls written with one of `names` in a module and in others."""
        for place in dict.fromkeys((location, *others)):
            calls = self._calls.get(place)
            if calls is not None:
                yield from calls.named(names, names - {_CONSTRUCTOR})


def _makes(scope: Scope, owner: Scope) -> bool:
    """Whether making an instance of a class runs the constructor of `owner`: it is that class or has none itself."""
    return scope is owner or _CONSTRUCTOR not in scope.bindings
