"""The source lines that reports quote, read when they are asked for, each file once."""

import textwrap
from pathlib import Path

import msgspec

from apicache_codemods.files import SourceFile, read_file

MOST_LINES = 8
"""Lines quoted of one call; a longer one is cut."""


class Excerpt(msgspec.Struct, frozen=True):
    """Source lines from `line` on, their common indentation removed; `more` lines follow that were cut."""

    line: int
    lines: tuple[str, ...]
    more: int = 0

    @property
    def text(self) -> str:
        """The lines as one text, the cut marked."""
        return "\n".join((*self.lines, *(("...",) if self.more else ())))


class Sources:
    """The files of a report; its paths are relative to `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lines: dict[str, tuple[str, ...]] = {}

    def lines(self, path: str) -> tuple[str, ...]:
        """All lines of a file; none when it cannot be read (any more)."""
        if path not in self._lines:
            read = read_file(str(self.root / path), path)
            self._lines[path] = tuple(read.text.split("\n")) if isinstance(read, SourceFile) else ()
        return self._lines[path]

    def excerpt(self, path: str, line: int, end_line: int) -> Excerpt:
        """The lines from `line` to `end_line`, 1-based and both included; at most `MOST_LINES` of them."""
        last = max(line, end_line)
        found = self.lines(path)[line - 1 : min(last, line + MOST_LINES - 1)]
        dedented = textwrap.dedent("\n".join(found)).split("\n") if found else []
        return Excerpt(line, tuple(dedented), max(0, last - line + 1 - MOST_LINES))
