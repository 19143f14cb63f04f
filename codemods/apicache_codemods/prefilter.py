"""Which files can hold call sites at all, told from their text, so that the others are never parsed into trees.

A file matters when it imports a client library to make calls, or a name of the project through which a client is
reached: a module that imports a shared client never names the library. Import statements are read by regular
expressions; prose that looks like one costs a needless parse, never a missed file.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Self, TypeAlias

import msgspec

from apicache_codemods.detector import Catalogue
from apicache_codemods.project import Project

# Both begin with a literal word: the regular expression engine then skips through the text ten times as fast.
_LIST = r"(\((?:[^)#]|#[^\n]*)*\)|(?:[^\n#;\\]|\\\n)*)"
_FROM = re.compile(rf"from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]*{_LIST}")
_IMPORT = re.compile(rf"import[ \t]+{_LIST}")
_NAME = re.compile(r"([\w.]+|\*)(?:\s+as\s+(\w+))?")
_ATTRIBUTE = re.compile(r"\.(\w+)")
_ASSIGNED = re.compile(r"^\w[^=\n]*=([^\n]*)", re.MULTILINE)
_DERIVED = re.compile(r"^class\s+\w+\(([^)]*)\)", re.MULTILINE)
_CALLED = re.compile(r"(\w+)\s*\(")
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"#[^\n]*")

Handles: TypeAlias = frozenset[str]
"""Attributes, methods and chains of two (`api.client`) by which a name leads to a client; none if it does so itself."""
Carried: TypeAlias = Mapping[str, Handles]
"""Names that lead to a client, with their handles."""

DIRECT: Handles = frozenset()


class ImportRow(msgspec.Struct, frozen=True):
    """One import as written, in the module at `importer`.

    `members` are (name, name it is bound to) taken from the module at `dotted`, `level` packages up; empty for
    `import dotted as alias`. `top` tells whether it stands at the left margin, where it binds a name of the module.
    """

    importer: str
    level: int
    dotted: str
    members: tuple[tuple[str, str], ...]
    alias: str
    top: bool

    def taken(self, carried: Carried) -> dict[str, Handles]:
        """What the import binds of the `carried` names of the module it imports from."""
        taken: dict[str, Handles] = {}
        for name, alias in self.members:
            if name == "*":
                taken |= carried
            elif name in carried:
                taken[alias] = carried[name]
        return taken

    def takes(self, name: str) -> bool:
        """Whether the import takes `name` from its module."""
        return any(member == name for member, _ in self.members)


class Importer(msgspec.Struct, frozen=True):
    """A file that imports names through which a client is reached: all it binds, and what it hands on at its top."""

    location: str
    bound: Carried
    handed_on: Carried


class Prefilter:
    """The import statements of a project's files, by the words they name."""

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        self._project = project
        self._catalogue = catalogue
        self._by_word: dict[str, list[ImportRow]] = {}
        self._by_importer: dict[str, list[ImportRow]] = {}
        self._words: dict[str, _Words] = {}
        for location, source in project.sources.items():
            rows = self._by_importer[location] = list(_rows(location, source.text))
            for row in rows:
                for word in {row.dotted.rpartition(".")[2], *(name for name, _ in row.members)}:
                    self._by_word.setdefault(word, []).append(row)

    def seeds(self) -> Iterator[str]:
        """The locations of the files that import a client library to make calls, in the project's order."""
        handed_on = set(self._libraries_handed_on())
        for location, rows in self._by_importer.items():
            text = self._project.sources[location].text
            if location in handed_on or any(self._used(row, text) for row in rows if self._of_library(row)):
                yield location

    def _libraries_handed_on(self) -> Iterator[str]:
        """Modules of the project that others import a library from: `from .compat import httpx`."""
        for library in self._project.libraries:
            word = library.rpartition(".")[2]
            for row in self._by_word.get(word, ()):
                target = self._project.find(row.dotted, row.level, row.importer) if row.takes(word) else None
                if target in self._by_importer:
                    yield target

    def _of_library(self, row: ImportRow) -> bool:
        return not row.level and self._project.may_hold_library(row.dotted)

    def _used(self, row: ImportRow, text: str) -> bool:
        if row.members:
            known = self._catalogue.leads_to_call
            return any(name == "*" or known(f"{row.dotted}.{name}") for name, _ in row.members)
        bound, meant = (row.alias, row.dotted) if row.alias else (row.dotted.partition(".")[0],) * 2
        if f"getattr({bound}," in text or f"= {bound}\n" in text:
            return True
        return any(f"{bound}.{part}" in text for part in self._catalogue.below(meant))

    def importers(self, location: str, carried: Carried) -> Iterator[Importer]:
        """The files that import a module's `carried` names, or the module as a whole."""
        word = posixpath.basename(location)
        beside = self._by_word.get("", ()) if self._project.is_package(location) else ()
        for row in (*self._by_word.get(word, ()), *(row for row in beside if row.importer.startswith(location))):
            target = self._project.find(row.dotted, row.level, row.importer)
            if target == location and row.members:
                taken = row.taken(carried)
                if taken:
                    yield Importer(row.importer, taken, taken if row.top else {})
            elif target == location or (target is not None and f"{target}/{word}" == location and row.takes(word)):
                yield Importer(row.importer, {word: frozenset(carried)}, {})

    def reaches(self, importer: Importer) -> bool:
        """Whether a file's text goes on from what it imports to a client.

        It holds one of the handles, or makes a new name that leads there: by a call or a derived class at its top.
        """
        if importer.location not in self._words:
            self._words[importer.location] = _Words.of(self._project.sources[importer.location].text)
        words = self._words[importer.location]
        return any(
            not handles or name in words.extended or any(map(words.mention, handles))
            for name, handles in importer.bound.items()
        )

    def bound_names(self, location: str, carried: Mapping[str, Carried]) -> dict[str, Handles]:
        """Names that a file's imports bind to something of a client library, or to what leads to a client."""
        found: dict[str, Handles] = {}
        for row in self._by_importer.get(location, ()):
            if self._of_library(row):
                found |= self._bound_of_library(row)
            if row.dotted in self._project.libraries:
                continue
            target = self._project.find(row.dotted, row.level, location)
            if target is None:
                continue
            found |= row.taken(carried.get(target, {}))
            if not row.members and target in carried:
                found[row.alias or row.dotted.partition(".")[0]] = frozenset(carried[target])
            inner = [(alias, carried.get(f"{target}/{name}")) for name, alias in row.members]
            found |= {alias: frozenset(names) for alias, names in inner if names}
        return found

    def taken_from(self, location: str) -> Iterator[tuple[str, str]]:
        """The names that a file imports from modules of the project, with the module that binds each."""
        for row in self._by_importer.get(location, ()):
            if row.members and not self._of_library(row):
                target = self._project.find(row.dotted, row.level, location)
                for name, alias in row.members if target is not None else ():
                    yield alias, self._origin(target or "", name)

    def _origin(self, location: str, name: str) -> str:
        """The module that a package's `__init__` takes a name from, else the package itself."""
        for row in self._by_importer.get(location, ()) if self._project.is_package(location) else ():
            if row.takes(name):
                return self._project.find(row.dotted, row.level, location) or location
        return location

    def _bound_of_library(self, row: ImportRow) -> dict[str, Handles]:
        if not row.members:
            return {row.alias or row.dotted.partition(".")[0]: DIRECT}
        known = self._catalogue.leads_to_call
        return {alias: DIRECT for name, alias in row.members if known(f"{row.dotted}.{name}")}


class _Words(msgspec.Struct, frozen=True):
    """The attributes a text mentions; the names it calls in assignments, or derives from, at its left margin."""

    attributes: frozenset[str]
    extended: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Self:
        extended = {name for value in _ASSIGNED.findall(text) for name in _CALLED.findall(value)}
        extended |= {name for bases in _DERIVED.findall(text) for name in _WORD.findall(bases)}
        return cls(frozenset(_ATTRIBUTE.findall(text)), frozenset(extended))

    def mention(self, handle: str) -> bool:
        """Whether the text mentions a handle, each part of it anywhere."""
        return self.attributes.issuperset(handle.split("."))


def _rows(importer: str, text: str) -> Iterator[ImportRow]:
    for match in _FROM.finditer(text):
        dots, dotted, members = match.groups()
        if dots or dotted:
            top = match.start() == 0 or text[match.start() - 1] == "\n"
            yield ImportRow(importer, len(dots), dotted, tuple(_members(members)), "", top)
    for match in _IMPORT.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        before = text[line_start : match.start()].strip(" \t")
        if not before or before.endswith((";", ":")):
            for name, alias in _members(match[1]):
                yield ImportRow(importer, 0, name, (), "" if alias == name else alias, line_start == match.start())


def _members(written: str) -> Iterator[tuple[str, str]]:
    if "#" in written:
        written = _COMMENT.sub("", written)
    for name, alias in _NAME.findall(written.replace("\\\n", " ")):
        yield name, alias or name
