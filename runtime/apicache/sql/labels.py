"""A name for a database call that is made uncached, for logs and statistics: its verb and its table, no value of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from apicache.errors import UnidentifiableError
from apicache.sql.functions import words
from apicache.sql.tokens import Dialect, Token, tokens_of

_VERBS: Final = words(
    "SELECT VALUES WITH INSERT UPDATE DELETE REPLACE MERGE CREATE DROP ALTER TRUNCATE PRAGMA SET SHOW CALL EXPLAIN COPY"
)
_DIALECTS: Final[Sequence[Dialect]] = ("postgresql", "sqlite", "mysql")
_BEFORE_TABLE: Final = frozenset({"FROM", "INTO", "UPDATE", "TABLE"})
_SKIPPED: Final = words("ONLY IF NOT EXISTS OR ROLLBACK ABORT REPLACE FAIL IGNORE")
_SQL_MAX: Final = 10_000


def label_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """`SELECT users`, `UPDATE users`, or the verb alone; None for what is not SQL text, or cannot be read."""
    given = args[0] if args else next(iter(kwargs.values()), None)
    sql = given if isinstance(given, str) else _text_of(given)
    for dialect in _DIALECTS if sql is not None and len(sql) <= _SQL_MAX else ():
        try:
            tokens = tokens_of(sql or "", dialect)
        except UnidentifiableError:
            continue
        return _label(tokens)
    return None


def _text_of(statement: Any) -> str | None:
    """The text of a SQLAlchemy statement, in which values are parameters."""
    if not hasattr(statement, "compile"):
        return None
    try:
        return str(statement)
    except Exception:  # noqa: BLE001 - what cannot be compiled without its dialect, whatever the library raises
        return None


def _label(tokens: Sequence[Token]) -> str | None:
    verb = next((token.word for token in tokens if token.text != "("), "")
    if verb not in _VERBS:
        return None
    for position, token in enumerate(tokens):
        if token.word in _BEFORE_TABLE:
            table = _table_at(tokens, position + 1)
            if table:
                return f"{verb} {table}"
    return verb


def _table_at(tokens: Sequence[Token], position: int) -> str:
    while position < len(tokens) and tokens[position].word in _SKIPPED:
        position += 1
    parts: list[str] = []
    while position < len(tokens) and tokens[position].name:
        parts.append(tokens[position].name)
        if tokens[position + 1 : position + 2] == [] or tokens[position + 1].text != ".":
            break
        position += 2
    is_call = tokens[position + 1 : position + 2] != [] and tokens[position + 1].text == "(" and len(parts) == 1
    return "" if is_call and tokens[0].word in {"SELECT", "WITH", "VALUES"} else ".".join(parts)
