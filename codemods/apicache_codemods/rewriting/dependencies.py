"""What importing a module of the project runs, so that the operations module closes no circle of imports."""

import ast
import posixpath
from collections.abc import Iterator

from apicache_codemods.project import Project


def imported_by(location: str, below: str, project: Project) -> frozenset[str]:
    """The locations of the project's modules that importing the one at `location` runs, itself included.

    Packages around the folder `below` are left out: whoever lies there has imported them already.
    """
    found: set[str] = set()
    waiting = [location, *_packages(location, project, below)]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found.add(here)
        for target in imported_directly(here, project):
            waiting += [target, *_packages(target, project, below)]
    return frozenset(found)


def imported_directly(location: str, project: Project) -> frozenset[str]:
    """The locations of the project's modules that the one at `location` imports itself, while it is imported."""
    module = project.module(location)
    imports = _at_import(module.tree) if module is not None else ()
    return frozenset(target for node in imports for target in _targets(node, location, project))


def _packages(location: str, project: Project, below: str) -> Iterator[str]:
    folder = posixpath.dirname(location)
    while folder != posixpath.dirname(folder) and not f"{below}/".startswith(f"{folder}/"):
        if project.is_package(folder):
            yield folder
        folder = posixpath.dirname(folder)


def _at_import(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run with the module itself, not with a function of it."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.expr):
            waiting.extend(ast.iter_child_nodes(node))


def _targets(node: ast.Import | ast.ImportFrom, importer: str, project: Project) -> Iterator[str]:
    if isinstance(node, ast.Import):
        candidates = [(alias.name, 0) for alias in node.names]
    else:
        base = node.module or ""
        members = [(f"{base}.{alias.name}" if base else alias.name, node.level) for alias in node.names]
        candidates = [(base, node.level), *members]
    for dotted, level in candidates:
        location = project.find(dotted, level, importer)
        if location is not None:
            yield location
