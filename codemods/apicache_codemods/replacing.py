"""Writing a file so that it is either as it was or as it shall be, never half of it."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from apicache.errors import InputError

_NEW = 0o666


def write_text(file: Path, text: str) -> None:
    """Write a text as UTF-8: a temporary file beside it, then a rename. The mode stays, a link's target changes.

    What is no regular file (a pipe, `/dev/stdout`) is written to as it is. Raises InputError when it cannot be written.
    """
    content = text.encode(errors="backslashreplace")
    try:
        target = Path(os.path.realpath(file))
        if target.exists() and not target.is_file() and not target.is_dir():
            file.write_bytes(content)
            return
        _replace(target, content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{file} cannot be written: {reason}; name a file in a folder that exists") from error


def _replace(target: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(descriptor)
    replace(target, content, Path(temporary), mode_for(target))


def replace(target: Path, content: bytes, temporary: Path, mode: int) -> None:
    """Put `content` into `temporary`, which lies beside the target, then in the target's place; else leave nothing."""
    try:
        stage(temporary, content, mode)
        temporary.replace(target)
    except BaseException:  # an interrupt too: no half-written file may stay behind; it is raised on
        with suppress(OSError):
            temporary.unlink()
        raise


def stage(file: Path, content: bytes, mode: int) -> None:
    """Write a file until the disk has it: what is renamed later must not need any more room."""
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    file.chmod(mode)


def mode_for(target: Path, otherwise: int | None = None) -> int:
    """The permissions a file has, or will have when it is new."""
    if target.exists():
        return target.stat().st_mode & 0o7777
    return otherwise if otherwise is not None else _NEW & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
