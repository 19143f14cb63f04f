"""Which names of a module are apicache's, and every place that reads them.

Names are followed through imports to the modules of the project that assign them. One that a function binds again
means nothing here: what reads it is left as it is.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from apicache_codemods.bindings import Assigned, Imported
from apicache_codemods.project import Module, Project
from apicache_codemods.rewriting.names import only_binding

RUNTIME = "apicache"
CACHE = "a cache"
"""What an object of UnifiedAPICache is called among meanings; others are names of the runtime: `cached_api_call`."""
MODULE = "the module"
_CACHE_CLASS = "UnifiedAPICache"
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Use:
    """An expression that means something of apicache: `meaning` is a runtime name, or a cache with its attribute."""

    node: ast.expr
    root: ast.Name
    meaning: str


@dataclass
class Uses:
    """The uses of apicache in one module."""

    module: Module
    project: Project
    found: list[Use] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = list(self._find())

    @cached_property
    def bound_inside(self) -> frozenset[str]:
        """The names that functions, classes and comprehensions of the module bind."""
        return frozenset(name for scope in self.module.scope.descendants() for name in scope.bindings)

    @cached_property
    def bound(self) -> frozenset[str]:
        """Every name that the module binds anywhere."""
        return self.bound_inside | frozenset(self.module.scope.bindings)

    def of(self, node: ast.expr) -> Use | None:
        """The use that an expression is."""
        return self._by_node.get(node)

    @cached_property
    def _by_node(self) -> dict[ast.expr, Use]:
        return {use.node: use for use in self.found}

    def _find(self) -> Iterator[Use]:
        meanings: dict[str, str] = {}
        for name in self.module.scope.bindings:
            found = meaning_of(self.module, name, self.project)
            if found is not None:
                meanings[name] = found
        if not meanings:
            return
        parents = {child: node for node in ast.walk(self.module.tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in meanings:
                yield _widened(node, meanings[node.id], parents)


def _widened(root: ast.Name, meaning: str, parents: dict[ast.AST, ast.AST]) -> Use:
    """The use with the attributes around it: `apicache.cached`, `api_cache.cached_api_call`."""
    node: ast.expr = root
    if meaning == MODULE:
        above = parents.get(node)
        if isinstance(above, ast.Attribute):
            node, meaning = above, above.attr
    if meaning == CACHE:
        above = parents.get(node)
        if isinstance(above, ast.Attribute):
            return Use(above, root, above.attr)
    return Use(node, root, meaning)


def meaning_of(module: Module, name: str, project: Project, depth: int = 0) -> str | None:
    """What a module's top-level name is of apicache; None for anything else."""
    binding = only_binding(module, name)
    if binding is None or depth > _DEPTH:
        return None
    source = binding.source
    if isinstance(source, Imported):
        return _imported(source, module, project, depth)
    if isinstance(source, Assigned) and not source.unpack and isinstance(source.value, ast.Call):
        return CACHE if _makes_cache(source.value.func, module, project, depth) else None
    return None


def _imported(source: Imported, module: Module, project: Project, depth: int) -> str | None:
    location = project.find(source.module, source.level, module.location)
    if location is None:
        if source.level or source.module != RUNTIME:
            return None
        return source.name if source.name is not None else MODULE
    origin = project.module(location) if source.name is not None else None
    return meaning_of(origin, source.name or "", project, depth + 1) if origin is not None else None


def _makes_cache(function: ast.expr, module: Module, project: Project, depth: int) -> bool:
    """`UnifiedAPICache`, `apicache.UnifiedAPICache`, and `create` of either."""
    if isinstance(function, ast.Attribute) and function.attr == "create":
        function = function.value
    if isinstance(function, ast.Name):
        return meaning_of(module, function.id, project, depth + 1) == _CACHE_CLASS
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        is_module = meaning_of(module, function.value.id, project, depth + 1) == MODULE
        return is_module and function.attr == _CACHE_CLASS
    return False
