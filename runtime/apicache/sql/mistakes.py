"""Parameters of a query given in another form than a driver takes: told before the driver says it in its own words."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from apicache.errors import InputError
from apicache.policy import PolicyOptions

_PLACEHOLDER: Final = re.compile(r"%[stb]")
_OF_A_ROW: Final = re.compile(r"\bIN\s*%[stb]", re.IGNORECASE)


def not_one_by_one(given: Sequence[Any]) -> InputError:
    """The error for parameters in one tuple or list."""
    return InputError(
        f"cached_db_query was given its parameters as one {type(given).__name__}; give them one by one: "
        "cached_db_query(query, first, second)"
    )


def check_one_by_one(query: str, parameters: Sequence[Any]) -> None:
    """Refuse the parameters of `%s` in one tuple or list, where it cannot be one parameter's value; raises InputError.

    A list is an array, so one of one item may be meant (`= ANY(%s)`); a tuple a row, or what stands after IN.
    """
    given = parameters[0] if len(parameters) == 1 else None
    if not isinstance(given, list | tuple) or _OF_A_ROW.search(query):
        return
    count = len(_PLACEHOLDER.findall(query.replace("%%", "")))
    if count == len(given) and (count > 1 or isinstance(given, tuple)):
        raise not_one_by_one(given)


def check_named(query: str, options: Iterable[str]) -> None:
    """Refuse options that are no policy's, but parameters of the query; raises InputError."""
    names = [name for name in options if name not in PolicyOptions.__annotations__]
    if any(re.search(rf"[:@$]{re.escape(name)}\b|%\({re.escape(name)}\)", query) for name in names):
        mapping = ", ".join(f'"{name}": ...' for name in names)
        raise InputError(
            f"cached_db_query was given {names[0]}=..., which is a parameter of its query; give such parameters as "
            f"one mapping: cached_db_query(query, {{{mapping}}})"
        )
