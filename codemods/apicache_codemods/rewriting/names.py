"""What a name at a site means, as far as it can move: constants, environment look-ups, libraries.

The project's syntax decides (`scopes.lookup`, `Project.find`); a name that is bound twice, conditionally, by a star
import or by a test's patch keeps its meaning to itself. So does one that a module reads from the environment once: it
is to be read then, and not when another module is imported.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import libcst as cst

from apicache_codemods.analysis import Analysis
from apicache_codemods.bindings import Assigned, Binding, Imported
from apicache_codemods.detector import load_detectors
from apicache_codemods.project import Module
from apicache_codemods.rewriting.edits import SourceTree
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.referring import References
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.terms import (
    Carried,
    Inside,
    Literal,
    Lookup,
    Meaning,
    Member,
    Openness,
    Outside,
    Referred,
    Term,
    TermBuilder,
    is_ambient,
)
from apicache_codemods.scopes import lookup

_ENVIRONMENT = "os"
_ATOMS = (str, int, float, bool, bytes, type(None))


class Trees:
    """The LibCST trees of files, each parsed once."""

    def __init__(self) -> None:
        self._trees: dict[str, SourceTree | None] = {}
        self.failures: dict[str, str] = {}
        """Why a file cannot be edited, by the path that reports name."""

    def of(self, module: Module) -> SourceTree | None:
        """The tree of a module's file; None when LibCST cannot read it or would not write it back as it was."""
        if module.path not in self._trees:
            self._trees[module.path] = self._parsed(module)
        return self._trees[module.path]

    def _parsed(self, module: Module) -> SourceTree | None:
        try:
            tree = SourceTree(Path(module.source.absolute).read_bytes())
            tree.calls  # noqa: B018 - what is nested too deeply to be walked shows here
        except (cst.ParserSyntaxError, UnicodeError, OSError, RecursionError, LookupError) as error:
            self.failures[module.path] = f"it cannot be read for editing: {type(error).__name__}"
            return None
        if not tree.faithful:
            self.failures[module.path] = "LibCST would change lines that are not edited"
            return None
        return tree


class Names:
    """Gives the meanings of names and the terms of expressions."""

    def __init__(self, analysis: Analysis, trees: Trees, mentions: Mentions, references: References) -> None:
        self.analysis = analysis
        self.references = references
        self.trees = trees
        self.mentions = mentions
        self.libraries = frozenset(load_detectors())
        self._calls = frozenset(resolved.node for resolved in analysis.sites)
        self._known: dict[tuple[str, str], Meaning | None] = {}
        self._parents: dict[str, Mapping[ast.AST, ast.AST]] = {}

    def at_site(self, subject: Subject) -> TermBuilder:
        """Builds terms of expressions at a site."""

        def meaning(node: cst.Name) -> Meaning | None:
            place = (subject.call.lineno, subject.call.col_offset)
            found = lookup(node.value, subject.resolved.frame, place)
            if found is None or found[0].kind != "module":
                return None
            return self.of_module(subject.module, node.value)

        return TermBuilder(meaning, self._members_for(subject.module), self.libraries)

    def in_module(self, module: Module) -> TermBuilder:
        """Builds terms of expressions at the top level of a module."""
        return TermBuilder(self._lookup_in(module), self._members_for(module), self.libraries)

    def _members_for(self, site: Module) -> Member:
        """What `settings.API` means in a module: never what `settings` assigns, which may change until it is read."""

        def member(inside: Inside, name: str) -> Meaning | None:
            module = self.analysis.resolver.project.module(inside.location)
            if module is None:
                return None
            meaning = self.of_module(module, name)
            return meaning if isinstance(meaning, Outside | Inside) else self._referred(module, name, site)

        return member

    def _referred(self, origin: Module, name: str, site: Module) -> Referred | None:
        imported_as = self.references.import_name(origin, site)
        if imported_as is None or not self.references.is_plain(origin, name):
            return None
        return Referred(origin.location, imported_as, name)

    def _lookup_in(self, module: Module) -> Lookup:
        return lambda node: self.of_module(module, node.value)

    def of_module(self, module: Module, name: str) -> Meaning | None:
        """What a top-level name of a module means everywhere; None when it means something only there."""
        key = (module.path, name)
        if key not in self._known:
            self._known[key] = None  # a name defined by way of itself means nothing
            self._known[key] = self._of_module(module, name)
        return self._known[key]

    def _of_module(self, module: Module, name: str) -> Meaning | None:
        binding = only_binding(module, name)
        if binding is None or self.mentions.replaced(module, name) is not None:
            return None
        if isinstance(binding.source, Imported):
            return self._imported(binding.source, module)
        if isinstance(binding.source, Assigned) and not binding.source.unpack:
            return self._assigned(binding.source.value, module, name)
        return None

    def _imported(self, imported: Imported, module: Module) -> Meaning | None:
        project = self.analysis.resolver.project
        location = project.find(imported.module, imported.level, module.location)
        if location is None:
            top = imported.module.partition(".")[0]
            if imported.level or (top not in self.libraries and top != _ENVIRONMENT):
                return None
            return Outside(imported.module, imported.name)
        if imported.name is None:
            return Inside(location)
        origin = project.module(location)
        if origin is not None and imported.name in origin.scope.bindings:
            meaning = self.of_module(origin, imported.name) or self._bound_once(origin, imported.name, module)
            return self._reachable(meaning, module)
        inner = f"{location}/{imported.name}"
        return Inside(inner) if project.exists(inner) else None

    def _bound_once(self, origin: Module, name: str, site: Module) -> Referred | None:
        """What `from settings import KEY` means, where `settings.KEY` stays what it was when it was imported."""
        binding = only_binding(origin, name)
        if binding is None or not isinstance(binding.source, Assigned) or self.mentions.replaced(origin, name):
            return None
        return self._referred(origin, name, site)

    def _reachable(self, meaning: Meaning | None, site: Module) -> Meaning | None:
        """What a name means, if the operations module of `site` can read it too."""
        if not isinstance(meaning, Referred):
            return meaning
        origin = self.analysis.resolver.project.module(meaning.location)
        return self._referred(origin, meaning.name, site) if origin is not None else None

    def _assigned(self, value: ast.expr, module: Module, name: str) -> Meaning | None:
        if isinstance(value, ast.Constant):
            return Literal(value.value) if isinstance(value.value, _ATOMS) else None
        term = self.term_of_assignment(module, name)
        if term is None or term.openness is not Openness.CLOSED or is_ambient(term):
            return None
        if term.label[0] == "value":
            return Literal(term.label[2])  # type: ignore[arg-type] # constants
        if any(part.label[0] in {"dict", "List"} for part in term.walk()) and not self._only_read(module, name):
            return None
        return Carried(name, term)

    def term_of_assignment(self, module: Module, name: str) -> Term | None:
        """The term of what a top-level name is assigned; None when no plain assignment is found."""
        tree = self.trees.of(module)
        for statement in top_level_assignments(tree.module) if tree is not None else ():
            target, value = assignment_parts(statement)
            if target == name and value is not None:
                return self.in_module(module).term(value, name)
        return None

    def _only_read(self, module: Module, name: str) -> bool:
        """Whether a dictionary or list goes only to client libraries or by `**`, so that nobody changes it."""
        if self.mentions.elsewhere(module, name):
            return False
        return all(
            self._is_read(node, module)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        )

    def _is_read(self, node: ast.Name, module: Module) -> bool:
        parents = self.parents(module)
        parent = parents.get(node)
        if isinstance(parent, ast.Dict):
            return any(key is None and value is node for key, value in zip(parent.keys, parent.values, strict=True))
        call = parents.get(parent) if isinstance(parent, ast.keyword) else parent
        if not isinstance(call, ast.Call):
            return False
        return call in self._calls or ast.unparse(call.func).partition(".")[0] in self.libraries

    def parents(self, module: Module) -> Mapping[ast.AST, ast.AST]:
        """Every node of a module with the node it stands in."""
        if module.path not in self._parents:
            tree = module.tree
            self._parents[module.path] = {
                child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
            }
        return self._parents[module.path]


def only_binding(module: Module, name: str) -> Binding | None:
    """The one unconditional binding of a top-level name; None when there are more, or it stands in a branch."""
    bindings = module.scope.bindings.get(name, [])
    if len(bindings) != 1 or bindings[0].block or bindings[0].scope is not module.scope:
        return None
    return bindings[0]


def top_level_assignments(module: cst.Module) -> Iterator[cst.SimpleStatementLine]:
    """The top-level lines that hold one assignment and nothing else."""
    for statement in module.body:
        if isinstance(statement, cst.SimpleStatementLine) and assignment_parts(statement)[0] is not None:
            yield statement


def assignment_parts(statement: cst.SimpleStatementLine) -> tuple[str | None, cst.BaseExpression | None]:
    """Name and value of `name = value` or `name: annotation = value`; (None, None) for anything else."""
    if len(statement.body) != 1:
        return None, None
    small = statement.body[0]
    if isinstance(small, cst.Assign) and len(small.targets) == 1 and isinstance(small.targets[0].target, cst.Name):
        return small.targets[0].target.value, small.value
    if isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name):
        return small.target.value, small.value
    return None, None
