"""The files of one attempt: edits gathered module by module, then turned into new contents and checked."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import libcst as cst

from apicache.errors import InputError
from apicache_codemods.project import Module
from apicache_codemods.rewriting.existing import opened
from apicache_codemods.rewriting.layout import Layout
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.module_edits import ModuleEdits, edited, finished
from apicache_codemods.rewriting.names import Names
from apicache_codemods.rewriting.operations_module import OperationsModule
from apicache_codemods.rewriting.untouched import altered_line, touched_lines
from apicache_codemods.rewriting.unused import names_loaded
from apicache_codemods.rewriting.verdicts import Verdict
from apicache_codemods.rewriting.writing import FileChange, compile_error


class Assembly:
    """Gathers what is to be done to which file; `changes` gives the files' new contents."""

    def __init__(self, names: Names, layout: Layout, mentions: Mentions, root: str) -> None:
        self._names = names
        self._layout = layout
        self._mentions = mentions
        self._root = root
        self._edits: dict[str, ModuleEdits] = {}
        self._operations: dict[str, OperationsModule] = {}
        self.users: dict[str, set[str]] = {}
        """The paths of the files that import an operations module, by its absolute path."""

    def of(self, module: Module) -> ModuleEdits:
        """The edits of a module's file."""
        if module.path not in self._edits:
            tree = self._names.trees.of(module)
            if tree is None:
                raise InputError(f"{module.path} changed while it was read; run migrate again")
            self._edits[module.path] = ModuleEdits(module, tree)
        return self._edits[module.path]

    def new_operations(self, place: str, base: str) -> OperationsModule:
        """The operations module that is to be created at an absolute path."""
        if place not in self._operations:
            self._operations[place] = OperationsModule(place, self._layout.import_name_of_place(place, base))
        return self._operations[place]

    def operations_in(self, module: Module, base: str) -> OperationsModule:
        """The operations module that exists already, ready to be extended."""
        place = module.source.absolute
        if place not in self._operations:
            found = opened(module, self._layout.name_of(module.location, base), self._names)
            if found is None:
                raise InputError(f"{module.path} cannot be extended: {self._names.trees.failures[module.path]}")
            self._operations[place] = found
        return self._operations[place]

    def changes(self) -> tuple[list[FileChange], dict[str, Verdict]]:
        """The new contents, and the files that cannot be rewritten, by path."""
        after, failures = self._edited()
        if failures:
            return [], failures
        changes = [*self._file_changes(after), *self._operations_changes()]
        for change in changes:
            reason = self._unfaithful(change)
            if reason is not None:
                verdict = Verdict("M120", "never", reason)
                failures |= dict.fromkeys(self.users.get(change.absolute, {change.path}), verdict)
        return changes, failures

    def _unfaithful(self, change: FileChange) -> str | None:
        """Why a file must not be written so; None when it compiles and kept every line that is not edited."""
        error = compile_error(change)
        if error is not None:
            return f"the rewritten file does not compile: {error}"
        work = self._edits.get(change.path)
        if work is None or change.before is None or change.after is None:
            return None
        line = altered_line(change.before, change.after, touched_lines(work.tree, work.edits))
        return f"the edit would change line {line}, which is no part of it" if line is not None else None

    def _edited(self) -> tuple[dict[str, cst.Module], dict[str, Verdict]]:
        """Every file after its edits; one that is nested too deeply to be edited is a failure."""
        after = {}
        failures = {}
        for path, work in self._edits.items():
            try:
                after[path] = edited(work, self._mentions)
            except RecursionError:
                failures[path] = Verdict("M120", "never", "the file is nested too deeply to be edited")
        return after, failures

    def _file_changes(self, after: Mapping[str, cst.Module]) -> Iterator[FileChange]:
        texts = {path: module.code for path, module in after.items()}
        late = {operations.import_name for operations in self._operations.values() if operations.is_late}
        for path, work in sorted(self._edits.items()):
            loaded = names_loaded(texts[path])
            wanted = {
                name for name in work.homes if name in loaded or self._mentions.elsewhere(work.module, name, texts)
            }
            module = edited(work, self._mentions) if work.keep(wanted) else after[path]
            needed = {name: there for name, there in work.moved.items() if name in wanted}
            content = finished(work, module, needed, self._own_packages(self._layout.base(work.module)), late)
            absolute = work.module.source.absolute
            yield FileChange(path=path, absolute=absolute, before=work.tree.content, after=content)

    def _operations_changes(self) -> Iterator[FileChange]:
        for place, operations in sorted(self._operations.items()):
            if not operations.changed:
                continue
            before = Path(place).read_bytes() if operations.existing is not None else None
            own = self._own_packages(place.removesuffix(operations.import_name.replace(".", "/") + ".py"))
            path = Path(os.path.relpath(place, self._root)).as_posix()
            yield FileChange(path=path, absolute=place, before=before, after=operations.content(own))

    def _own_packages(self, base: str) -> frozenset[str]:
        """The top-level names of the project, operations modules yet to be written included."""
        made = {operations.import_name.partition(".")[0] for operations in self._operations.values()}
        return self._layout.own_packages(base) | made
