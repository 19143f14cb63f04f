"""migrate: rewriting call sites to cached calls, or saying for each why not.

`plan` decides and computes every file's new content without writing anything; `write` writes it. Nothing of the project
is imported or run.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from apicache.errors import InputError
from apicache_codemods.analysis import Analysis, analyse
from apicache_codemods.files import SourceFile, find_files, read_file
from apicache_codemods.model import SkippedFile
from apicache_codemods.rewriting.choosing import StyleChoice
from apicache_codemods.rewriting.layout import DEFAULT_NAME
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.patch import patch
from apicache_codemods.rewriting.planning import Planner
from apicache_codemods.rewriting.verdicts import SiteDecision, Verdict
from apicache_codemods.rewriting.writing import FileChange, write_change

_PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")


class MigrationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What migrate would do: a decision for every call site, and every changed file's new content."""

    sites: tuple[SiteDecision, ...]
    changes: tuple[FileChange, ...]
    skipped_files: tuple[SkippedFile, ...]

    def document(self) -> dict[str, Any]:
        """The plan as `migrate --format json` prints it; the number of the contract is `schema`."""
        return {
            "schema": 1,
            "sites": [msgspec.to_builtins(site) for site in self.sites],
            "files": [
                {"path": change.path, "change": "created" if change.before is None else "modified"}
                for change in self.changes
            ],
            "skipped_files": [msgspec.to_builtins(skipped) for skipped in self.skipped_files],
        }

    def patch(self) -> bytes:
        """The changes as a patch that `git apply` takes; empty when there are none."""
        return patch(self.changes)


def plan(
    paths: Sequence[Path], root: Path, *, style: StyleChoice = "auto", operations_module: Path | None = None
) -> MigrationPlan:
    """Plan the migration of the Python files below `paths`; paths in the plan are relative to `root`.

    `operations_module` is where operations are registered, for all sites; by default `api_operations.py` in the package
    of the sites' common parent. Raises InputError for a path that does not exist, or an operations module that the
    sites could not import.
    """
    root = root.absolute()
    place = _place(operations_module, root)
    known = _operations_modules(paths, root, place)
    analysis = analyse([*paths, *known], root)
    reported = frozenset(find_files(paths, root).files.values())
    mentions = Mentions(_texts(analysis, paths, root))
    planner = Planner(analysis, mentions, style=style, place=place, reported=reported, root=str(root))
    refused: dict[str, Verdict] = {}
    while True:
        attempt = planner.attempt(refused)
        if attempt.failures.keys() <= refused.keys():
            break
        refused |= attempt.failures
    return MigrationPlan(
        sites=tuple(attempt.decisions),
        changes=tuple(change for change in attempt.changes if change.before != change.after),
        skipped_files=analysis.skipped,
    )


def write(migration: MigrationPlan) -> None:
    """Write the plan's files, each either old or new at any moment; new operations modules come first.

    Raises InputError when a file was changed since the plan was made, or cannot be written.
    """
    for change in sorted(migration.changes, key=lambda each: each.before is not None):
        write_change(change)


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


def _texts(analysis: Analysis, paths: Sequence[Path], root: Path) -> dict[str, str]:
    """The text of every Python file of the project by path, test files outside the given paths included."""
    texts = {source.path: source.text for source in analysis.resolver.project.sources.values()}
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
    common = Path(os.path.commonpath(absolute)) if absolute else root
    return next(
        (folder for folder in _upwards(common) if any((folder / mark).exists() for mark in _PROJECT_MARKS)), None
    )


def _upwards(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents
