"""File changes: checked before they are offered, written so that every file is either old or new."""

import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import msgspec

from apicache.errors import InputError


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file's new content; `before` is None for a file that is created."""

    path: str
    """Relative to the working directory, with forward slashes."""
    absolute: str
    before: bytes | None
    after: bytes


def compile_error(change: FileChange) -> str | None:
    """Why the new content does not compile; None when it does. Nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code as its author wrote it
            compile(change.after, change.absolute, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def write_change(change: FileChange) -> None:
    """Write one file: a temporary file beside it, then a rename; the mode stays, a link's target is what changes.

    Raises InputError when the file was changed since it was read, or cannot be written.
    """
    target = Path(os.path.realpath(change.absolute))
    try:
        now = target.read_bytes() if target.exists() else None
        if now != change.before:
            raise InputError(f"{change.path} was changed while the plan was made; run migrate again")
        _replace(target, change.after, target.stat().st_mode if now is not None else None)
    except OSError as error:
        raise InputError(
            f"{change.path} cannot be written: {error.strerror or error}; the files before it are"
        ) from error


def _replace(target: Path, content: bytes, mode: int | None) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode & 0o7777 if mode is not None else 0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:  # an interrupt too: no half-written file may stay behind; it is raised on
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
