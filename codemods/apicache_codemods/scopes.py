"""Python's scopes, built on demand from a module's syntax tree, and the rules for what a name means where it stands.

A `Scope` is a module, class, function, lambda or comprehension. Its `bindings` maps a name to everything that binds it
there (assignment, import, parameter, `with` item, loop target, ...), in source order. The rules are the language
reference's, https://docs.python.org/3/reference/executionmodel.html#naming-and-binding: class bodies are invisible to
the functions inside them, the first iterable of a comprehension belongs to the scope around it, `global` and `nonlocal`
move a binding outwards, a walrus inside a comprehension binds around it.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import msgspec

from apicache_codemods.bindings import Binding, Names, Position, ScopeNode, walk
from apicache_codemods.blocks import LOOP_BODY, Block

ScopeKind = Literal["module", "class", "function", "lambda", "comprehension"]

_END: Position = (sys.maxsize, 0)
_KINDS: dict[type[ast.AST], ScopeKind] = {
    ast.Module: "module",
    ast.ClassDef: "class",
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
    ast.Lambda: "lambda",
    ast.ListComp: "comprehension",
    ast.SetComp: "comprehension",
    ast.DictComp: "comprehension",
    ast.GeneratorExp: "comprehension",
}


class Traits(msgspec.Struct, frozen=True):
    """Which rare constructs a module's text holds at all, so that most modules never pay for them."""

    walrus_lines: tuple[int, ...]
    moves_global: bool
    moves_nonlocal: bool


class Scope:
    """One scope of the module at path `owner`; `qualname` is `Class.method`, empty for the module itself."""

    def __init__(self, node: ScopeNode, parent: "Scope | None", *, owner: str, traits: Traits) -> None:
        self.node = node
        self.parent = parent
        self.owner = owner
        self.traits = traits
        self.kind: ScopeKind = _KINDS[type(node)]
        self.qualname: str = self._qualname()
        self._children: dict[ast.AST, Scope] = {}

    def _qualname(self) -> str:
        outer = self.parent.qualname if self.parent else ""
        name = getattr(self.node, "name", "")
        return f"{outer}.{name}" if outer and name else outer or name

    def child(self, node: ScopeNode) -> "Scope":
        """The scope that `node`, which stands directly in this scope, opens."""
        found = self._children.get(node)
        if found is None:
            found = self._children[node] = Scope(node, self, owner=self.owner, traits=self.traits)
        return found

    @cached_property
    def names(self) -> Names:
        """What this scope's own statements bind."""
        return walk(self)

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """Every binding of every name here; those included that inner functions make by `global` or `nonlocal`."""
        own = self.names.bindings
        moved = list(self._moved_here())
        if not moved:
            return own
        merged = {name: list(bindings) for name, bindings in own.items()}
        for name, bindings in moved:
            merged.setdefault(name, []).extend(bindings)
        return merged

    def _moved_here(self) -> Iterator[tuple[str, list[Binding]]]:
        if self.kind == "module" and self.traits.moves_global:
            wanted = "global"
        elif self.kind == "function" and self.traits.moves_nonlocal:
            wanted = "nonlocal"
        else:
            return
        for inner in self.descendants():
            for name, bindings in inner.names.moved.items():
                if inner.names.outward[name] == wanted and (wanted == "global" or name in self.names.bindings):
                    yield name, bindings

    def descendants(self) -> Iterator["Scope"]:
        """Every function and class defined inside this scope, at any depth."""
        waiting = [self]
        while waiting:
            scope = waiting.pop()
            for node, _ in scope.names.definitions:
                inner = scope.child(node)
                yield inner
                waiting.append(inner)

    @property
    def function(self) -> "Scope | None":
        """The innermost function around (this scope itself, if it is one), lambdas and comprehensions not counted."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        return scope

    @property
    def module(self) -> "Scope":
        """The module's own scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope


class Frame(msgspec.Struct, frozen=True):
    """Where an expression stands: its scope, and the branches it stands in (None: when it runs is unknown)."""

    scope: Scope
    block: Block | None = None


def lookup(name: str, frame: Frame, position: Position) -> tuple[Scope, list[Binding]] | None:
    """The scope that binds `name` for an expression at `position` of `frame`, and the bindings that can reach it.

    None for a name that nothing in the module binds (a builtin, or a star import's).
    """
    scope: Scope | None = frame.scope
    inline = frame.block is not None
    while scope is not None:
        outward = scope.names.outward.get(name)
        if outward == "global":
            module = scope.module
            return (module, final(name, module)) if name in module.bindings else None
        visible = scope.kind != "class" or (scope is frame.scope and _is_bound(name, frame, position))
        if visible and outward is None and name in scope.bindings:
            found = scope.bindings[name]
            if inline and frame.block is not None:
                return scope, reaching(found, scope, position, frame.block)
            return scope, final(name, scope) if scope.kind == "module" else found
        inline = inline and scope.kind == "comprehension"
        scope = scope.parent
    return None


def _is_bound(name: str, frame: Frame, position: Position) -> bool:
    """Whether a class body has bound a name so far: in `URL = URL` the right side is the module's."""
    bindings = frame.scope.bindings.get(name, ())
    return frame.block is None or any(binding.position <= position for binding in bindings)


def final(name: str, scope: Scope) -> list[Binding]:
    """The bindings of a name that can be in force when a scope's statements have all run."""
    return reaching(scope.bindings[name], scope, _END, ())


def reaching(bindings: list[Binding], scope: Scope, position: Position, block: Block) -> list[Binding]:
    """Those of a scope's bindings of one name that can be in force at a place of that scope.

    A binding hides all earlier ones when it runs whenever the place runs: when its branches enclose the place. Inside
    a loop, later bindings of the loop's body reach the place too. An approximation of reaching definitions: early exits
    are not followed.
    """
    found = [binding for binding in bindings if binding.scope is not scope]
    for binding in reversed(bindings):
        if binding.scope is not scope or binding.position > position:
            continue
        found.append(binding)
        if block[: len(binding.block)] == binding.block:
            break
    loop = next((block[: depth + 1] for depth, branch in enumerate(block) if branch[2] == LOOP_BODY), None)
    if loop is not None:
        found += [b for b in bindings if b.scope is scope and b.position > position and b.block[: len(loop)] == loop]
    return found or bindings
