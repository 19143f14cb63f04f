"""From choices to edits: what is done to each file, and what its imports need afterwards."""

import ast
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import libcst as cst

from apicache_codemods.bindings import Imported
from apicache_codemods.project import Module
from apicache_codemods.rewriting.candidates import Candidate, Candidates
from apicache_codemods.rewriting.choosing import with_node
from apicache_codemods.rewriting.clients import Home
from apicache_codemods.rewriting.edits import FileEdits, OperationEdit, SourceTree, WrapEdit, apply, comments_in
from apicache_codemods.rewriting.generalise import free_name
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.names import assignment_parts, only_binding, top_level_assignments
from apicache_codemods.rewriting.operations_module import CACHE_NAME, OperationsModule
from apicache_codemods.rewriting.placing import Import, with_imports
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.unused import names_loaded, without_unused

RUNTIME: Final = "apicache"


@dataclass(slots=True)
class ModuleEdits:
    """One file's edits in the making."""

    module: Module
    tree: SourceTree
    edits: FileEdits = field(default_factory=FileEdits)
    imports: dict[Import, None] = field(default_factory=dict)
    homes: dict[str, cst.BaseStatement] = field(default_factory=dict)
    """The assignments of clients that were taken away, by name."""
    moved: dict[str, tuple[OperationsModule, str]] = field(default_factory=dict)
    """Clients assigned here that moved: name -> (operations module, name there)."""

    def wrap(self, subject: Subject, candidates: Candidates) -> None:
        """Make the call through `cached_api_call`."""
        name = "cached_api_call" if subject.site.is_async else "cached_api_call_sync"
        function = self.imported(Import(RUNTIME, name))
        located = candidates.located(subject)
        first = min((value.col_offset for value in subject.arguments.values()), default=0)
        self.edits.calls.append(WrapEdit(located.call, function, subject.site.column + _tail(subject), first))

    def operate(
        self,
        candidate: Candidate,
        operations: OperationsModule,
        name: str,
        arguments: Iterable[tuple[str, cst.BaseExpression]],
        *,
        returns_json: bool,
    ) -> None:
        """Make the call one of an operation."""
        cache = self.imported(Import(operations.import_name, CACHE_NAME))
        method = "cached_api_call" if candidate.subject.site.is_async else "cached_api_call_sync"
        column = candidate.subject.site.column + _tail(candidate.subject)
        decoding = candidate.decoding if returns_json else None
        if decoding is not None:
            self.edits.collapsed[decoding.statement] = decoding.follower
            column = _statement_column(candidate.subject) + len("return await ")
        call = candidate.located.call
        self.edits.calls.append(OperationEdit(call, f"{cache}.{method}", name, tuple(arguments), column))
        comments = comments_in(call)
        if comments and candidate.line is not None:
            self.edits.comments.setdefault(candidate.line, []).extend(comments)

    def unwrap(self, candidate: Candidate) -> None:
        """Take away the `with` around the call."""
        statement = with_node(candidate)
        if statement is not None:
            self.edits.unwrapped.add(statement)

    def move(self, home: Home, operations: OperationsModule, name: str) -> None:
        """Take away the assignment of a client that moved."""
        self.drop_if_unused(home)
        self.moved[home.name] = (operations, name)

    def drop_if_unused(self, home: Home) -> None:
        """Take away the assignment of a client; `keep` puts it back."""
        for statement in top_level_assignments(self.tree.module):
            if assignment_parts(statement)[0] == home.name:
                self.edits.dropped.add(statement)
                self.homes[home.name] = statement

    def keep(self, wanted: Collection[str]) -> bool:
        """Put back the assignments of clients that did not move and that somebody still looks for here."""
        kept = {name for name in wanted if name in self.homes and name not in self.moved}
        self.edits.dropped -= {self.homes[name] for name in kept}
        return bool(kept)

    def imported(self, wanted: Import) -> str:
        """The name by which this module has, or will have, what `wanted` imports."""
        for name, bindings in self.module.scope.bindings.items():
            source = bindings[0].source
            if isinstance(source, Imported) and only_binding(self.module, name) is not None:
                same = source.module == wanted.module and source.level == 0 and source.name == wanted.name
                if same and name not in self._bound_inside:
                    return name
        if wanted.bound not in self._bound:
            self.imports[wanted] = None
            return wanted.bound
        alias = free_name(f"{RUNTIME}_{wanted.bound}", self._bound)
        self.imports[Import(wanted.module, wanted.name, alias)] = None
        return alias

    @property
    def _bound(self) -> set[str]:
        return {*self.module.scope.bindings, *self._bound_inside}

    @property
    def _bound_inside(self) -> set[str]:
        """The names that functions, classes and comprehensions of the module bind."""
        top = self.module.scope
        return {name for scope in top.descendants() for name in scope.bindings}


def edited(work: ModuleEdits, mentions: Mentions) -> cst.Module:
    """The module after its edits, without the imports that they made unused; new imports are still missing."""
    module = apply(work.tree, work.edits)
    if work.module.is_package:
        return module
    lost = names_loaded(work.tree.module.code) - names_loaded(module.code)
    return without_unused(module, {name for name in lost if not mentions.elsewhere(work.module, name)})


def finished(
    work: ModuleEdits,
    module: cst.Module,
    needed: Mapping[str, tuple[OperationsModule, str]],
    own_packages: frozenset[str],
    late: Collection[str],
) -> bytes:
    """The file's bytes with its new imports; `needed` are the moved clients that somebody still looks for here.

    Modules of `late` are imported after all others.
    """
    imports = list(work.imports)
    for name, (operations, there) in needed.items():
        imports.append(Import(operations.import_name, there, None if there == name else name))
    body = with_imports(module.body, imports, len(module.body), own_packages, late)
    return module.with_changes(body=body).bytes


def _tail(subject: Subject) -> int:
    """How many characters follow the call on its last line."""
    site = subject.site
    if site.end_line != site.line:
        return 0
    return len(subject.module.lines[site.line - 1]) - site.end_column


def _statement_column(subject: Subject) -> int:
    statement = next((node for node in subject.around if isinstance(node, ast.stmt)), None)
    return statement.col_offset if statement is not None else 0
