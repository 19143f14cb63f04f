"""What is to be done to one file, and doing it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import libcst as cst

from apicache_codemods.bindings import Imported
from apicache_codemods.reverting.uses import Uses
from apicache_codemods.rewriting.edits import SourceTree
from apicache_codemods.rewriting.generalise import free_name
from apicache_codemods.rewriting.names import assignment_parts, only_binding
from apicache_codemods.rewriting.placing import Import, imported_parts, with_imports
from apicache_codemods.rewriting.unused import names_loaded, without_unused

Made = Callable[[cst.Call], cst.BaseExpression]


@dataclass
class Opening:
    """The `with` that a statement goes into."""

    make: Callable[[cst.Call], cst.With]
    call: cst.Call


@dataclass
class FileWork:
    """One file's edits in the making."""

    uses: Uses
    tree: SourceTree
    calls: dict[cst.Call, Made] = field(default_factory=dict)
    awaits: dict[cst.Await, tuple[cst.Call, Made]] = field(default_factory=dict)
    openings: dict[cst.SimpleStatementLine, Opening] = field(default_factory=dict)
    decorators: set[cst.Decorator] = field(default_factory=set)
    dropped: set[cst.CSTNode] = field(default_factory=set)
    assigned: dict[str, str] = field(default_factory=dict)
    """Assignments to put below the imports: name -> source, comments above it included."""
    imports: dict[Import, None] = field(default_factory=dict)
    handled: set[object] = field(default_factory=set)
    """The uses that go."""

    def imported(self, wanted: Import) -> str:
        """The name by which the module has, or will have, what `wanted` imports."""
        module = self.uses.module
        for name, bindings in module.scope.bindings.items():
            source = bindings[0].source
            if isinstance(source, Imported) and only_binding(module, name) is not None:
                same = source.module == wanted.module and source.level == 0 and source.name == wanted.name
                if same and name not in self.uses.bound_inside:
                    return name
        for known in self.imports:
            if (known.module, known.name) == (wanted.module, wanted.name):
                return known.bound
        made = wanted
        if wanted.bound in self.taken:
            made = Import(wanted.module, wanted.name, free_name(wanted.bound, self.taken))
        self.imports[made] = None
        return made.bound

    @property
    def taken(self) -> set[str]:
        """Every name that the module binds, or will."""
        return {*self.uses.bound, *self.assigned, *(each.bound for each in self.imports)}

    def edited(self) -> cst.Module:
        """The module after its edits; unused imports are gone, new ones still missing."""
        module = cst.ensure_type(self.tree.module.visit(_Editor(self)), cst.Module)
        lost = names_loaded(self.tree.module.code) - names_loaded(module.code)
        return module if self.uses.module.is_package else without_unused(module, lost)

    def finished(self, module: cst.Module, own_packages: frozenset[str]) -> bytes:
        """The file's bytes, with new imports and the assignments that came here."""
        body = with_imports(module.body, [*self.imports], len(module.body), own_packages)
        if self.assigned:
            body = _with_assignments(body, self.assigned)
        return module.with_changes(body=body).bytes


def _with_assignments(body: Iterable[cst.BaseStatement], assigned: Mapping[str, str]) -> list[cst.BaseStatement]:
    statements = list(body)
    place = 0
    for index, statement in enumerate(statements):
        if imported_parts(statement):
            place = index + 1
        elif not isinstance(statement, cst.SimpleStatementLine | cst.If | cst.Try):
            break
    lines = [statement for code in assigned.values() for statement in _parsed(code)]
    lines[0] = lines[0].with_changes(leading_lines=[cst.EmptyLine(indent=False), *lines[0].leading_lines])
    return [*statements[:place], *lines, *statements[place:]]


def _parsed(code: str) -> list[cst.SimpleStatementLine]:
    """The statements of a source, the comments at its top with the first of them."""
    module = cst.parse_module(code)
    lines = [cst.ensure_type(statement, cst.SimpleStatementLine) for statement in module.body]
    lines[0] = lines[0].with_changes(leading_lines=[*module.header, *lines[0].leading_lines])
    return lines


class _Editor(cst.CSTTransformer):
    def __init__(self, work: FileWork) -> None:
        super().__init__()
        self._work = work
        self._updated: dict[cst.Call, cst.Call] = {}

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802 - LibCST
        self._updated[original_node] = updated_node
        make = self._work.calls.get(original_node)
        if make is None:
            return updated_node
        made = make(updated_node)
        return made if not updated_node.lpar else made.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def leave_Await(self, original_node: cst.Await, updated_node: cst.Await) -> cst.BaseExpression:  # noqa: N802 - LibCST
        found = self._work.awaits.get(original_node)
        if found is None:
            return updated_node
        call, make = found
        made = make(self._updated[call])
        return made if not updated_node.lpar else made.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def leave_Decorator(  # noqa: N802 - LibCST
        self, original_node: cst.Decorator, updated_node: cst.Decorator
    ) -> cst.Decorator | cst.RemovalSentinel:
        return cst.RemoveFromParent() if original_node in self._work.decorators else updated_node

    def leave_FunctionDef(  # noqa: N802 - LibCST
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.RemovalSentinel:
        if original_node in self._work.dropped:
            return cst.RemoveFromParent()
        gone = [each for each in original_node.decorators if each in self._work.decorators]
        comments = [line for each in gone for line in each.leading_lines if line.comment is not None]
        if comments and not updated_node.decorators:
            return updated_node.with_changes(lines_after_decorators=[*comments, *updated_node.lines_after_decorators])
        return updated_node

    def leave_SimpleStatementLine(  # noqa: N802 - LibCST
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.RemovalSentinel:
        if original_node in self._work.dropped:
            return cst.RemoveFromParent()
        opening = self._work.openings.get(original_node)
        if opening is None:
            return updated_node
        around = opening.make(self._updated[opening.call])
        inner = updated_node.with_changes(leading_lines=[])
        return around.with_changes(leading_lines=updated_node.leading_lines, body=cst.IndentedBlock(body=[inner]))


def assignment_of(tree: SourceTree, name: str) -> cst.SimpleStatementLine | None:
    """The top-level line that assigns a name and nothing else."""
    for statement in tree.module.body:
        if isinstance(statement, cst.SimpleStatementLine) and assignment_parts(statement)[0] == name:
            return statement
    return None
