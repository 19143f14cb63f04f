"""`migrate --revert`: plain calls where the cache was called, weeks later and whatever was edited meanwhile.

A call of an operation becomes the expression that the operation returns, with the arguments in place and its imports
and clients brought along; where that would change when something is evaluated, it becomes a call of the operation's
function, which stays as a plain one. A wrapped call becomes the call itself, a decorator goes. What cannot be taken
out is left and named.
"""

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path

import libcst as cst
import msgspec

from apicache.errors import InputError
from apicache_codemods.files import SourceFile, find_files, read_file
from apicache_codemods.migrate import texts_of
from apicache_codemods.project import Project
from apicache_codemods.reverting.bringing import Bringing
from apicache_codemods.reverting.emptying import Emptying
from apicache_codemods.reverting.file_work import FileWork
from apicache_codemods.reverting.operations import Operation, operations_in
from apicache_codemods.reverting.sites import ASYNC, SYNC, Sites, StaysError
from apicache_codemods.reverting.uses import Use, Uses
from apicache_codemods.rewriting.clients import span_in
from apicache_codemods.rewriting.edits import SourceTree
from apicache_codemods.rewriting.layout import Layout
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.patch import patch
from apicache_codemods.rewriting.writing import FileChange, compile_error

_WORDS = re.compile(r"apicache|api_cache|cached_api_call|UnifiedAPICache")


class Left(msgspec.Struct, frozen=True):
    """A use of apicache that stays, and why."""

    path: str
    line: int
    reason: str


class RevertPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What takes apicache out: the files' new contents, how many calls become plain, what is left."""

    changes: tuple[FileChange, ...]
    root: Path
    calls: int
    left: tuple[Left, ...]

    def patch(self) -> bytes:
        """The changes as a patch that `git apply` takes."""
        return patch(self.changes)


def plan_revert(paths: Sequence[Path], root: Path) -> RevertPlan:
    """Plan taking apicache out of the Python files below `paths`; nothing is run or written.

    Raises InputError for a path that does not exist.
    """
    root = root.absolute()
    listing = find_files(paths, root)
    texts = texts_of(_read(listing.files), paths, root)
    absolute = {path: place for place, path in listing.files.items()}
    sources = [
        SourceFile(path=path, absolute=absolute.get(path) or (root / path).as_posix(), text=text)
        for path, text in texts.items()
    ]
    project = Project([_normal(source) for source in sources], ())
    return _Reverting(project, texts, frozenset(absolute), root).plan()


def _read(files: dict[str, str]) -> list[SourceFile]:
    read = (read_file(absolute, path) for absolute, path in files.items())
    return [each for each in read if isinstance(each, SourceFile)]


def _normal(source: SourceFile) -> SourceFile:
    """Without `..` in its absolute path, for modules are found by where they lie."""
    return msgspec.structs.replace(source, absolute=os.path.normpath(source.absolute).replace("\\", "/"))


class _Reverting:
    def __init__(self, project: Project, texts: dict[str, str], targets: frozenset[str], root: Path) -> None:
        self._texts = texts
        self._targets = targets
        self._root = root
        self._layout = Layout(project)
        self._left: list[Left] = []
        self._works: dict[str, FileWork] = {}
        self._operations: dict[str, list[Operation]] = {}
        for location, source in project.sources.items():
            module = project.module(location) if _WORDS.search(source.text) else None
            uses = Uses(module, project) if module is not None else None
            if uses is not None and uses.found:
                self._open(uses)

    def _open(self, uses: Uses) -> None:
        module = uses.module
        try:
            tree = SourceTree(Path(module.source.absolute).read_bytes())
            tree.calls  # noqa: B018 - what is nested too deeply to be walked shows here
        except (cst.ParserSyntaxError, UnicodeError, OSError, RecursionError, LookupError) as error:
            self._leave(uses, uses.found, f"the file cannot be edited: {type(error).__name__}")
            return
        if not tree.faithful:
            self._leave(uses, uses.found, "the file cannot be edited faithfully")
            return
        self._works[module.location] = FileWork(uses, tree)
        for operation in operations_in(uses, tree):
            self._operations.setdefault(operation.name, []).append(operation)

    def _leave(self, uses: Uses, found: Sequence[Use], reason: str) -> None:
        path = uses.module.path
        if path in self._targets:
            self._left += [Left(path, use.root.lineno, reason) for use in found]

    def plan(self) -> RevertPlan:
        sites = Sites(self._operations, Bringing(self._layout, self._works))
        targets = [work for work in self._works.values() if work.uses.module.path in self._targets]
        calls = 0
        for work in targets:
            calls += self._sites(work, sites)
        emptying = Emptying(self._works, self._targets, sites, Mentions(self._texts), self._layout)
        emptying.settle(self._operations)
        changes = tuple(change for change in emptying.changes(self._texts) if change.before != change.after)
        for change in changes:
            error = compile_error(change)
            if error is not None:
                raise InputError(f"{change.path} would not compile without apicache: {error}; nothing was changed")
        for work in targets:
            self._name_left(work)
        left = tuple(sorted(dict.fromkeys(self._left), key=lambda each: (each.path, each.line)))
        return RevertPlan(changes=changes, root=self._root, calls=calls, left=left)

    def _sites(self, work: FileWork, sites: Sites) -> int:
        """Edit the calls and decorators of a file; gives how many calls become plain."""
        module = work.uses.module
        calls = 0
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            use = work.uses.of(call.func)
            if use is None:
                continue
            located = work.tree.calls.get(span_in(module, call))
            if use.root.id in work.uses.bound_inside:
                self._leave(work.uses, [use], f"{use.root.id!r} is bound again in a function")
            elif located is None:
                self._leave(work.uses, [use], "it stands inside an f-string")
            elif use.meaning in {SYNC, ASYNC}:
                try:
                    sites.revert(work, use, call, located)
                    calls += 1
                except StaysError as error:
                    self._leave(work.uses, [use], str(error))
            elif use.meaning == "cached" and isinstance(located.around[0], cst.Decorator):
                work.decorators.add(located.around[0])
                work.handled.add(use)
        return calls

    def _name_left(self, work: FileWork) -> None:
        named = {(left.path, left.line) for left in self._left}
        for use in work.uses.found:
            place = (work.uses.module.path, use.root.lineno)
            if use not in work.handled and place not in named:
                self._left.append(Left(*place, f"{use.meaning} of apicache is used here"))
