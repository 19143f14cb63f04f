"""The calls of a function that end in a request.

Its call sites, its wrapper calls, and its calls of project functions that hold a call site themselves.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import msgspec

from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.flow import Flow
from apicache_codemods.model import Kind
from apicache_codemods.project import Module
from apicache_codemods.reading import known_to_read
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import ProjectFunction


class Made(msgspec.Struct, frozen=True, eq=False):
    """A call that ends in a request; `cacheable` when that is known to only read."""

    call: ast.Call
    kind: Kind
    endpoint: str | None
    cacheable: bool
    frame: Frame
    site: ResolvedSite | None = None

    @property
    def written(self) -> str:
        """The called expression as written."""
        return ast.unparse(self.call.func)

    @property
    def place(self) -> tuple[int, int]:
        """Where the call begins."""
        return self.call.lineno, self.call.col_offset


class Function(msgspec.Struct, frozen=True, eq=False):
    """A function, or a module's top level, with the requests that its own code makes, in source order."""

    module: Module
    scope: Scope
    flow: Flow
    made: Sequence[Made]

    @property
    def name(self) -> str | None:
        """The qualified name; None for a module's top level."""
        return self.scope.qualname or None

    @property
    def lines(self) -> Sequence[str]:
        """The lines it stands on, to tell in a moment that a construct is not there."""
        node = self.scope.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self.module.lines[node.lineno - 1 : node.end_lineno]
        return self.module.lines

    @property
    def has_loops(self) -> bool:
        """Whether it may hold a `for`."""
        return any("for " in line for line in self.lines)


class Functions:
    """Every function that makes a request itself or by a wrapper call."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    @cached_property
    def all(self) -> Sequence[Function]:
        """The functions, in the order of paths and places."""
        made: dict[Scope, list[Made]] = {}
        modules = {module.location: module for module in self._analysis.modules.values()}
        for each in self._made():
            scope = each.frame.scope.function or each.frame.scope.module
            made.setdefault(scope, []).append(each)
        return [
            Function(modules[scope.owner], scope, _flow(scope), sorted(found, key=lambda each: each.place))
            for scope, found in made.items()
            if scope.owner in modules
        ]

    def _made(self) -> Iterator[Made]:
        for resolved in self._analysis.sites:
            site = resolved.site
            yield Made(resolved.node, site.kind, site.endpoint, site.cacheable, resolved.frame, resolved)
        for forwarded in self._analysis.forwarded:
            endpoint = forwarded.endpoint
            method = endpoint.partition(" ")[0] if endpoint is not None else None
            reads = known_to_read(method, endpoint, "http", None)
            yield Made(forwarded.call, "http", endpoint, reads, forwarded.frame)

    @cached_property
    def _by_scope(self) -> Mapping[Scope, ResolvedSite]:
        """The first call site of each function."""
        found: dict[Scope, ResolvedSite] = {}
        for resolved in self._analysis.sites:
            scope = resolved.frame.scope.function
            if scope is not None:
                found.setdefault(scope, resolved)
        return found

    def reached(self, call: ast.Call, scope: Scope) -> ResolvedSite | None:
        """The call site in the project's function that a call in `scope` runs; None when there is none."""
        for value in self._analysis.resolver.evaluate(call.func, Frame(scope)):
            if isinstance(value, ProjectFunction) and value.scope in self._by_scope:
                return self._by_scope[value.scope]
        return None


def _flow(scope: Scope) -> Flow:
    node = scope.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        raise TypeError(node)
    return Flow(node)
