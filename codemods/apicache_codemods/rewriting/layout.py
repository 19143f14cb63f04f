"""Where modules lie, what they are imported by, and where the operations module of some sites belongs."""

import itertools
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from apicache.errors import InputError
from apicache_codemods.project import Module, Project

DEFAULT_NAME: Final = "api_operations.py"


def _names() -> Iterator[str]:
    yield DEFAULT_NAME
    yield from (f"api_operations_{number}.py" for number in itertools.count(2))


class Layout:
    """The import names of a project's modules.

    A module is imported from the folder above its outermost package; a folder without `__init__.py` is a package too
    when some module of the project imports it as one.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._bases: dict[str, str] = {}

    def base(self, module: Module) -> str:
        """The folder that the module's import name starts below."""
        folder = posixpath.dirname(module.source.absolute)
        if folder not in self._bases:
            base = folder
            while Path(base, "__init__.py").exists():
                base = posixpath.dirname(base)
            self._bases[folder] = self._imported_base(base)
        return self._bases[folder]

    def _imported_base(self, folder: str) -> str:
        """The folder, or the one above it when some module imports the folder as a package without `__init__.py`."""
        name = posixpath.basename(folder)
        imported = re.compile(rf"^\s*(?:from|import)\s+{re.escape(name)}\b", re.MULTILINE)
        for location, source in self._project.sources.items():
            if imported.search(source.text) and self._project.find(name, 0, location) == folder:
                return posixpath.dirname(folder)
        return folder

    def import_name(self, module: Module) -> str:
        """The dotted name the module is imported by."""
        return self.name_of(module.location, self.base(module))

    def name_of(self, location: str, base: str) -> str:
        """The dotted name of a location below `base`."""
        return posixpath.relpath(location, base).replace("/", ".")

    def unit(self, module: Module) -> tuple[str, str]:
        """What can share an operations module: the base folder and the outermost package in it, empty for scripts."""
        base = self.base(module)
        parts = PurePosixPath(posixpath.relpath(module.source.absolute, base)).parts
        return (base, parts[0] if len(parts) > 1 else "")

    def default_place(self, modules: Sequence[Module], is_free: Callable[[str], bool]) -> str:
        """The absolute path of a new operations module for sites in these modules, which are of one unit.

        It lies in the folder of their common package; `is_free` says whether a path may be taken.
        """
        common = posixpath.commonpath({posixpath.dirname(module.source.absolute) for module in modules})
        return next(place for place in (posixpath.join(common, name) for name in _names()) if is_free(place))

    def own_packages(self, base: str) -> frozenset[str]:
        """The names that modules below `base` import each other by."""
        try:
            entries = [entry.name for entry in Path(base).iterdir()]
        except OSError:
            return frozenset()
        return frozenset(name.removesuffix(".py") for name in entries if name.removesuffix(".py").isidentifier())

    def import_name_of_place(self, place: str, base: str) -> str:
        """The dotted name by which sites below `base` import the operations module at the absolute path `place`.

        Raises InputError when it lies outside of `base`, so that the sites could not import it.
        """
        relative = posixpath.relpath(place, base)
        if relative.startswith(".."):
            raise InputError(
                f"the operations module {place} cannot be imported by modules below {base}; choose a place there"
            )
        name = relative.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if not all(part.isidentifier() for part in name.split(".")):
            raise InputError(f"{relative} cannot be imported: {name!r} is not a module name")
        return name
