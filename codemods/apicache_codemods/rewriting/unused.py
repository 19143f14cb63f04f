"""Removing the imports that an edit made unused, and only those."""

import ast
import re
from collections.abc import Collection
from typing import Final

import libcst as cst

from apicache_codemods.rewriting.placing import dotted, imported_parts
from apicache_codemods.syntax import parse

_WRITTEN_TYPE: Final = re.compile(r"[\w.\[\], |]+")


def names_loaded(text: str) -> set[str]:
    """The names that a module's code reads; those in texts that may be annotations or `__all__` entries too."""
    tree = parse(text, "")
    names: set[str] = set()
    if not isinstance(tree, ast.Module):
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _WRITTEN_TYPE.fullmatch(node.value):
            names.update(re.findall(r"\w+", node.value))
    return names | set(re.findall(r"#\s*type:\s*(\w+)", text))


def without_unused(module: cst.Module, names: Collection[str]) -> cst.Module:
    """The module without top-level imports of `names`; comments above a removed line stay with the next."""
    body: list[cst.SimpleStatementLine | cst.BaseCompoundStatement] = []
    left: list[cst.EmptyLine] = []
    for statement in module.body:
        kept = _without(statement, names)
        if kept is None:
            lines = statement.leading_lines if isinstance(statement, cst.SimpleStatementLine) else ()
            left += [line for line in lines if line.comment is not None]
            continue
        if left:
            kept = kept.with_changes(leading_lines=[*left, *getattr(kept, "leading_lines", ())])
            left = []
        body.append(kept)
    if body and body[0] is not module.body[0] and not module.header:
        lines = list(getattr(body[0], "leading_lines", ()))
        while lines and lines[0].comment is None:
            lines.pop(0)
        body[0] = body[0].with_changes(leading_lines=lines)
    return module.with_changes(body=body)


def _without(
    statement: cst.SimpleStatementLine | cst.BaseCompoundStatement, names: Collection[str]
) -> cst.SimpleStatementLine | cst.BaseCompoundStatement | None:
    parts = imported_parts(statement)
    if not isinstance(statement, cst.SimpleStatementLine) or len(parts) != 1:
        return statement
    part = parts[0]
    comment = statement.trailing_whitespace.comment
    if isinstance(part.names, cst.ImportStar) or (comment is not None and "F401" in comment.value):
        return statement
    if isinstance(part, cst.ImportFrom) and dotted(part.module) == "__future__":
        return statement
    kept = [alias for alias in part.names if _bound(alias, part) not in names]
    if len(kept) == len(part.names):
        return statement
    if not kept:
        return None
    last = kept[-1].with_changes(comma=part.names[-1].comma)
    return statement.with_changes(body=[part.with_changes(names=[*kept[:-1], last])])


def _bound(alias: cst.ImportAlias, part: cst.Import | cst.ImportFrom) -> str:
    name = alias.evaluated_alias or alias.evaluated_name
    return name if isinstance(part, cst.ImportFrom) or alias.evaluated_alias else name.partition(".")[0]
