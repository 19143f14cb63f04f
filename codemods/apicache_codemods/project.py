"""The scanned project: its modules, parsed when first asked for, and where its imports lead.

A module is known by its *location*: the absolute path without `.py` or `/__init__.py`, so `app/clients.py` and
`app/clients/__init__.py` both lie at `app/clients`.
"""

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from apicache_codemods.files import SourceFile
from apicache_codemods.model import SkippedFile
from apicache_codemods.scopes import Scope, Traits
from apicache_codemods.syntax import parse

_WALRUS = re.compile(":=")
_LINE_END = re.compile("\n")
_PACKAGE = "/__init__"


class Module:
    """One parsed file: its text, its tree, the scope of its top level."""

    def __init__(self, source: SourceFile, location: str, tree: ast.Module) -> None:
        self.source = source
        self.location = location
        self.tree = tree

    @property
    def path(self) -> str:
        """The path as reports name it."""
        return self.source.path

    @property
    def is_package(self) -> bool:
        """Whether the file is a package's `__init__.py`."""
        return self.source.absolute.endswith(f"{_PACKAGE}.py")

    @cached_property
    def scope(self) -> Scope:
        """The scope of the module's top level."""
        text = self.source.text
        traits = Traits(
            walrus_lines=lines_with(_WALRUS, text), moves_global="global " in text, moves_nonlocal="nonlocal " in text
        )
        return Scope(self.tree, None, owner=self.location, traits=traits)

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines as `ast` numbers them: only a line feed ends one."""
        return self.source.text.split("\n")

    @cached_property
    def _line_starts(self) -> list[int]:
        """Where each line begins in the text, and where the last one ends."""
        return [0, *(match.end() for match in _LINE_END.finditer(self.source.text)), len(self.source.text)]

    def text_of(self, statement: ast.stmt) -> str:
        """The lines a statement stands on."""
        starts = self._line_starts
        return self.source.text[starts[statement.lineno - 1] : starts[statement.end_lineno or statement.lineno]]

    def column(self, line: int, offset: int) -> int:
        """The column in characters of a UTF-8 byte `offset` in a 1-based `line`."""
        text = self.lines[line - 1]
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace"))

    def segment(self, node: ast.expr) -> str:
        """An expression as written, on one line."""
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            start, end = (self.column(node.lineno, offset) for offset in (node.col_offset, node.end_col_offset))
            return self.lines[node.lineno - 1][start:end]
        return ast.unparse(node)


class Project:
    """The modules of a scan. `libraries` are import names that always mean the library, never a file of the project.

    Of those that are `common` words, only the ones that no file or folder of the project is called.
    """

    def __init__(self, sources: Iterable[SourceFile], libraries: Iterable[str], common: Iterable[str] = ()) -> None:
        self.sources: Mapping[str, SourceFile] = {_location(source.absolute): source for source in sources}
        own = {word for word in common if any(f"/{word}/" in f"{location}/" for location in self.sources)}
        self.libraries = frozenset(libraries) - own
        self._tops = frozenset(library.partition(".")[0] for library in self.libraries)
        self._above = frozenset(above for library in self.libraries for above in _above(library))
        self.failed: dict[str, SkippedFile] = {}
        self._modules: dict[str, Module | None] = {}
        self._folders = {folder for location in self.sources for folder in _parents(location)}
        self._packages = {loc for loc, source in self.sources.items() if source.absolute.endswith(f"{_PACKAGE}.py")}
        self._search: dict[str, tuple[str, ...]] = {}
        self._found: dict[tuple[str, str], str | None] = {}

    def module(self, location: str) -> Module | None:
        """The module at a location; None for a folder without one and for a file that does not parse."""
        if location not in self._modules:
            self._modules[location] = self._parse(location)
        return self._modules[location]

    def _parse(self, location: str) -> Module | None:
        source = self.sources.get(location)
        if source is None:
            return None
        tree = parse(source.text, source.path)
        if isinstance(tree, SkippedFile):
            self.failed[location] = tree
            return None
        return Module(source, location, tree)

    def is_package(self, location: str) -> bool:
        """Whether the module at a location is a package's `__init__.py`."""
        return location in self._packages

    def exists(self, location: str) -> bool:
        """Whether the project has a module or a folder of modules at this location."""
        return location in self.sources or location in self._folders

    def is_library(self, dotted: str) -> bool:
        """Whether a dotted name is a client library's module or lies below one."""
        if dotted.partition(".")[0] not in self._tops:
            return False
        return dotted in self.libraries or not self.libraries.isdisjoint(_above(dotted))

    def may_hold_library(self, dotted: str) -> bool:
        """Whether a dotted name is a client library's module, lies below one or above one: `google`."""
        return dotted in self._above or self.is_library(dotted)

    def find(self, dotted: str, level: int, importer: str) -> str | None:
        """The location that an import in the module at `importer` leads to; None for one outside the project.

        Absolute names are looked up like `sys.path` would: in the folder that holds the importer's outermost package,
        then in the folders above it, and in a `src` folder beside each.
        """
        if level:
            base = importer if self.is_package(importer) else importer.rpartition("/")[0]
            for _ in range(level - 1):
                base = posixpath.dirname(base)
            location = posixpath.join(base, *dotted.split(".")) if dotted else base
            return location if self.exists(location) else None
        folder = importer.rpartition("/")[0]
        key = (folder, dotted)
        if key not in self._found:
            found = None if self.is_library(dotted) else self._find_absolute(folder, dotted.partition(".")[0], dotted)
            self._found[key] = found
        return self._found[key]

    def _find_absolute(self, folder: str, top: str, dotted: str) -> str | None:
        for base in self._search_path(folder):
            if self.exists(posixpath.join(base, top)):
                location = posixpath.join(base, *dotted.split("."))
                if self.exists(location):
                    return location
        return None

    def _search_path(self, folder: str) -> tuple[str, ...]:
        if folder not in self._search:
            base = folder
            while base in self._packages:
                base = posixpath.dirname(base)
            bases = [base, *_parents(base)]
            self._search[folder] = tuple(each for base in bases for each in (base, posixpath.join(base, "src")))
        return self._search[folder]


def lines_with(pattern: re.Pattern[str], text: str) -> tuple[int, ...]:
    """The 1-based lines on which a match of the pattern begins."""
    lines: dict[int, None] = {}
    line, start = 1, 0
    for hit in pattern.finditer(text):
        line += text.count("\n", start, hit.start())
        start = hit.start()
        lines[line] = None
    return tuple(lines)


def _location(absolute: str) -> str:
    return absolute.removesuffix(".py").removesuffix(_PACKAGE)


def _above(dotted: str) -> Iterator[str]:
    while "." in dotted:
        dotted = dotted.rpartition(".")[0]
        yield dotted


def _parents(location: str) -> Iterator[str]:
    parent = posixpath.dirname(location)
    while parent != location:
        yield parent
        location, parent = parent, posixpath.dirname(parent)
