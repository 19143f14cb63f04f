"""The check that an edit changed what it meant to change and no other line, byte for byte.

It shares nothing with the edit but the places that were to be edited: every other line of the old file must be among
those of the new one, in order.
"""

import re
from collections.abc import Iterable, Iterator

import libcst as cst
from libcst.metadata import CodeRange

from apicache_codemods.rewriting.edits import FileEdits, SourceTree

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_EMPTY = re.compile(rb"[ \t\f\r\n]*")
_COMMENT = re.compile(rb"[ \t\f]*#[^\r\n]*[\r\n]*")


def altered_line(before: bytes, after: bytes, touched: Iterable[int]) -> int | None:
    """The first 1-based line of `before`, not among `touched`, that `after` does not hold where it should."""
    own = frozenset(touched)
    new = iter(lines_of(after))
    for number, line in enumerate(lines_of(before), start=1):
        if number not in own and all(each != line for each in new):
            return number
    return None


def lines_of(content: bytes) -> list[bytes]:
    """The lines with their ends, as LibCST counts them."""
    lines = _LINE.findall(content)
    return [line for line in lines if line]


def touched_lines(tree: SourceTree, edits: FileEdits) -> set[int]:
    """The lines that the edits may change: those of their calls and statements, and of imports.

    Statements come with the empty lines and the comments around them, which move with them.
    """
    lines = lines_of(tree.content)
    touched: set[int] = set()
    for edit in edits.calls:
        touched |= _numbers(tree.positions[edit.call])
    for statement in _statements(tree.module, edits):
        own = _numbers(tree.positions[statement])
        touched |= own
        touched |= set(_loose(lines, range(min(own) - 1, 0, -1), comments=True))
        touched |= set(_loose(lines, range(max(own) + 1, len(lines) + 1), comments=False))
    return touched


def _statements(module: cst.Module, edits: FileEdits) -> Iterator[cst.CSTNode]:
    yield from _imports(module)
    for statement, follower in edits.collapsed.items():
        yield statement
        if follower is not None:
            yield follower
    yield from edits.dropped
    yield from edits.unwrapped


def _imports(module: cst.Module) -> Iterator[cst.CSTNode]:
    for statement in module.body:
        if isinstance(statement, cst.SimpleStatementLine) and any(
            isinstance(small, cst.Import | cst.ImportFrom) for small in statement.body
        ):
            yield statement


def _numbers(position: CodeRange) -> set[int]:
    return set(range(position.start.line, position.end.line + 1))


def _loose(lines: list[bytes], numbers: Iterable[int], *, comments: bool) -> Iterator[int]:
    """The numbers up to the first line that holds code."""
    for number in numbers:
        line = lines[number - 1]
        if not (_EMPTY.fullmatch(line) or (comments and _COMMENT.fullmatch(line))):
            return
        yield number
