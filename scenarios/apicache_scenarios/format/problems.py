"""What is wrong with scenario files, gathered so that all of it is said at once."""

from collections.abc import Iterable
from pathlib import Path

from apicache.errors import InputError, did_you_mean


class Problems:
    """Collects what is wrong and where; `refuse` raises all of it as one InputError."""

    def __init__(self) -> None:
        self._found: list[tuple[str, int, str]] = []

    def add(self, path: Path, line: int | None, message: str) -> None:
        """Note a problem; `line` is 1-based, None when it concerns the whole file."""
        self._found.append((str(path), line or 0, message))

    def refuse(self) -> None:
        """Raise InputError with every problem, by file and line; nothing noted, nothing raised."""
        if not self._found:
            return
        lines = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for path, line, text in sorted(self._found)]
        if len(lines) == 1:
            raise InputError(lines[0])
        raise InputError("\n".join([f"{len(lines)} problems", *(f"  {line}" for line in lines)]))


def suggestion(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'completion'?`, or the known names, for the end of a message; empty when none are known."""
    phrase = did_you_mean(given, known)
    return f"; {phrase}" if phrase else ""
