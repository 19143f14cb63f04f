"""Which files a scan leaves out, by globs."""

import re
from collections.abc import Callable, Sequence

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def excluding(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether a path, with forward slashes, is left out.

    A glob without a slash names a file or folder anywhere (`generated`, `*_pb2.py`); one with a slash is anchored
    (`src/vendor`, `**/migrations/*.py`). What names a folder leaves out all that is in it.
    """
    if not patterns:
        return _nothing
    found = re.compile("|".join(map(_translated, patterns)))
    return lambda path: found.fullmatch(path) is not None


def _nothing(path: str) -> bool:  # noqa: ARG001 - as every test
    return False


def _translated(pattern: str) -> str:
    trimmed = pattern.removeprefix("./").rstrip("/")
    anywhere = "" if "/" in trimmed else "(?:.*/)?"
    body = "".join(_MEANING.get(token, re.escape(token)) for token in _TOKEN.findall(trimmed))
    return f"(?:{anywhere}{body}(?:/.*)?)"
