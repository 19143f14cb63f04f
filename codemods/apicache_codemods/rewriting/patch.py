"""Changes as a patch that `git apply` takes."""

import difflib
from collections.abc import Iterable, Iterator

from apicache_codemods.rewriting.writing import FileChange

_CONTEXT = 3
_NO_NEWLINE = b"\n\\ No newline at end of file\n"


def patch(changes: Iterable[FileChange]) -> bytes:
    """A unified diff of the changes, in the files' own encodings and line ends."""
    return b"".join(line for change in changes for line in _file(change))


def _file(change: FileChange) -> Iterator[bytes]:
    path = change.path.encode()
    end = b"\t\n" if b" " in path else b"\n"
    # No `diff --git` line: git would take its paths from the top of the repository, not from the working directory.
    old = b"/dev/null" if change.before is None else b"a/" + path
    new = b"/dev/null" if change.after is None else b"b/" + path
    yield b"--- " + old + (end if change.before is not None else b"\n")
    yield b"+++ " + new + (end if change.after is not None else b"\n")
    for line in _hunks(_lines(change.before or b""), _lines(change.after or b"")):
        yield line if line.endswith(b"\n") else line + _NO_NEWLINE


def at_lines(change: FileChange, first: int, last: int) -> list[str]:
    """What changes at the 1-based lines from `first` to `last` of the old file, with lines around it, for reading."""
    before, after = _lines(change.before or b""), _lines(change.after or b"")
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    shown: list[bytes] = []
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if any(tag != "equal" and start < last and end >= first for tag, start, end, _, _ in group):
            shown += _body(group, before, after)
    return [line.decode(errors="replace").rstrip("\r\n") for line in shown]


def _hunks(before: list[bytes], after: list[bytes]) -> Iterator[bytes]:
    """As difflib.unified_diff, but without its notion of junk, which shows equal lines as changed in longer files."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n".encode()
        yield from _body(group, before, after)


def _body(group: Iterable[tuple[str, int, int, int, int]], before: list[bytes], after: list[bytes]) -> Iterator[bytes]:
    for tag, old_start, old_end, new_start, new_end in group:
        if tag == "equal":
            yield from (b" " + line for line in before[old_start:old_end])
        else:
            yield from (b"-" + line for line in before[old_start:old_end])
            yield from (b"+" + line for line in after[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Lines of a hunk: the first one, 1-based, and how many; an empty range names the line before it."""
    length = end - start
    return f"{start + bool(length)},{length}"


def _lines(content: bytes) -> list[bytes]:
    """The lines with their ends; only a line feed ends one, as git sees it."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop().removesuffix(b"\n")
    return [*lines, last] if last else lines
