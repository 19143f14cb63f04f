"""Who imports an operations module, and what importing it then runs that would not have run otherwise, or not yet.

An operations module is shared. What it imports or builds for one site is imported and built for every other one too,
with all that it may fail for, and at their time. So it may need only what all of them import anyway.
"""

import ast
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, cached_property

from apicache_codemods.bindings import Imported
from apicache_codemods.detector import load_detectors
from apicache_codemods.project import Module, Project
from apicache_codemods.rewriting.candidates import Candidate
from apicache_codemods.rewriting.dependencies import imported_by, imported_directly
from apicache_codemods.rewriting.library import library_named
from apicache_codemods.rewriting.mentions import stem_of
from apicache_codemods.rewriting.subject import FUNCTIONS


class Importers:
    """The modules that import operations modules. Sites of one `group` share one; `existing` are those there are."""

    def __init__(self, project: Project, existing: Sequence[Module], group: Callable[[Module], Hashable]) -> None:
        self._project = project
        self._existing = existing
        self._group = group
        self._imported: dict[str, frozenset[str]] = {}
        self._acting: dict[str, bool] = {}

    def imports(self, location: str) -> frozenset[str]:
        """The locations of what is imported once the module at `location` is."""
        if location not in self._imported:
            self._imported[location] = imported_by(location, "", self._project)
        return self._imported[location]

    def lacking(self, candidates: Iterable[Candidate]) -> dict[Candidate, str]:
        """Candidates that cannot stay together with the others, and why: as few as will do for one module.

        Either the operations that need a module go, or the sites of modules that do not import it.
        """
        groups: dict[Hashable, list[Candidate]] = {}
        for candidate in candidates:
            groups.setdefault(self._group(candidate.subject.module), []).append(candidate)
        found: dict[Candidate, str] = {}
        for group, members in groups.items():
            if any(member.needs for member in members):
                found |= self._lacking(members, self._present.get(group, set()))
        return found

    def _lacking(self, members: Sequence[Candidate], present: AbstractSet[str]) -> dict[Candidate, str]:
        own = {module.location for module in self._existing}
        choices = []
        for location in sorted({need for member in members for need in member.needs} - own):
            users = {*present, *(member.subject.module.location for member in members)}
            without = sorted(user for user in users if self._would_run_more(user, location))
            if not without:
                continue
            needing = [member for member in members if location in member.needs]
            others = [member for member in members if member.subject.module.location in without]
            place = self._path(location)
            reason = f"its operation would need {place}, which {self._path(without[0])} does not import"
            choices.append(dict.fromkeys(needing, reason))
            if present.isdisjoint(without):
                choices.append(
                    dict.fromkeys(others, f"other operations need {place}, which its module does not import")
                )
        return min(choices, key=len, default={})

    def _would_run_more(self, user: str, location: str) -> bool:
        """Whether importing the module at `location` runs what importing `user` does not, and what may act or fail."""
        if self._reaches(user, location):
            return False
        return any(self._acts(each) for each in self.imports(location) - self.imports(user))

    def _acts(self, location: str) -> bool:
        """Whether importing a module does more than to define and to import: it calls, or reads the environment."""
        if location not in self._acting:
            module = self._project.module(location)
            nodes = _at_import(module.tree) if module is not None else ()
            self._acting[location] = any(isinstance(node, ast.Call | ast.Subscript | ast.Await) for node in nodes)
        return self._acting[location]

    def all_import(self, location: str, users: Collection[str]) -> bool:
        """Whether every one of the modules at `users` imports the one at `location`."""
        return all(self._reaches(user, location) for user in users)

    def _reaches(self, user: str, location: str) -> bool:
        is_near = user == location or location in imported_directly(user, self._project)
        return is_near or location in self.imports(user)

    def refusal(self, module: Module) -> str | None:
        """Why a module must not come to import the operations module of its group: it could not be imported then."""
        for operations in self._existing:
            if self._group(operations) != self._group(module) or self._reaches(module.location, operations.location):
                continue
            imported = self.imports(module.location)
            for location in sorted(self.imports(operations.location) - imported):
                needed = self._project.module(location)
                if needed is not None and _needs_environment(needed):
                    return f"{needed.path}, which its operations module runs, cannot be imported without a key"
        return None

    def _path(self, location: str) -> str:
        module = self._project.module(location)
        return module.path if module is not None else location

    @cached_property
    def _present(self) -> Mapping[Hashable, set[str]]:
        """Who imports the operations modules that there are, by group."""
        found: dict[Hashable, set[str]] = {}
        for operations in self._existing:
            stem = stem_of(operations)
            for location, source in self._project.sources.items():
                named = location != operations.location and stem in source.text
                if named and operations.location in imported_directly(location, self._project):
                    found.setdefault(self._group(operations), set()).add(location)
        return found


def _needs_environment(module: Module) -> bool:
    """Whether importing a module fails without some environment variable: `os.environ["KEY"]`, `OpenAI()`."""
    return any(_fails_without(node, module) for node in _at_import(module.tree))


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def _fails_without(node: ast.AST, module: Module) -> bool:
    match node:
        case ast.Subscript(value=read, ctx=ast.Load()):
            return _qualified(read, module) == "os.environ"
        case ast.Call(func=function, keywords=keywords):
            given = {keyword.arg for keyword in keywords}
            return "api_key" not in given and _qualified(function, module) in _keyed_classes()
        case _:
            return False


def _qualified(node: ast.expr, module: Module) -> str | None:
    """The qualified name of what an expression at the top level reads of a library; None when it is something else."""
    root, *rest = ast.unparse(node).split(".")
    source = next((binding.source for binding in module.scope.bindings.get(root, ())), None)
    if not isinstance(source, Imported):
        return None
    return ".".join([source.module, *((source.name,) if source.name else ()), *rest])


@cache
def _keyed_classes() -> frozenset[str]:
    """The client classes that cannot be made without a key, by their qualified names."""
    libraries = (library_named(name) for name in load_detectors())
    keyed = (library.clients or () for library in libraries if "api_key" in library.environment)
    return frozenset(name for clients in keyed for name in clients)
