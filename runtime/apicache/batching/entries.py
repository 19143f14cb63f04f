"""Lists of calls as applications write them: `[{"operation": ..., **parameters}, ...]`, checked."""

from collections.abc import Iterable, Mapping
from typing import Any

from apicache.errors import InputError

_FORM = "[{'operation': ..., ...}, ...]"


def numbered(function: str, given: object) -> Iterable[tuple[int, object]]:
    """Its calls with their places; raises InputError for what is no list of calls, such as a call without its list."""
    if isinstance(given, Mapping):
        hint = " (the same without the list is cached_api_call(**call))" if "operation" in given else ""
        raise InputError(f"{function} was given a {type(given).__name__}, and takes a list; write {_FORM}{hint}")
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(f"{function} was given a {type(given).__name__}, and takes a list of calls; write {_FORM}")
    return enumerate(given)


def checked_call(position: int, given: object) -> dict[str, Any]:
    """A copy of one call; raises InputError for what is none."""
    if type(given) is not dict and not isinstance(given, Mapping):
        raise InputError(f"entry {position} is a {type(given).__name__}; write {{'operation': ..., ...}}")
    if "operation" not in given:
        raise InputError(f"entry {position} names no operation; write {{'operation': ..., ...}}")
    return dict(given)
