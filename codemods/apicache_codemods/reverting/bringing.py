"""How the site's module gets what an operation's body reads in its own module: imports, and clients that move back."""

import ast
import builtins
from collections.abc import Collection
from dataclasses import dataclass, field

import libcst as cst

from apicache_codemods.bindings import Assigned, Defined, Imported
from apicache_codemods.project import Module
from apicache_codemods.reverting.file_work import FileWork, assignment_of
from apicache_codemods.reverting.inlining import CannotInlineError, ValueNames, names_in
from apicache_codemods.reverting.uses import Uses
from apicache_codemods.rewriting.generalise import free_name
from apicache_codemods.rewriting.layout import Layout
from apicache_codemods.rewriting.names import assignment_parts, only_binding
from apicache_codemods.rewriting.placing import Import
from apicache_codemods.rewriting.terms import code_of

_PER_EVENT_LOOP = "per_event_loop"


@dataclass
class Bringing:
    """What the inlined bodies read of operations modules, and by what name each site's module has it.

    `needs` is filled while sites are looked at; `settle` decides what moves; `name` answers while files are written.
    """

    layout: Layout
    works: dict[str, FileWork]
    needs: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """The locations of the modules that need a name of the module at a location."""
    settled: dict[tuple[str, str, str], cst.BaseExpression] = field(default_factory=dict)
    moved: set[tuple[str, str]] = field(default_factory=set)

    def need(self, name: str, origin: Module, site: FileWork, own: Collection[str] = ()) -> None:
        """Note that the body of an operation reads a name; raises CannotInlineError for one that means no one thing."""
        if name in own:
            return
        if name not in origin.scope.bindings:
            if not hasattr(builtins, name) or name in site.uses.bound:
                raise CannotInlineError(f"{name} means something else there")
            return
        binding = only_binding(origin, name)
        if binding is None:
            raise CannotInlineError(f"{name} is bound more than once in {origin.path}")
        source = binding.source
        if isinstance(source, Imported) and (source.level or _is_deep(name, origin)):
            raise CannotInlineError(f"{origin.path} imports {name} in a way that only means something there")
        if not isinstance(source, Imported | Assigned | Defined):
            raise CannotInlineError(f"{name} cannot be imported from {origin.path}")
        if self._is_factory(name, origin) and factory_value(self._tree_work(origin), name) is None:
            raise CannotInlineError(f"{name} gives a client by a function of its own")
        self.needs.setdefault((origin.location, name), set()).add(site.uses.module.location)

    def _tree_work(self, origin: Module) -> FileWork:
        return self.works[origin.location]

    def _is_factory(self, name: str, origin: Module) -> bool:
        return is_factory(self._tree_work(origin).uses, name)

    def settle(self, movable: Collection[tuple[str, str]]) -> None:
        """Decide how everything needed comes to the sites; `movable` are names that nobody else needs."""
        for (location, name), sites in self.needs.items():
            origin = self.works[location]
            for site in sorted(sites):
                self.settled[location, name, site] = self._brought(
                    name, origin, self.works[site], moves=(location, name) in movable and len(sites) == 1
                )

    def _brought(self, name: str, origin: FileWork, site: FileWork, *, moves: bool) -> cst.BaseExpression:
        if origin is site:
            return cst.Name(name)
        binding = only_binding(origin.uses.module, name)
        source = binding.source if binding is not None else None
        if isinstance(source, Imported):
            return self._imported(source, name, origin, site)
        made = factory_value(origin, name)
        if made is not None:
            return self._assigned(name, made, origin, site)
        statement = assignment_of(origin.tree, name)
        value = assignment_parts(statement)[1] if statement is not None else None
        if moves and value is not None and self._is_plain(value, origin):
            self.moved.add((origin.uses.module.location, name))
            return self._assigned(name, value, origin, site, statement)
        return cst.Name(site.imported(Import(self.layout.import_name(origin.uses.module), name)))

    def _imported(self, source: Imported, name: str, origin: FileWork, site: FileWork) -> cst.BaseExpression:
        found = origin.uses.project.find(source.module, source.level, origin.uses.module.location)
        own = site.uses.module
        if found == own.location and source.name is not None and source.name not in site.uses.bound_inside:
            return cst.Name(source.name)
        alias = None if name == (source.name or source.module) else name
        return cst.Name(site.imported(Import(source.module, source.name, alias)))

    def _assigned(
        self,
        name: str,
        value: cst.BaseExpression,
        origin: FileWork,
        site: FileWork,
        statement: cst.SimpleStatementLine | None = None,
    ) -> cst.BaseExpression:
        """Assign the value in the site's module, its own names brought along, and the comments above `statement`."""
        changed = value.visit(_Renamer(self, origin, site))
        free = free_name(name, site.taken)
        lines = statement.leading_lines if statement is not None else ()
        comments = "".join(f"{line.comment.value}\n" for line in lines if line.comment is not None)
        if isinstance(changed, cst.BaseExpression):
            site.assigned[free] = f"{comments}{free} = {code_of(changed)}\n"
        return cst.Name(free)

    def _is_plain(self, value: cst.BaseExpression, origin: FileWork) -> bool:
        """Whether a value reads nothing but imports and builtins."""
        module = origin.uses.module
        for name in names_in(value):
            binding = only_binding(module, name)
            if name not in module.scope.bindings:
                continue
            if binding is None or not isinstance(binding.source, Imported) or binding.source.level:
                return False
            if _is_deep(name, module):
                return False
        return True

    def bring(self, name: str, origin: FileWork, site: FileWork) -> cst.BaseExpression:
        """What the site's module calls a name of the operations module."""
        known = self.settled.get((origin.uses.module.location, name, site.uses.module.location))
        if known is not None:
            return known
        if name not in origin.uses.module.scope.bindings:
            return cst.Name(name)
        return self._brought(name, origin, site, moves=False)


class _Renamer(ValueNames):
    def __init__(self, bringing: Bringing, origin: FileWork, site: FileWork) -> None:
        super().__init__()
        self._bringing = bringing
        self._origin = origin
        self._site = site

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:  # noqa: N802 - LibCST
        del updated_node
        return self._bringing.bring(original_node.value, self._origin, self._site)


def is_factory(uses: Uses, name: str) -> bool:
    """Whether a name is assigned `per_event_loop(...)`."""
    binding = only_binding(uses.module, name)
    source = binding.source if binding is not None else None
    if not isinstance(source, Assigned) or not isinstance(source.value, ast.Call):
        return False
    use = uses.of(source.value.func)
    return use is not None and use.meaning == _PER_EVENT_LOOP


def factory_value(origin: FileWork, name: str) -> cst.BaseExpression | None:
    """What `name = per_event_loop(...)` makes for each event loop; None for any other assignment."""
    if not is_factory(origin.uses, name):
        return None
    statement = assignment_of(origin.tree, name)
    value = assignment_parts(statement)[1] if statement is not None else None
    if not isinstance(value, cst.Call) or len(value.args) != 1:
        return None
    maker = value.args[0].value
    if isinstance(maker, cst.Lambda):
        return maker.body
    return cst.Call(func=maker) if isinstance(maker, cst.Name | cst.Attribute) else None


def _is_deep(name: str, module: Module) -> bool:
    """Whether `import name.something` binds the name: the import is of more than the name says."""
    return any(
        isinstance(statement, ast.Import)
        and any(alias.asname is None and alias.name.startswith(f"{name}.") for alias in statement.names)
        for statement in module.tree.body
    )
