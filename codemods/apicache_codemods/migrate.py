"""migrate: rewriting call sites to cached calls, or saying for each why not.

`plan` decides and computes every file's new content without writing anything; `write` writes it. `prepare` is for who
plans more than once: with sites left out, on request or because the tests fail with them. Nothing of the project is
imported or run.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from apicache.errors import InputError
from apicache_codemods.analysis import Analysis, analyse
from apicache_codemods.files import SourceFile, find_files, read_file
from apicache_codemods.model import SkippedFile
from apicache_codemods.rewriting.choosing import StyleChoice
from apicache_codemods.rewriting.journal import Journal
from apicache_codemods.rewriting.layout import DEFAULT_NAME
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.patch import patch
from apicache_codemods.rewriting.planning import Planner
from apicache_codemods.rewriting.transaction import transaction
from apicache_codemods.rewriting.verdicts import MEANINGS, Place, SiteDecision, Verdict
from apicache_codemods.rewriting.writing import FileChange

_PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
_NONE_LEFT_OUT: Mapping[Place, Verdict] = {}


class CodeCount(msgspec.Struct, frozen=True):
    """How many sites one code stands for."""

    decision: str
    style: str | None
    safety: str
    code: str
    meaning: str
    sites: int


class MigrationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What migrate would do: a decision for every call site, and every changed file's new content."""

    sites: tuple[SiteDecision, ...]
    changes: tuple[FileChange, ...]
    skipped_files: tuple[SkippedFile, ...]
    root: Path
    """What paths are relative to."""

    @property
    def rewritten(self) -> tuple[SiteDecision, ...]:
        """The sites that are rewritten."""
        return tuple(site for site in self.sites if site.decision == "rewritten")

    def summary(self) -> tuple[CodeCount, ...]:
        """The sites counted by what became of them and why."""
        counts = Counter((site.decision, site.style, site.safety, site.code) for site in self.sites)
        rows = (CodeCount(*row[:3], row[3], MEANINGS[row[3]], count) for row, count in counts.items())
        return tuple(sorted(rows, key=lambda row: (row.decision, row.code, row.style or "", row.safety)))

    def document(self) -> dict[str, Any]:
        """The plan as `migrate --format json` prints it; the number of the contract is `schema`."""
        return {
            "schema": 1,
            "sites": [msgspec.to_builtins(site) for site in self.sites],
            "summary": [msgspec.to_builtins(row) for row in self.summary()],
            "files": [{"path": change.path, "change": change.kind} for change in self.changes],
            "skipped_files": [msgspec.to_builtins(skipped) for skipped in self.skipped_files],
        }

    def patch(self) -> bytes:
        """The changes as a patch that `git apply` takes; empty when there are none."""
        return patch(self.changes)


class Preparation:
    """A project that was read and judged: it can be planned again and again with other sites left out."""

    def __init__(self, analysis: Analysis, planner: Planner, root: Path) -> None:
        self.analysis = analysis
        self.root = root
        self._planner = planner
        self._refused: dict[str, Verdict] = {}

    def plan(self, left_out: Mapping[Place, Verdict] = _NONE_LEFT_OUT) -> MigrationPlan:
        """The plan without the sites of `left_out`, which are skipped for the reason given there."""
        while True:
            attempt = self._planner.attempt(self._refused, left_out)
            if attempt.failures.keys() <= self._refused.keys():
                break
            self._refused |= attempt.failures
        return MigrationPlan(
            sites=tuple(attempt.decisions),
            changes=tuple(change for change in attempt.changes if change.before != change.after),
            skipped_files=self.analysis.skipped,
            root=self.root,
        )


def prepare(
    paths: Sequence[Path], root: Path, *, style: StyleChoice = "auto", operations_module: Path | None = None
) -> Preparation:
    """Read the Python files below `paths` and judge their call sites; paths in plans are relative to `root`.

    `operations_module` is where operations are registered, for all sites; by default `api_operations.py` in the package
    of the sites' common parent. Raises InputError for a path that does not exist, or an operations module that the
    sites could not import.
    """
    root = root.absolute()
    place = _place(operations_module, root)
    known = _operations_modules(paths, root, place)
    analysis = analyse([*paths, *known], root)
    reported = frozenset(find_files(paths, root).files.values())
    mentions = Mentions(texts_of(analysis.resolver.project.sources.values(), paths, root))
    planner = Planner(analysis, mentions, style=style, place=place, reported=reported, root=str(root))
    return Preparation(analysis, planner, root)


def plan(
    paths: Sequence[Path], root: Path, *, style: StyleChoice = "auto", operations_module: Path | None = None
) -> MigrationPlan:
    """Plan the migration of the Python files below `paths`, as `prepare` says."""
    return prepare(paths, root, style=style, operations_module=operations_module).plan()


class Plan(Protocol):
    """File changes to be written together."""

    @property
    def changes(self) -> tuple[FileChange, ...]:
        """The files that change."""

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""


def write(planned: Plan) -> None:
    """Write the plan's files together: all are new afterwards, or all are as before.

    Raises InputError when one was changed since the plan was made, or cannot be written.
    """
    if planned.changes:
        with transaction(journal_at(planned.root)) as run:
            run.put(planned.changes)


def journal_at(root: Path) -> Journal:
    """What was written in the project around `root`."""
    folder = _nearest_project(Path(os.path.realpath(root)))
    return Journal(folder if folder is not None else root)


def _place(operations_module: Path | None, root: Path) -> str | None:
    if operations_module is None:
        return None
    if operations_module.suffix != ".py":
        raise InputError(
            f"the operations module {operations_module} is no Python file; give for example app/{DEFAULT_NAME}"
        )
    place = Path(os.path.normpath(root / operations_module))
    if not place.parent.is_dir():
        raise InputError(f"the folder of the operations module {operations_module} does not exist; create it first")
    return place.as_posix()


def _operations_modules(paths: Sequence[Path], root: Path, place: str | None) -> list[Path]:
    """Operations modules that lie beside or above the given paths, in the same package: they may be joined."""
    found = {Path(place): None} if place is not None and Path(place).exists() else {}
    for path in paths:
        folder = Path(os.path.normpath(root / path))
        if not folder.is_dir():
            folder = folder.parent
        while True:
            candidate = folder / DEFAULT_NAME
            if candidate.is_file():
                found[candidate] = None
            if not (folder / "__init__.py").exists() or folder.parent == folder:
                break
            folder = folder.parent
    return list(found)


def texts_of(sources: Iterable[SourceFile], paths: Sequence[Path], root: Path) -> dict[str, str]:
    """The text of every Python file of the project by path, test files outside the given paths included."""
    texts = {source.path: source.text for source in sources}
    project = _project_folder(paths, root)
    if project is not None:
        for absolute, path in find_files([project], root).files.items():
            source = read_file(absolute, path) if path not in texts else None
            if isinstance(source, SourceFile):
                texts[path] = source.text
    return texts


def _project_folder(paths: Sequence[Path], root: Path) -> Path | None:
    """The nearest folder around all paths that looks like a project's; None when there is none."""
    absolute = [Path(os.path.normpath(root / path)) for path in paths]
    return _nearest_project(Path(os.path.commonpath(absolute)) if absolute else root)


def _nearest_project(place: Path) -> Path | None:
    folders = (place, *place.parents)
    return next((folder for folder in folders if any((folder / mark).exists() for mark in _PROJECT_MARKS)), None)
