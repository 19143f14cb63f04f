"""Which SQL text is a read whose answer may be kept, and what identifies it.

Only what is certainly a read is one: a single SELECT, VALUES or WITH ... SELECT that locks nothing, writes nowhere,
reads no clock and calls only functions that are known to be pure. All else is refused with the reason. What a view, an
operator or a generated column calls stands in the database, not in the text, and is not looked at here.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from apicache.errors import UnidentifiableError
from apicache.sql.casts import check_casts
from apicache.sql.functions import CLOCKS, EFFECTFUL, EFFECTS, PURE, VOLATILE_WORDS, words
from apicache.sql.tables import tables_in
from apicache.sql.tokens import Dialect, Token, tokens_of

_TIME_TEXT: Final = re.compile(r"[\d:.+\-\sapm]*\b(?:now|today|tomorrow|yesterday)\b[\d:.+\-\sapm]*", re.IGNORECASE)
"""What SQLite reads as a moment that moves."""
_MOMENT: Final = re.compile(r"(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE)
_ZONE_TEXT: Final = re.compile(r"\s*(?:localtime|utc|subsec|subsecond)\s*", re.IGNORECASE)
"""What makes SQLite's time functions read the clock, or the machine's time zone."""
_OF_SESSION: Final = re.compile(
    r"pg_(?:settings|stat\w*|locks|cursors|prepared_\w+|backend\w*|shmem\w*|file_settings|temp\w*|user_mappings|roles"
    r"|replication_\w+|listening\w*|get_\w*|show_\w*|timezone_\w+)"
    r"|performance_schema|processlist|(?:session|global|user)_(?:status|variables)|enabled_roles|applicable_roles"
)
"""Tables that tell of the session, of its role or of the server as it is now."""
_RESERVED: Final = words(
    """
    ALL AND AS BETWEEN CASE CAST DISTINCT ELSE EXCEPT EXISTS FROM GROUP HAVING IN INTERSECT LIMIT NOT ON OR SELECT THEN
    UNION USING VALUES WHEN WHERE
    """
)
_BEFORE_PAREN: Final = {
    "sqlite": _RESERVED | {"IS", "JOIN"},
    "postgresql": _RESERVED | words("ANY ARRAY GROUPING LATERAL OFFSET ONLY ROW SOME"),
    "mysql": _RESERVED | {"INTERVAL", "JOIN", "OVER"},
}
"""Words that stand before `(` without calling anything: no function can have such a name without quotes.

From https://sqlite.org/src/file?name=src/parse.y (`%fallback ID`), PostgreSQL's src/include/parser/kwlist.h (reserved
and column names), https://dev.mysql.com/doc/refman/8.4/en/keywords.html.
"""
_QUERY_HEADS: Final = frozenset({"SELECT", "VALUES", "WITH"})
_AFTER: Final = {"BY": {"GROUP", "ORDER", "PARTITION"}, "OVER": {")"}, "FILTER": {")"}, "SETS": {"GROUPING"}}
"""Words that functions can have as names, and what stands before them where they are none."""
_LOCKS: Final = frozenset({"UPDATE", "SHARE", "NO", "KEY"})
_LABEL_TABLES: Final = 4


class NotAReadError(UnidentifiableError):
    """SQL that changes something, or locks it, or may."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A query that may be cached."""

    text: str
    """The query with one space between tokens, without comments: equal for queries that differ in those alone."""
    tables: tuple[str, ...] | None
    """The tables and views it reads, in lower case where they were not quoted; None when that is not certain."""
    calls: frozenset[str]
    """The functions that it calls, in lower case, and the operators that a function may stand behind (`like`)."""
    is_spelled: bool
    """True when a column of its answer may be named by the query's own spelling (`count( * )`)."""
    has_clock: bool
    """True when a text parameter may make it read the clock."""
    dialect: Dialect

    @property
    def label(self) -> str:
        """A name for statistics: SELECT and the tables."""
        shown = " ".join(["SELECT", *self.tables[:_LABEL_TABLES]]) if self.tables else "SELECT"
        return shown if len(self.tables or ()) <= _LABEL_TABLES else f"{shown} …"

    @property
    def tags(self) -> tuple[str, ...]:
        """`table:<name>` for each table; for one with a schema, with and without it."""
        names = [name for table in self.tables or () for name in (table, table.rpartition(".")[2])]
        return tuple(dict.fromkeys(f"table:{name}" for name in names))


@functools.lru_cache(maxsize=1024)
def read_of(sql: str, dialect: Dialect) -> Read:
    """The read that a text is; raises UnidentifiableError with the reason why it is none, or not one to keep."""
    tokens = tokens_of(sql, dialect)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    _check_statement(tokens)
    if dialect == "sqlite" and any((token.name or token.content).lower().startswith("pragma_") for token in tokens):
        raise UnidentifiableError("it reads a setting of its connection (pragma_...)")
    if dialect != "sqlite":
        _check_tables(tokens)
    calls = _check_calls(tokens, dialect)
    if dialect == "postgresql":
        check_casts(tokens)
    _check_literals(tokens, calls, dialect)
    if dialect == "mysql" and any("@" in token.text for token in tokens if token.kind in {"parameter", "operator"}):
        raise UnidentifiableError("it reads a variable of its session (@...)")
    operators = {token.name for token in tokens if token.word in {"LIKE", "GLOB", "REGEXP", "MATCH"}}
    return Read(
        text=" ".join(token.text for token in tokens),
        tables=tables_in(tokens),
        calls=frozenset(calls | operators),
        is_spelled=dialect != "postgresql" and _is_spelled(tokens),
        has_clock=not calls.isdisjoint(CLOCKS),
        dialect=dialect,
    )


def check_parameters(read: Read, values: Iterable[Any]) -> None:
    """Refuse texts that the query may read as the current time; raises UnidentifiableError."""
    for value in values:
        if not isinstance(value, str):
            continue
        if _is_moment(value, read.dialect) or (read.has_clock and _ZONE_TEXT.fullmatch(value)):
            raise UnidentifiableError("it is given a text that may be read as the current time")


def _is_moment(text: str, dialect: Dialect) -> bool:
    """Whether a text may be read as a moment that moves; PostgreSQL also finds one in a range or an array."""
    return bool(_MOMENT.search(text) if dialect == "postgresql" else _TIME_TEXT.fullmatch(text))


def _check_statement(tokens: Sequence[Token]) -> None:
    if not tokens:
        raise UnidentifiableError("its SQL is empty")
    first = next((token for token in tokens if token.text != "("), tokens[0])
    if first.word not in _QUERY_HEADS:
        raise NotAReadError(f"its SQL begins with {first.text!r}: only SELECT, VALUES and WITH ... SELECT are kept")
    if any(token.text == ";" for token in tokens):
        raise NotAReadError("its SQL has several statements")
    for position, token in enumerate(tokens):
        _check_word(token.word, tokens, position)
    # A PostgreSQL text that stands after another is joined to it when a line ends between them, and is wrong otherwise.
    if any(one.kind == other.kind == "text" for one, other in itertools.pairwise(tokens)):
        raise UnidentifiableError("its SQL has two texts side by side, which only a line's end joins")


def _check_word(word: str, tokens: Sequence[Token], position: int) -> None:
    following = tokens[position + 1].word if position + 1 < len(tokens) else ""
    before = tokens[position - 1] if position else None
    if not word or (before is not None and before.text == "."):
        return
    if word == "FOR" and following in _LOCKS:
        raise NotAReadError(f"it locks what it reads (FOR {following})")
    if word == "LOCK" and following == "IN":
        raise NotAReadError("it locks what it reads (LOCK IN SHARE MODE)")
    if word == "NEXT" and following == "VALUE":
        raise NotAReadError("it draws the next value of a sequence")
    if word == "INTO":
        raise NotAReadError("it writes its answer somewhere (INTO)")
    if word in EFFECTS:
        raise NotAReadError(f"it changes the database, or may ({word})")
    if word in VOLATILE_WORDS:
        raise UnidentifiableError(f"it answers otherwise each time, or by who asks ({word})")


def _check_tables(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if _OF_SESSION.fullmatch(token.name.lower()):
            raise UnidentifiableError(f"it reads {token.text}, which tells of the session or of the server")


def _check_calls(tokens: Sequence[Token], dialect: Dialect) -> set[str]:
    """The functions called; raises UnidentifiableError for one that is not known to be pure."""
    called = set()
    for position, token in enumerate(tokens[:-1]):
        if tokens[position + 1].text != "(" or token.kind not in {"word", "name", "parameter"}:
            continue
        if token.kind == "parameter":
            raise UnidentifiableError(f"it has {token.text} before a parenthesis, where it may be a call")
        if _is_no_call(tokens, position, dialect):
            continue
        name = token.name.lower()
        if EFFECTFUL.fullmatch(name):
            raise NotAReadError(f"it calls {token.text}(), which does more than read")
        if position and tokens[position - 1].text == "." and tokens[position - 2].name != "pg_catalog":
            raise UnidentifiableError(f"it calls {tokens[position - 2].text}.{token.text}(), which may do anything")
        if name not in PURE:
            raise UnidentifiableError(
                f"it calls {token.text}(), which is not known to only read and to answer alike each time"
            )
        if name in CLOCKS and _argument_count(tokens, position + 1) < CLOCKS[name]:
            raise UnidentifiableError(f"it reads the clock ({token.text}())")
        called.add(name)
    return called


def _is_no_call(tokens: Sequence[Token], position: int, dialect: Dialect) -> bool:
    """Whether the name before a `(` is a keyword, a type, an alias with column names, or a common table expression."""
    token, before = tokens[position], tokens[position - 1] if position else None
    is_named = before is not None and before.text == "."
    if token.word and not is_named and token.name not in PURE and _is_keyword(tokens, position, dialect):
        return True
    if before is not None and (before.word == "AS" or before.text == "::"):
        return True
    after = _after_parens(tokens, position + 1)
    if tokens[after : after + 1] and tokens[after].word == "AS":
        rest = [each for each in tokens[after + 1 : after + 5] if each.word not in {"NOT", "MATERIALIZED"}]
        heads = before is not None and (before.word in {"WITH", "RECURSIVE"} or before.text == ",")
        # `FROM t, f(x) AS (a int)` calls f: there, no query stands in the parentheses.
        return heads and [each.text for each in rest[:1]] == ["("] and rest[1].word in _QUERY_HEADS
    return False


def _is_keyword(tokens: Sequence[Token], position: int, dialect: Dialect) -> bool:
    """Whether a word before a `(` can be nothing but a keyword there."""
    word = tokens[position].word
    if word in _BEFORE_PAREN[dialect]:
        return True
    before = [token.word or token.text for token in tokens[max(position - 2, 0) : position]]
    inside = tokens[position + 2].word if position + 2 < len(tokens) else ""
    if word in {"CUBE", "ROLLUP"}:  # elsewhere the functions of an extension
        return dialect == "postgresql" and before == ["GROUP", "BY"]
    if word == "MATERIALIZED":
        return before == ["AS", "NOT"]
    if word == "JOIN":
        return inside in _QUERY_HEADS
    return before[-1:] != [] and before[-1] in _AFTER.get(word, ()) and (word != "FILTER" or inside == "WHERE")


def _after_parens(tokens: Sequence[Token], opening: int) -> int:
    """The position after the `)` that closes the `(` at `opening`."""
    depth = 0
    for position in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position].text, 0)
        if depth == 0:
            return position + 1
    raise UnidentifiableError("its SQL has a parenthesis without an end")


def _argument_count(tokens: Sequence[Token], opening: int) -> int:
    end = _after_parens(tokens, opening) - 1
    if end == opening + 1:
        return 0
    depth, commas = 0, 0
    for token in tokens[opening:end]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        commas += depth == 1 and token.text == ","
    return commas + 1


def _check_literals(tokens: Iterable[Token], calls: set[str], dialect: Dialect) -> None:
    has_clock = not calls.isdisjoint(CLOCKS)
    for token in tokens:
        content = token.content
        if token.text[0] == '"' and dialect != "postgresql":  # a text where no column has that name
            content = token.name
        if _is_moment(content, dialect) or (has_clock and _ZONE_TEXT.fullmatch(content)):
            raise UnidentifiableError(f"it may read the clock, or the machine's time zone ({token.text})")


_LIST_END: Final = words("FROM WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH FOR UNION INTERSECT EXCEPT")


def _is_spelled(tokens: Sequence[Token]) -> bool:
    """Whether any SELECT list has an item that is neither `*`, a column, nor named by AS."""
    return any(
        not _has_own_name(item)
        for position, token in enumerate(tokens)
        if token.word == "SELECT"
        for item in _items(tokens, position + 1)
    )


def _items(tokens: Sequence[Token], start: int) -> Iterable[list[Token]]:
    item: list[Token] = []
    depth = 0
    for position in range(start, len(tokens)):
        token = tokens[position]
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0 or (depth == 0 and token.word in _LIST_END):
            break
        if depth == 0 and token.text == ",":
            yield item
            item = []
        elif item or token.word not in {"DISTINCT", "ALL"}:
            item.append(token)
    yield item


def _has_own_name(item: Sequence[Token]) -> bool:
    if len(item) >= 3 and item[-2].word == "AS":  # noqa: PLR2004 - an expression, AS, a name
        return True
    return all(token.kind in {"word", "name"} or token.text in {".", "*"} for token in item) and (
        len(item) % 2 == 1 and all(token.text == "." for token in item[1::2])
    )
