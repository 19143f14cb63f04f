"""A site as a reviewer sees it: what changes at its lines, and the operation that it becomes a call of."""

import ast
from collections.abc import Mapping, Sequence

import msgspec

from apicache_codemods.rewriting.patch import at_lines
from apicache_codemods.rewriting.verdicts import SiteDecision
from apicache_codemods.rewriting.writing import FileChange
from apicache_codemods.syntax import parse


class SiteView(msgspec.Struct, frozen=True):
    """`lines` are those of a diff; `definition` is the operation's source, `defined_in` its file, empty for none."""

    lines: tuple[str, ...]
    defined_in: str = ""
    definition: tuple[str, ...] = ()


def views(sites: Sequence[SiteDecision], changes: Sequence[FileChange]) -> Mapping[SiteDecision, SiteView]:
    """The views of the rewritten sites among these."""
    by_path = {change.path: change for change in changes}
    definitions = {name: found for change in changes for name, found in _definitions(change).items()}
    found = {}
    for site in sites:
        change = by_path.get(site.path)
        if site.decision == "rewritten" and change is not None:
            defined_in, definition = definitions.get(site.operation or "", ("", ()))
            lines = tuple(at_lines(change, site.line, site.end_line))
            found[site] = SiteView(lines, defined_in, definition)
    return found


def _definitions(change: FileChange) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The operations that a changed file registers, by name: the file and the lines of each."""
    text = (change.after or b"").decode(errors="replace")
    tree = parse(text, change.path) if ".operation(" in text else None
    if not isinstance(tree, ast.Module):
        return {}
    lines = text.splitlines()
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            name = registered_name(decorator)
            if name is not None:
                found[name] = (change.path, tuple(lines[decorator.lineno - 1 : node.end_lineno]))
    return found


def registered_name(decorator: ast.expr) -> str | None:
    """The name in `@cache.operation("name", ...)`; None for any other decorator."""
    match decorator:
        case ast.Call(func=ast.Attribute(attr="operation"), args=[ast.Constant(value=str() as name)]):
            return name
        case _:
            return None
