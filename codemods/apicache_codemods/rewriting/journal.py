"""What runs of migrate have written, with the old bytes: they are taken back when a run is stopped, or on request.

Each run is a folder of `.apicache/migrate`. Before a file is touched, its old bytes and the digests of what is about to
be written are on the disk; `state` turns to `done` when all is written. A run that is found in another state was
stopped: whatever of it is in place is replaced by the old bytes, so that the files of one run are all new or all old.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from apicache.errors import InputError
from apicache_codemods.replacing import mode_for, replace, stage

try:
    import fcntl
except ImportError:  # where there is none, two runs at the same time are not kept apart
    fcntl = None  # type: ignore[assignment]

FOLDER: Final = ".apicache/migrate"
KEPT_RUNS: Final = 20
"""Older ones are forgotten; each holds the bytes of the files that it changed."""
_RECORD: Final = "run.json"
_PRIVATE: Final = 0o600
_NO_FILE: Final = "no file"


class Entry(msgspec.Struct):
    """One file of a run: its old bytes are in `old`, None when there was no such file."""

    path: str
    """As it was named to the user."""
    target: str
    """Relative to the project, links resolved."""
    old: str | None
    mode: int
    before: str
    after: str
    """The digest of what the run leaves there."""
    written: list[str] = msgspec.field(default_factory=list)
    """The digests of everything it may have put there."""


class Record(msgspec.Struct):
    """A run. `undoes` is the name of the run that it takes back."""

    token: str
    state: Literal["writing", "done"] = "writing"
    undoes: str | None = None
    files: list[Entry] = msgspec.field(default_factory=list)


class Recovery(msgspec.Struct, frozen=True):
    """What became of a run that was stopped: files that have their old bytes, and those that others changed since."""

    restored: tuple[str, ...]
    left: tuple[str, ...]
    kept: str | None
    """Where the old bytes of the files that were left are."""


class Journal:
    """The runs of one project."""

    def __init__(self, project: Path) -> None:
        self.project = Path(os.path.realpath(project))
        self.folder = self.project / FOLDER

    def runs(self) -> list[Path]:
        """The folders of all runs, the oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(each for each in self.folder.iterdir() if each.name.isdecimal())

    def record(self, run: Path) -> Record | None:
        """What a run noted; None where it was stopped before it had touched a file."""
        try:
            return msgspec.json.decode((run / _RECORD).read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise InputError(
                f"{run / _RECORD} cannot be read: {error}; move {run} away, and run migrate again"
            ) from error

    def note(self, run: Path, record: Record) -> None:
        """Put a run's record in the place of the one before."""
        replace(run / _RECORD, msgspec.json.encode(record), run / f"{_RECORD}.tmp", _PRIVATE)
        _settle(run)

    def target(self, entry: Entry) -> Path:
        """The file of an entry."""
        return self.project / entry.target

    def relative(self, target: Path) -> str:
        """A file as entries name it; absolute where it lies outside of the project."""
        return target.relative_to(self.project).as_posix() if target.is_relative_to(self.project) else str(target)

    def is_settled(self) -> bool:
        """Whether no run was stopped."""
        records = (self.record(run) for run in self.runs())
        return all(record is not None and record.state == "done" and record.undoes is None for record in records)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time. Raises InputError while another one is at work."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ignored = self.folder / ".gitignore"
            if not ignored.exists():
                ignored.write_text("*\n", encoding="ascii")  # old bytes are nobody's sources
            lock = (self.folder / "lock").open("wb")
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be written: {error.strerror or error}; nothing was changed"
            ) from error
        with lock:
            if fcntl is not None:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise InputError("another apicache migrate is at work in this project; wait for its end") from error
            yield

    def recover(self) -> list[Recovery]:
        """Take back the runs that were stopped, under the lock; the newest first."""
        for waste in self.folder.glob("gone-*"):
            shutil.rmtree(waste, ignore_errors=True)
        found = []
        for run in reversed(self.runs()):
            if not run.exists():  # a later run took it back
                continue
            record = self.record(run)
            if record is None:
                self.forget(run)
            elif record.state != "done":
                found.append(self.take_back(run, record))
            elif record.undoes is not None:
                self.close_undo(run, record.undoes)
        return found

    def take_back(self, run: Path, record: Record) -> Recovery:
        """Give every file of a run that still is as the run wrote it its old bytes."""
        restored, left = [], []
        for entry in record.files:
            target = self.target(entry)
            temporary(target, record.token).unlink(missing_ok=True)
            now = digest_of(target)
            if now == entry.before:
                continue
            if now not in entry.written:
                left.append(entry.path)
                continue
            self.restore(run, entry, record.token)
            restored.append(entry.path)
        kept = None
        if left:
            kept = run.with_name(f"stopped-{run.name}-{record.token}")
            run.rename(kept)
        else:
            self.forget(run)
        return Recovery(tuple(restored), tuple(left), self.relative(kept) if kept is not None else None)

    def restore(self, run: Path, entry: Entry, token: str) -> None:
        """Put a file's old bytes in place, or take away a file that is new."""
        target = self.target(entry)
        if entry.old is None:
            target.unlink(missing_ok=True)
        else:
            content = (run / entry.old).read_bytes()
            replace(target, content, temporary(target, token), mode_for(target, entry.mode))
        _settle(target.parent)

    def close_undo(self, run: Path, undone: str) -> None:
        """Forget a run that was taken back, then the taking back."""
        if (self.folder / undone).exists():
            self.forget(self.folder / undone)
        self.forget(run)

    def forget(self, run: Path) -> None:
        """Remove a run's folder: by one rename first, for half of a folder must not be found."""
        waste = run.with_name(f"gone-{run.name}")
        shutil.rmtree(waste, ignore_errors=True)
        run.rename(waste)
        shutil.rmtree(waste, ignore_errors=True)

    def next_run(self) -> Path:
        """A new run's folder."""
        names = [int(run.name) for run in self.runs()]
        run = self.folder / f"{max(names, default=0) + 1:06}"
        run.mkdir()
        return run

    def prune(self) -> None:
        """Forget the oldest runs."""
        for run in self.runs()[:-KEPT_RUNS]:
            self.forget(run)


def keep_old(run: Path, number: int, content: bytes | None) -> str | None:
    """Write a file's old bytes into the run's folder; gives their name there."""
    if content is None:
        return None
    name = f"{number:05}.old"
    stage(run / name, content, _PRIVATE)
    return name


def digest(content: bytes | None) -> str:
    """What stands for a content, or for no file."""
    return _NO_FILE if content is None else hashlib.sha256(content).hexdigest()


def digest_of(file: Path) -> str:
    """The digest of what is there now."""
    return digest(file.read_bytes() if file.exists() else None)


def temporary(target: Path, token: str) -> Path:
    """Where a run puts a file's new content before it is renamed: known beforehand, so that it is found again."""
    return target.with_name(f".{target.name}.{token}.tmp")


def settle(folders: Iterable[Path]) -> None:
    """Wait until the disk knows of the renames in these folders."""
    for folder in dict.fromkeys(folders):
        _settle(folder)


def _settle(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system opens a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
