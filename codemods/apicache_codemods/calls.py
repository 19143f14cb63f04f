"""Finding the calls worth resolving: those whose written name could be a call method, with the frame each stands in.

Only statements on whose lines the text holds such a name are entered, so the cost follows the number of candidates and
not the size of the module.
"""

import ast
import re
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator
from functools import cached_property

import msgspec

from apicache_codemods.bindings import COMPREHENSIONS, Block, inner_blocks
from apicache_codemods.project import Module
from apicache_codemods.scopes import Frame, Scope

# Patterns that begin with a literal: the engine then skips through the text, twenty times as fast as from a word on.
_ATTRIBUTE_CALLED = re.compile(r"\.\s*(\w+)\s*\(")
_METHOD_KEPT = re.compile(r"\.(\w+)[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
_KEEPING = re.compile(r"[ \t]*(\w+)[ \t]*(?::[^=]*)?=(?!=)")


class Candidate(msgspec.Struct, frozen=True):
    """A call expression and where it stands; `awaited` when `await` or `async with` takes what it gives."""

    call: ast.Call
    frame: Frame
    awaited: bool = False


class Calls:
    """The calls of one module by the name they are written with; each name is searched for once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._by_name: dict[str, list[Candidate]] = {}

    def named(self, attributes: Iterable[str], alone: Iterable[str]) -> list[Candidate]:
        """Every call written `x.attribute(...)` or `name(...)` with one of those given, in source order."""
        wanted = {f".{name}" for name in attributes if name in self._attributes} | set(alone)
        self._search(wanted - self._by_name.keys())
        found = [candidate for name in wanted for candidate in self._by_name[name]]
        return sorted(found, key=lambda each: (each.call.lineno, each.call.col_offset, -_end(each.call)))

    @cached_property
    def _attributes(self) -> dict[str, list[int]]:
        """The lines on which each attribute is called."""
        text = self._module.source.text
        lines: dict[str, list[int]] = {}
        for line, name in zip(*_hits(_ATTRIBUTE_CALLED, text), strict=True):
            lines.setdefault(name, []).append(line)
        return lines

    def keeping(self, attributes: Container[str]) -> set[str]:
        """The names that keep a bound method: `fetch = client.get` keeps `get` as `fetch`."""
        text = self._module.source.text
        kept = set()
        for hit in _METHOD_KEPT.finditer(text):
            if hit[1] in attributes:
                keeping = _KEEPING.match(text, text.rfind("\n", 0, hit.start()) + 1)
                kept |= {keeping[1]} if keeping is not None else set()
        return kept

    def _search(self, names: set[str]) -> None:
        if not names:
            return
        self._by_name |= {name: [] for name in names}
        lines = sorted({line for name in names for line in self._lines(name)})
        search = _Search(lines)
        for call, frame in search.module(self._module):
            function = call.func
            name = f".{function.attr}" if isinstance(function, ast.Attribute) else getattr(function, "id", None)
            if name in names:
                self._by_name[name].append(Candidate(call, frame, call in search.awaited))

    def _lines(self, name: str) -> list[int]:
        if name.startswith("."):
            return self._attributes[name[1:]]
        return _hits(re.compile(rf"({re.escape(name)})\s*\("), self._module.source.text)[0]


def _hits(pattern: re.Pattern[str], text: str) -> tuple[list[int], list[str]]:
    """For each match, its 1-based line and its first group."""
    lines, groups = [], []
    line, start = 1, 0
    for hit in pattern.finditer(text):
        line += text.count("\n", start, hit.start(1))
        start = hit.start(1)
        lines.append(line)
        groups.append(hit[1])
    return lines, groups


def _end(call: ast.Call) -> int:
    return (call.end_lineno or 0) << 32 | (call.end_col_offset or 0)


class _Search:
    def __init__(self, lines: list[int]) -> None:
        self.lines = lines
        self.awaited: set[ast.expr] = set()

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
                if isinstance(statement, ast.AsyncWith):
                    self.awaited.update(item.context_expr for item in statement.items)
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
            if isinstance(node, ast.Await):
                self.awaited.add(node.value)
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
