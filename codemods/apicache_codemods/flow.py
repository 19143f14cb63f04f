"""What the names of one function are made of: which expressions feed which, whatever the order of statements.

An over-approximation on purpose: assignments of all branches count, and what is put into a collection feeds it. Inner
functions, lambdas and classes are not looked into. Made for the few functions that a rule asks about.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TypeAlias

from apicache_codemods.bindings import COMPREHENSIONS

Body: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_FILLING = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})


class Flow:
    """The expressions of a function (or a module's top level) by the names they feed."""

    def __init__(self, body: Body) -> None:
        self.body = body

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the function's own code."""
        return list(own_nodes(self.body))

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """The node around each node of the function's own code."""
        return {child: node for node in (self.body, *self.nodes) for child in ast.iter_child_nodes(node)}

    @cached_property
    def sources(self) -> Mapping[str, list[ast.expr]]:
        """Name -> the expressions that it is bound to, or that are put into it."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            for target, value in _feeding(node):
                for name in _targets(target):
                    found.setdefault(name, []).append(value)
        return found

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The function's parameters; none for a module."""
        return frozenset() if isinstance(self.body, ast.Module) else frozenset(parameter_names(self.body.args))

    def feeding(self, *expressions: ast.expr) -> Iterator[ast.AST]:
        """Every node of some expressions, and of those that feed their names, each once."""
        seen: set[str] = set()
        waiting: list[ast.AST] = list(expressions)
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(ast.iter_child_nodes(node))
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting.extend(self.sources.get(node.id, ()))

    def names(self, *expressions: ast.expr) -> frozenset[str]:
        """The names that feed some expressions, those between included."""
        return frozenset(node.id for node in self.feeding(*expressions) if isinstance(node, ast.Name))


def own_nodes(body: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a function or module, without the inside of inner functions, lambdas and classes."""
    waiting = list(getattr(body, "body", ()))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _OWN_SCOPE):
            waiting.extend(ast.iter_child_nodes(node))


def parameter_names(arguments: ast.arguments) -> list[str]:
    """The names of all parameters, the starred ones last."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [each.arg for each in (*named, arguments.vararg, arguments.kwarg) if each is not None]


def _feeding(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Targets with what they are bound to by one node."""
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target, value) for target in targets)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
            yield target, value
        case ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield target, value
        case ast.comprehension(target=target, iter=value):
            yield target, value
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            yield target, value
        case ast.Call(func=ast.Attribute(value=holder, attr=attr), args=args) if attr in _FILLING:
            yield from ((holder, argument) for argument in args)
        case _:
            return


def _targets(target: ast.expr) -> Iterator[str]:
    """The names a target binds; of `x.a = ...` and `x[k] = ...`, the name that is changed."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _targets(part)
        case ast.Starred(value=inner):
            yield from _targets(inner)
        case ast.Attribute(value=ast.Name(id=name)) | ast.Subscript(value=ast.Name(id=name)) if name not in _SELVES:
            yield name
        case _:
            return


_SELVES = frozenset({"self", "cls"})


def target_names(target: ast.expr) -> frozenset[str]:
    """The names that a loop's target binds."""
    return frozenset(_targets(target))


def is_comprehension(node: ast.AST) -> bool:
    """Whether a node is a comprehension or generator expression."""
    return isinstance(node, COMPREHENSIONS)
