"""Which top-level names of a module hold a client, so that the modules importing them matter too."""

import ast
from bisect import bisect_right
from collections.abc import Callable, Mapping

from apicache_codemods.evaluator import united
from apicache_codemods.prefilter import DIRECT, Handles
from apicache_codemods.project import Module
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Scope, final
from apicache_codemods.values import (
    Client,
    Collection,
    External,
    Generated,
    Literal,
    Member,
    Partial,
    Producer,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    Unnamed,
    Value,
    Values,
)


class Carriers:
    """Tells which values lead to a client: the client itself, what returns it, what keeps it in an attribute."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._wrappers: dict[Scope, set[str]] = {}
        self._doubtful: set[Scope] = set()
        self._has_new_wrappers = False
        self._open: set[ast.expr] = set()
        """The displays being looked into, since one may hold itself: `handlers = [*handlers]`."""
        self._known: dict[str, dict[Scope, Handles | None]] = {}
        """What was found, by the module that the scope belongs to."""

    def forget(self) -> None:
        """Forget what may be more now, as the resolver does; all of it when there are more wrappers."""
        if self._has_new_wrappers:
            self._known = {}
        else:
            for scope in self._doubtful:
                self._known.get(scope.owner, {}).pop(scope, None)
        self._doubtful.clear()
        self._has_new_wrappers = False

    def add_wrapper(self, function: Scope) -> None:
        """Count a function that forwards to a call site as a handle of its class, or as a carrier itself."""
        owner = function.parent
        holder = owner if owner is not None and owner.kind == "class" else function
        self._wrappers.setdefault(holder, set()).add(getattr(function.node, "name", ""))
        self._has_new_wrappers = True
        self._known.pop(function.owner, None)

    def names(self, module: Module, words: Mapping[str, Handles]) -> dict[str, Handles]:
        """The module's top-level names that lead to a client, with their handles.

        `words` are names that lead to one as written; statements that hold none of them are not looked into.
        """
        self._known.pop(module.location, None)
        scope = module.scope
        found: dict[str, Handles] = {}
        libraries = {library.rpartition(".")[2] for library in self._resolver.project.libraries}
        written = {*words, *(library for library in libraries if library in module.source.text)}
        body = module.tree.body
        waiting = {index: module.text_of(statement) for index, statement in enumerate(body)}
        bound = _by_statement(body, scope)
        grown = True
        while grown:
            touched = [index for index, text in waiting.items() if any(word in text for word in written)]
            names = {name for index in touched for name in bound[index]} - found.keys()
            for index in touched:
                del waiting[index]
            new = {name: handles for name in sorted(names) if (handles := self._of_name(name, scope)) is not None}
            found |= new
            written |= new.keys()
            grown = bool(new)
        return found

    def _of_name(self, name: str, scope: Scope) -> Handles | None:
        return self._of_values(united(*(self._resolver.bound(binding) for binding in final(name, scope))))

    def _of_values(self, values: Values) -> Handles | None:
        """The handles of alternatives together; None when none of them leads to a client."""
        found = [handles for handles in map(self._of_value, values) if handles is not None]
        if not found:
            return None
        return DIRECT if DIRECT in found else frozenset().union(*found)

    def _of_value(self, value: Value) -> Handles | None:  # noqa: C901, PLR0911 - one row per kind of value
        match value:
            case Client() | Member() | Unnamed():
                return DIRECT
            case Partial(function=inner):
                return self._of_value(inner)
            case Collection(elements=elements):
                return self._of_values(elements)
            case Producer(made=made):
                return self._of_values(made)
            case Literal(node=node):
                return self._of_literal(value) if node not in self._open else None
            case External(name=name):
                return DIRECT if self._resolver.catalogue.leads_to_call(name) else None
            case ProjectFunction() as function:
                return self._of_scope(function.scope, lambda: self._of_function(function))
            case Generated(function=function):
                return self._of_scope(function.scope, lambda: self._of_function(function))
            case ProjectClass() as of:
                return self._of_scope(of.scope, lambda: self._of_class(of))
            case ProjectInstance(of=of):
                return self._of_scope(of.scope, lambda: self._of_class(of))
            case _:
                return None

    def _of_literal(self, value: Literal) -> Handles | None:
        self._open.add(value.node)
        try:
            return self._of_values(self._resolver.elements(value))
        finally:
            self._open.discard(value.node)

    def _of_scope(self, scope: Scope, found: Callable[[], Handles | None]) -> Handles | None:
        known = self._known.setdefault(scope.owner, {})
        if scope not in known:
            before = self._resolver.doubts
            known[scope] = None  # what leads to itself leads no further
            self._doubtful.add(scope)
            known[scope] = found()
            if self._resolver.doubts == before:
                self._doubtful.discard(scope)
        elif scope in self._doubtful:
            self._resolver.doubt()
        return known[scope]

    def _of_function(self, function: ProjectFunction) -> Handles | None:
        if function.scope in self._wrappers:
            return DIRECT
        values = self._resolver.functions.returned(function)
        if function.scope.names.yields:
            values = united(values, self._resolver.functions.entered(Generated(function)))
        return self._of_values(values)

    def _of_class(self, of: ProjectClass) -> Handles | None:
        classes = self._resolver.classes
        if classes.client_base(of) is not None:
            return DIRECT
        handles = set(self._wrappers.get(of.scope, ()))
        instance = classes.instance(of)
        for name in sorted(classes.attribute_names(of)):
            found = self._of_values(classes.attribute(of, name, instance))
            if found is not None:
                handles |= {f"{name}.{inner}" for inner in found if "." not in inner} if found else {name}
        for base in classes.bases(of):
            handles |= self._of_value(base) or set()
        return frozenset(handles) if handles else None


def _by_statement(body: list[ast.stmt], scope: Scope) -> list[set[str]]:
    """For each top-level statement, the top-level names it binds (those a function binds by `global` included)."""
    starts = [(statement.lineno, statement.col_offset) for statement in body]
    names: list[set[str]] = [set() for _ in body]
    for name, bindings in scope.bindings.items():
        for binding in bindings:
            index = bisect_right(starts, binding.position) - 1
            if index >= 0:
                names[index].add(name)
    return names
