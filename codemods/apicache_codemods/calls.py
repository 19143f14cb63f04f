"""Finding the calls worth resolving: those whose written name could be a call method, with the frame each stands in.

Only statements on whose lines the text holds such a name are entered, so the cost follows the number of candidates and
not the size of the module.
"""

import ast
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import cached_property

import msgspec

from apicache_codemods.bindings import COMPREHENSIONS
from apicache_codemods.blocks import Block, inner_blocks
from apicache_codemods.project import Module
from apicache_codemods.scopes import Frame, Scope

# Patterns that begin with a literal: the engine then skips through the text, twenty times as fast as from a word on.
_ATTRIBUTE_USED = re.compile(r"\.\s*(\w+)\s*([(,)\]}#\n]|if\b|else\b|(?<=\n)|\Z)")
_NONE: frozenset[str] = frozenset()
_IN_ARGUMENTS = frozenset({",", ")"})
_CALLABLE_MADE = re.compile(r"(?:getattr[ \t]*\([ \t]*[\w.]+[ \t]*,[ \t]*(?:[\"'](\w+)[\"'])?|partial[ \t]*\()")
_KEEPING = re.compile(r"[ \t]*(?:([\w., \t]+?)[ \t]*(?::[^=\n]*)?=(?!=)|for[ \t]+([\w, \t]+?)[ \t]+in\b)")
_PARTIAL_PASSED = re.compile(r"(?:[(,=]|^)[ \t]*(?:functools\.)?(partial)[ \t]*\(", re.MULTILINE)


class Candidate(msgspec.Struct, frozen=True):
    """A call expression and where it stands; `awaited` when `await` or `async with` takes what it gives."""

    call: ast.Call
    frame: Frame
    awaited: bool = False
    handed: ast.expr | None = None
    """The argument that the call may call: `client.get` of `retry(client.get, url)`."""

    @property
    def called(self) -> ast.expr:
        """What makes the request, if the candidate does."""
        return self.call.func if self.handed is None else self.handed


class Calls:
    """The calls of one module by the name they are written with; each name is searched for once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._by_name: dict[str, list[Candidate]] = {}
        self._indirect: list[Candidate] = []
        self._handing: list[Candidate] = []
        self._handing_of: tuple[AbstractSet[str], AbstractSet[str]] = (_NONE, _NONE)

    def named(self, attributes: Iterable[str], alone: Iterable[str]) -> list[Candidate]:
        """Every call written `x.attribute(...)` or `name(...)` with one of those given, in source order."""
        wanted = {f".{name}" for name in attributes if name in self._attributes} | set(alone)
        self._search(wanted)
        found = [candidate for name in wanted for candidate in self._by_name[name]]
        return sorted(found, key=lambda each: (each.call.lineno, each.call.col_offset, -_end(each.call)))

    @cached_property
    def _attributes(self) -> dict[str, list[int]]:
        """The lines on which each attribute is called."""
        return self._uses[0]

    @property
    def _mentioned(self) -> list[tuple[int, int, str, str]]:
        """Where attributes are named and not called: line, offset in the text, name, what follows."""
        return self._uses[1]

    @cached_property
    def _uses(self) -> tuple[dict[str, list[int]], list[tuple[int, int, str, str]]]:
        text = self._module.source.text
        called: dict[str, list[int]] = {}
        mentioned: list[tuple[int, int, str, str]] = []
        line, start = 1, 0
        for hit in _ATTRIBUTE_USED.finditer(text):
            name, after = hit.groups()
            line += text.count("\n", start, hit.start(1))
            start = hit.start(1)
            if after == "(":
                called.setdefault(name, []).append(line)
            else:
                mentioned.append((line, start, name, after))
        return called, mentioned

    def keeping(self, attributes: AbstractSet[str]) -> set[str]:
        """The names, of variables and of attributes, that keep what makes a request: `fetch = client.get`."""
        text = self._module.source.text
        starts = [start for _, start, name, _ in self._mentioned if name in attributes]
        starts += [hit.start() for hit in _CALLABLE_MADE.finditer(text) if hit[1] is None or hit[1] in attributes]
        kept: set[str] = set()
        for start in starts:
            keeping = _KEEPING.match(text, text.rfind("\n", 0, start) + 1)
            if keeping is not None:
                kept |= {name.rpartition(".")[2].strip() for name in (keeping[1] or keeping[2]).split(",")}
        return {name for name in kept if name}

    def kept_on_objects(self, kept: Iterable[str]) -> set[str]:
        """Those of the names kept that are attributes: of `self`, or of a class."""
        text = self._module.source.text
        scope = self._module.scope
        classes = [scope.child(node) for node, _ in scope.names.definitions if isinstance(node, ast.ClassDef)]
        return {
            name
            for name in kept
            if f".{name} =" in text or f".{name}:" in text or any(name in each.bindings for each in classes)
        }

    def candidates(
        self, attributes: AbstractSet[str], alone: AbstractSet[str], passed: AbstractSet[str]
    ) -> list[Candidate]:
        """Every call that could make a request, those written plainly first.

        `x.attribute(...)` and `name(...)` as `named` finds them; the calls of what another call or a look-up gives:
        `getattr(requests, "get")(url)`, `METHODS[name](url)`; the calls that are passed a method named in `attributes`,
        one kept under a name of `passed`, or a partial.
        """
        self._search({f".{name}" for name in attributes if name in self._attributes} | alone, attributes, passed)
        return [*self.named(attributes, alone), *self._indirect, *self._handing]

    def _handing_lines(self, attributes: AbstractSet[str], passed: AbstractSet[str]) -> set[int]:
        text = self._module.source.text
        lines = {line for line, _, name, after in self._mentioned if after in _IN_ARGUMENTS and name in attributes}
        for name in passed:
            lines |= {line for end in _IN_ARGUMENTS for line in _lines_of(f"{name}{end}", text)}
        return lines | (set(_hits(_PARTIAL_PASSED, text)[0]) if "partial" in text else set())

    @cached_property
    def _indirect_lines(self) -> set[int]:
        text = self._module.source.text
        return {line for written in (")(", "](") for line in _lines_of(written, text)}

    def _search(
        self, names: AbstractSet[str], attributes: AbstractSet[str] = _NONE, passed: AbstractSet[str] = _NONE
    ) -> None:
        """Find the calls written with names not searched for yet; with `attributes`, the others of `candidates` too."""
        names -= self._by_name.keys()
        self._by_name |= {name: [] for name in names}
        lines = {line for name in names for line in self._lines(name)}
        wanted = (attributes, passed)
        if attributes and wanted != self._handing_of:
            lines |= self._indirect_lines | self._handing_lines(attributes, passed)
            self._handing_of, self._indirect, self._handing = wanted, [], []
        else:
            attributes = _NONE
        if not lines:
            return
        search = _Search(sorted(lines))
        for call, frame in search.module(self._module):
            function = call.func
            name = f".{function.attr}" if isinstance(function, ast.Attribute) else getattr(function, "id", None)
            if name in names:
                self._by_name[name].append(Candidate(call, frame, call in search.awaited))
            if attributes:
                self._note(Candidate(call, frame, call in search.awaited), attributes, passed)

    def _note(self, candidate: Candidate, attributes: AbstractSet[str], passed: AbstractSet[str]) -> None:
        call = candidate.call
        if isinstance(call.func, ast.Call | ast.Subscript):
            self._indirect.append(candidate)
        for given in call.args:
            if _is_handed(given, attributes, passed):
                self._handing.append(msgspec.structs.replace(candidate, handed=given))
        for keyword in call.keywords:
            if _is_handed(keyword.value, attributes, passed):
                self._handing.append(msgspec.structs.replace(candidate, handed=keyword.value))

    def _lines(self, name: str) -> list[int]:
        if name.startswith("."):
            return self._attributes[name[1:]]
        text = self._module.source.text
        return _hits(re.compile(rf"({re.escape(name)})\s*\("), text)[0] if f"{name}(" in text else []


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


def _lines_of(written: str, text: str) -> Iterator[int]:
    """The lines on which a text holds `written`."""
    line, start, at = 1, 0, text.find(written)
    while at >= 0:
        line += text.count("\n", start, at)
        yield line
        start, at = at, text.find(written, at + 1)


def _is_handed(given: ast.expr, attributes: AbstractSet[str], names: AbstractSet[str]) -> bool:
    if isinstance(given, ast.Attribute):
        return given.attr in attributes or given.attr in names
    if isinstance(given, ast.Name):
        return given.id in names
    called = given.func if isinstance(given, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) == "partial"


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
