"""Finding the calls worth resolving: those whose written name could be a call method, with the frame each stands in.

Only statements on whose lines the text holds such a name are entered, so the cost follows the number of candidates and
not the size of the module.
"""

import ast
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apicache_codemods.bindings import COMPREHENSIONS, Block, inner_blocks
from apicache_codemods.project import Module
from apicache_codemods.scopes import Frame, Scope


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call expression and where it stands."""

    call: ast.Call
    frame: Frame


def candidates(module: Module, names: Iterable[str]) -> list[Candidate]:
    """Every call of something written `names[i](...)` or `x.names[i](...)`, in source order."""
    wanted = frozenset(names)
    lines = sorted({line for name in wanted for line in module.called_on.get(name, ())})
    if not lines:
        return []
    found = [
        Candidate(call, frame)
        for call, frame in _Search(lines).module(module)
        if (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)) in wanted
    ]
    return sorted(
        found, key=lambda candidate: (candidate.call.lineno, candidate.call.col_offset, -_end(candidate.call))
    )


def _end(call: ast.Call) -> int:
    return (call.end_lineno or 0) << 32 | (call.end_col_offset or 0)


class _Search:
    def __init__(self, lines: list[int]) -> None:
        self.lines = lines

    def covers(self, node: ast.stmt | ast.expr) -> bool:
        index = bisect_left(self.lines, node.lineno)
        return index < len(self.lines) and self.lines[index] <= (node.end_lineno or node.lineno)

    def module(self, module: Module) -> Iterator[tuple[ast.Call, Frame]]:
        waiting: list[tuple[list[ast.stmt], Scope, Block]] = [(module.tree.body, module.scope, ())]
        while waiting:
            body, scope, block = waiting.pop()
            for statement in body:
                start = statement
                decorated = getattr(statement, "decorator_list", None)
                if not self.covers(statement) and not (decorated and any(map(self.covers, decorated))):
                    continue
                frame = Frame(scope, block)
                for part in ast.iter_child_nodes(start):
                    if not isinstance(part, ast.stmt):
                        yield from self.expressions(part, frame)
                if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    waiting.append((statement.body, scope.child(statement), ()))
                else:
                    waiting.extend((inner, scope, deeper) for inner, deeper in inner_blocks(statement, block))

    def expressions(self, top: ast.AST, frame: Frame) -> Iterator[tuple[ast.Call, Frame]]:
        waiting: list[tuple[ast.AST, Frame]] = [(top, frame)]
        while waiting:
            node, inside = waiting.pop()
            if isinstance(node, ast.stmt):
                continue  # the body of an exception handler or of a case: entered as a block
            if isinstance(node, ast.expr) and not self.covers(node):
                continue
            if isinstance(node, ast.Call):
                yield node, inside
            if isinstance(node, ast.Lambda):
                waiting.append((node.args, inside))
                waiting.append((node.body, Frame(inside.scope.child(node), ())))
            elif isinstance(node, COMPREHENSIONS):
                waiting.extend(_comprehension(node, inside))
            else:
                waiting.extend((child, inside) for child in ast.iter_child_nodes(node))


def _comprehension(node: ast.AST, outside: Frame) -> Iterator[tuple[ast.AST, Frame]]:
    """A comprehension's parts: all stand in its own scope but the first iterable."""
    if not isinstance(node, COMPREHENSIONS):
        return
    inside = Frame(outside.scope.child(node), outside.block)
    for index, generator in enumerate(node.generators):
        yield generator.iter, inside if index else outside
        yield generator.target, inside
        yield from ((condition, inside) for condition in generator.ifs)
    if isinstance(node, ast.DictComp):
        yield node.key, inside
        yield node.value, inside
    else:
        yield node.elt, inside
