"""Casts of PostgreSQL that may read the clock: `('no' || 'w')::timestamptz` is the current time.

What is cast to a type that may hold a time must be a literal, a parameter, a table's column or a call that gives one.
"""

from collections.abc import Sequence
from typing import Final

from apicache.errors import UnidentifiableError
from apicache.sql.functions import words
from apicache.sql.tables import tables_in
from apicache.sql.tokens import Token

_TIMELESS: Final = words(
    """
    bigint bool boolean bytea char character decimal double float float4 float8 inet int int2 int4 int8 integer interval
    json jsonb numeric real regclass smallint text uuid varchar
    """
)
_GIVES_TIME: Final = words(
    "date_bin date_trunc make_date make_time make_timestamp make_timestamptz to_date to_timestamp"
)
_CALLED: Final = frozenset({"date", "time"})
"""Functions that cast."""
_BEFORE_OPERAND: Final = words("SELECT DISTINCT WHERE AND OR NOT ON HAVING BY WHEN THEN ELSE BETWEEN")
_CHAIN: Final = 5
"""Tokens in which the longest name of a type and its `::` stand."""


def check_casts(tokens: Sequence[Token]) -> None:
    """Refuse a cast of what is computed to a type that may hold a time; raises UnidentifiableError."""
    has_columns = sum(token.word in {"SELECT", "VALUES"} for token in tokens) == 1 and tables_in(tokens) is not None
    for position, token in enumerate(tokens[:-1]):
        if token.text == "::":
            operand, kind = _operand_before(tokens, position), tokens[position + 1]
        elif tokens[position + 1].text == "(" and token.word == "CAST":
            operand, kind = _split(_inside(tokens, position + 1))
        elif tokens[position + 1].text == "(" and token.name in _CALLED:
            operand, kind = _inside(tokens, position + 1), token
        else:
            continue
        if kind.name not in _TIMELESS and not _is_certain(operand, has_columns=has_columns):
            raise UnidentifiableError(f"it computes what it casts to {kind.text}, which may give the current time")


def _inside(tokens: Sequence[Token], opening: int) -> Sequence[Token]:
    """What stands between the `(` at `opening` and its `)`."""
    depth = 0
    for position in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position].text, 0)
        if depth == 0:
            return tokens[opening + 1 : position]
    raise UnidentifiableError("its SQL has a parenthesis without an end")


def _split(cast: Sequence[Token]) -> tuple[Sequence[Token], Token]:
    """What a CAST takes, and its type."""
    found = [position for position, token in enumerate(cast[:-1]) if token.word == "AS"]
    if not found:
        raise UnidentifiableError("its SQL has a CAST without AS")
    return cast[: found[-1]], cast[found[-1] + 1]


def _operand_before(tokens: Sequence[Token], end: int) -> Sequence[Token]:
    """What the `::` at `end` casts; empty where that is not told."""
    start = end - 1
    if tokens[start].text == ")":
        depth = 1
        while depth and start > 0:
            start -= 1
            depth += {"(": -1, ")": 1}.get(tokens[start].text, 0)
        before = tokens[start - 1]
        if start and before.kind in {"word", "name"} and before.word not in _BEFORE_OPERAND:
            start -= 1
    elif tokens[start].name:
        if any(token.text == "::" for token in tokens[max(end - _CHAIN, 0) : end]):
            return ()  # it may be the type of another cast
        while start > 1 and tokens[start - 1].text == ".":
            start -= 2
    return tokens[start:end] if start >= 0 else ()


def _is_certain(operand: Sequence[Token], *, has_columns: bool) -> bool:
    while len(operand) > 1 and operand[0].text == "(" and operand[-1].text == ")":
        operand = operand[1:-1]
    if len(operand) == 1 and operand[0].kind in {"text", "parameter", "number"}:
        return True
    if operand and all(token.name or token.text == "." for token in operand):
        is_dotted = all(token.text == "." for token in operand[1::2])
        return has_columns and is_dotted and operand[-1].word != "END"
    if len(operand) > 1 and operand[0].name in _GIVES_TIME and operand[1].text == "(":
        return len(_inside(operand, 1)) == len(operand) - 3
    return False
