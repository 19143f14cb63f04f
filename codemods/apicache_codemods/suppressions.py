"""Ignore comments: `# apicache: ignore[AC001] reason`, on a line of the call or alone on the line above it."""

import re
from collections.abc import Iterator, Sequence

_COMMENT = re.compile(r"#\s*apicache:\s*ignore\b(?:\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)


def is_ignored(code: str, lines: Sequence[str], first: int, last: int) -> bool:
    """Whether a comment ignores a rule for an expression on the 1-based lines `first` to `last`.

    Without codes in brackets it ignores every rule.
    """
    return any(codes is None or code in codes for codes in _comments(lines, first, last))


def _comments(lines: Sequence[str], first: int, last: int) -> Iterator[frozenset[str] | None]:
    above = lines[first - 2].strip() if first > 1 else ""
    for text in (above if above.startswith("#") else "", *lines[first - 1 : last]):
        for found in _COMMENT.finditer(text):
            codes = found["codes"]
            yield None if codes is None else frozenset(part.strip().upper() for part in codes.split(","))
