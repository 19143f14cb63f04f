"""Changes as a patch that `git apply` takes."""

import difflib
from collections.abc import Iterable, Iterator

from apicache_codemods.rewriting.writing import FileChange

_NO_NEWLINE = b"\n\\ No newline at end of file\n"


def patch(changes: Iterable[FileChange]) -> bytes:
    """A unified diff of the changes, in the files' own encodings and line ends."""
    return b"".join(line for change in changes for line in _file(change))


def _file(change: FileChange) -> Iterator[bytes]:
    path = change.path.encode()
    end = b"\t\n" if b" " in path else b"\n"
    # No `diff --git` line: git would take its paths from the top of the repository, not from the working directory.
    old = b"/dev/null" if change.before is None else b"a/" + path
    body = difflib.diff_bytes(difflib.unified_diff, _lines(change.before or b""), _lines(change.after))
    for index, line in enumerate(body):
        if index == 0:
            yield b"--- " + old + (end if change.before is not None else b"\n")
        elif index == 1:
            yield b"+++ b/" + path + end
        else:
            yield line if line.endswith(b"\n") else line + _NO_NEWLINE


def _lines(content: bytes) -> list[bytes]:
    """The lines with their ends; only a line feed ends one, as git sees it."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop().removesuffix(b"\n")
    return [*lines, last] if last else lines
