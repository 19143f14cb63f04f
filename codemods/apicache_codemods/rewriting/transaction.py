"""Writing the files of a run together: all of them are new afterwards, or all are as they were."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from apicache.errors import InputError
from apicache_codemods.replacing import mode_for, stage
from apicache_codemods.rewriting.journal import (
    Entry,
    Journal,
    Record,
    Recovery,
    digest,
    digest_of,
    keep_old,
    settle,
    temporary,
)
from apicache_codemods.rewriting.writing import FileChange


class Transaction:
    """The files of one run. `put` may be called again and again: each time the files become what the changes say."""

    def __init__(self, journal: Journal, run: Path, *, undoes: str | None = None) -> None:
        self._journal = journal
        self._run = run
        self._record = Record(token=secrets.token_hex(4), undoes=undoes)
        self._old: dict[str, bytes | None] = {}
        self._now: dict[str, bytes | None] = {}
        self._entries: dict[str, Entry] = {}

    def put(self, changes: Iterable[FileChange]) -> None:
        """Give the files their new contents, and files of earlier calls that are not among them their old ones.

        Raises InputError when one was changed by somebody else, or cannot be written.
        """
        wanted = {str(Path(os.path.realpath(change.absolute))): change for change in changes}
        try:
            for target, change in wanted.items():
                if target not in self._entries:
                    self._enter(Path(target), change)
            contents = {target: wanted[target].after if target in wanted else old for target, old in self._old.items()}
            different = {target: content for target, content in contents.items() if content != self._now[target]}
            self._announce(different)
            self._replace(different)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise InputError(f"{place}cannot be written: {error.strerror or error}; no file was changed") from error

    def _enter(self, target: Path, change: FileChange) -> None:
        content = target.read_bytes() if target.exists() else None
        if content != change.before:
            raise _changed(change.path)
        self._entries[str(target)] = Entry(
            path=change.path,
            target=self._journal.relative(target),
            old=keep_old(self._run, len(self._entries), content),
            mode=mode_for(target, change.mode),
            before=digest(content),
            after=digest(content),
        )
        self._old[str(target)] = self._now[str(target)] = content
        self._record.files.append(self._entries[str(target)])

    def _announce(self, contents: dict[str, bytes | None]) -> None:
        """Note what is about to be written, before it is."""
        for target, content in contents.items():
            known = digest(content)
            if known not in self._entries[target].written:
                self._entries[target].written.append(known)
        self._journal.note(self._run, self._record)

    def _replace(self, contents: dict[str, bytes | None]) -> None:
        for target, content in contents.items():
            if content is not None:
                self._stage(Path(target), content, self._entries[target])
        for target in contents:
            if digest_of(Path(target)) != digest(self._now[target]):
                raise _changed(self._entries[target].path)
        for target, content in contents.items():
            place = Path(target)
            if content is None:
                place.unlink()
            else:
                temporary(place, self._record.token).replace(place)
            self._now[target] = content
        settle(Path(target).parent for target in contents)

    def _stage(self, target: Path, content: bytes, entry: Entry) -> None:
        try:
            stage(temporary(target, self._record.token), content, mode_for(target, entry.mode))
        except OSError as error:
            raise InputError(
                f"{entry.path} cannot be written: {error.strerror or error}; no file was changed"
            ) from error

    def commit(self) -> None:
        """Let the contents stand."""
        kept = [target for target in self._entries if self._now[target] != self._old[target]]
        if not kept:
            self._journal.take_back(self._run, self._record)
            return
        for target in kept:
            self._entries[target].after = digest(self._now[target])
        self._record.files = [self._entries[target] for target in kept]
        self._record.state = "done"
        self._journal.note(self._run, self._record)
        if self._record.undoes is not None:
            self._journal.close_undo(self._run, self._record.undoes)
        self._journal.prune()

    def take_back(self) -> Recovery:
        """Give every file its old bytes."""
        return self._journal.take_back(self._run, self._record)


@contextlib.contextmanager
def transaction(journal: Journal, *, undoes: str | None = None) -> Iterator[Transaction]:
    """A run that stands when the block ends, and is taken back when it raises. A stopped one is taken back first."""
    with journal.locked():
        journal.recover()
        try:
            run = journal.next_run()
        except OSError as error:
            raise InputError(f"{journal.folder} cannot be written: {error.strerror or error}") from error
        made = Transaction(journal, run, undoes=undoes)
        try:
            yield made
            made.commit()
        except BaseException as error:  # an interrupt too: the files are as before, then it is raised on
            if run.exists():
                _taken_back(made, error)
            raise


def _taken_back(made: Transaction, error: BaseException) -> None:
    try:
        taken = made.take_back()
    except OSError as problem:
        raise InputError(
            f"stopped half-way, and the old files cannot be put back now: {problem.strerror or problem}; "
            "run apicache migrate again: it begins with that"
        ) from error
    if taken.left:
        raise InputError(
            f"{', '.join(taken.left)} changed meanwhile and is left as it is; its old content is in {taken.kept}"
        ) from error


def recover(journal: Journal) -> list[Recovery]:
    """Take back runs that were stopped. Raises InputError while another run is at work."""
    if journal.is_settled():
        return []
    with journal.locked():
        return journal.recover()


def undo(journal: Journal) -> tuple[str, ...]:
    """Give the files of the last run their old bytes; their paths.

    Raises InputError when there is no run to take back, or a file of it was changed since: then nothing is written.
    """
    recover(journal)
    runs = journal.runs()
    if not runs:
        raise InputError(f"there is no run of migrate to undo in {journal.project}")
    record = journal.record(runs[-1])
    entries = (
        [] if record is None else [each for each in record.files if digest_of(journal.target(each)) != each.before]
    )
    changed = [each.path for each in entries if digest_of(journal.target(each)) != each.after]
    if changed:
        raise InputError(
            f"changed since migrate wrote {'it' if len(changed) == 1 else 'them'}: {', '.join(changed)}; nothing was "
            "undone. Put the files back as they were, or take apicache out with apicache migrate --revert"
        )
    with transaction(journal, undoes=runs[-1].name) as run:
        run.put([_reversed(journal, runs[-1], entry) for entry in entries])
    if not entries:
        journal.forget(runs[-1])
    return tuple(entry.path for entry in entries)


def _reversed(journal: Journal, run: Path, entry: Entry) -> FileChange:
    target = journal.target(entry)
    return FileChange(
        path=entry.path,
        absolute=str(target),
        before=target.read_bytes() if target.exists() else None,
        after=(run / entry.old).read_bytes() if entry.old is not None else None,
        mode=entry.mode,
    )


def _changed(path: str) -> InputError:
    return InputError(f"{path} was changed while the plan was made; run migrate again")
