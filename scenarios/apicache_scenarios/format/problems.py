"""What is wrong with scenario files, gathered so that all of it is said at once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from apicache.errors import InputError, did_you_mean

_TOLD: Final = 50
"""Problems that a message lists; a data file can make as many as it has rows."""


class Place(NamedTuple):
    """Where something stands in a file, both 1-based."""

    line: int
    column: int


class Problems:
    """Collects what is wrong and where; `refuse` raises all of it as one InputError."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Place, str], None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, path: Path, place: Place | None, message: str) -> None:
        """Note a problem; `place` is None when it concerns the whole file."""
        self._found[str(path), place or Place(0, 0), message] = None

    def refuse(self) -> None:
        """Raise InputError with every problem, by file, line and column; nothing noted, nothing raised."""
        if not self._found:
            return
        lines = [
            f"{path}:{place.line}:{place.column}: {text}" if place.line else f"{path}: {text}"
            for path, place, text in sorted(self._found)
        ]
        if len(lines) == 1:
            raise InputError(lines[0])
        listed = [f"  {line}" for line in lines[:_TOLD]]
        more = [f"  and {len(lines) - _TOLD:,} more"] if len(lines) > _TOLD else []
        raise InputError("\n".join([f"{len(lines):,} problems", *listed, *more]))


def suggestion(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'completion'?`, or the known names, for the end of a message; empty when none are known."""
    phrase = did_you_mean(given, known)
    return f"; {phrase}" if phrase else ""
