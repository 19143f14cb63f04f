"""Where imported names lead: members of the project's modules, re-exports and star imports followed."""

from collections.abc import Container

from apicache_codemods.bindings import Imported
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.project import Project
from apicache_codemods.scopes import Scope, final
from apicache_codemods.values import External, ProjectModule, Values


class Imports:
    """Looks names up in the modules that `enters` names, by location; what lies in others is unknown."""

    def __init__(self, evaluator: Evaluator, project: Project, enters: Container[str]) -> None:
        self._evaluator = evaluator
        self._project = project
        self._enters = enters
        self._active: set[tuple[str, str]] = set()

    def member(self, location: str, name: str) -> Values:
        """What a name of a project module is worth; empty when the module has no such name."""
        key = (location, name)
        if key in self._active:
            self._evaluator.doubt()
            return ()
        self._active.add(key)
        try:
            return self._member(location, name)
        finally:
            self._active.discard(key)

    def _member(self, location: str, name: str) -> Values:
        module = self._project.module(location) if location in self._enters else None
        if module is None:
            self._evaluator.doubt()
        if module is not None and name in module.scope.bindings:
            found = united(*(self._evaluator.bound(binding) for binding in final(name, module.scope)))
            if found:
                return found
        inner = f"{location}/{name}"
        if self._project.exists(inner):
            return (ProjectModule(inner),)
        return self.starred(module.scope, name) if module is not None else ()

    def starred(self, scope: Scope, name: str) -> Values:
        """What a name that nothing binds is worth when a star import brings it."""
        for star in scope.names.stars:
            origin = self._project.find(star.module, star.level, scope.owner)
            if origin is not None:
                found = self.member(origin, name)
                if found:
                    return found
            elif self._project.is_library(star.module):
                return (External(f"{star.module}.{name}"),)
        return ()

    def imported(self, imported: Imported, scope: Scope) -> Values:
        """What an import binds."""
        location = self._project.find(imported.module, imported.level, scope.owner)
        if imported.name is None:
            return (ProjectModule(location),) if location is not None else (External(imported.module),)
        if location is None or self._is_library(imported):
            return (External(f"{imported.module}.{imported.name}"),)
        return self.member(location, imported.name)

    def _is_library(self, imported: Imported) -> bool:
        """Whether a member of a package is a library's module: `from google import genai`."""
        return not imported.level and self._project.is_library(f"{imported.module}.{imported.name}")
