"""The tables that a query reads, where its tokens tell them with certainty."""

from collections.abc import Sequence
from typing import Final

from apicache.sql.functions import words
from apicache.sql.tokens import Token

_CLAUSE_ENDS: Final = words("WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH FOR UNION INTERSECT EXCEPT SELECT")
_SKIPPED: Final = frozenset({"ONLY", "LATERAL"})


class _Group:
    """What stands between a pair of parentheses, or the whole query."""

    __slots__ = ("has_select", "in_from", "is_due")

    def __init__(self, *, is_due: bool) -> None:
        self.has_select = False
        self.in_from = is_due
        self.is_due = is_due
        """Whether a table, or a query in parentheses, comes next."""


def tables_in(tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """The names after FROM and JOIN, sorted; None when they cannot be told.

    Names of common table expressions are among them: one may hide a table of its name, or read it.
    """
    if any(_reads_without_from(tokens, position) for position in range(len(tokens))):
        return None
    found: set[str] = set()
    groups = [_Group(is_due=False)]
    position = 0
    while position < len(tokens):
        token, group = tokens[position], groups[-1]
        position += 1
        if token.text == "(":
            groups.append(_Group(is_due=group.is_due))
            group.is_due = False
        elif token.text == ")":
            groups.pop()
            if group.is_due or not groups:
                return None
        elif group.is_due and token.word in {"SELECT", "VALUES", "WITH"}:
            group.is_due = group.in_from = False
            group.has_select = token.word == "SELECT"
        elif group.is_due:
            if token.word in _SKIPPED:
                continue
            name, position = _dotted(tokens, position - 1)
            if name is None or (position < len(tokens) and tokens[position].text == "("):
                return None  # a function that gives rows: what it reads is its own
            found.add(name)
            group.is_due = False
        else:
            _follow(group, tokens, position - 1)
    return None if len(groups) > 1 or groups[-1].is_due else tuple(sorted(found))


def _reads_without_from(tokens: Sequence[Token], position: int) -> bool:
    """Whether a table may be named here otherwise: `TABLE t`, SQLite's `x IN t`."""
    word = tokens[position].word
    following = tokens[position + 1] if position + 1 < len(tokens) else None
    return word == "TABLE" or (word == "IN" and following is not None and following.kind in {"word", "name"})


def _follow(group: _Group, tokens: Sequence[Token], position: int) -> None:
    """Take in a token that names no table."""
    word = tokens[position].word
    if word == "SELECT":
        group.has_select = True
    if word == "FROM" and group.has_select and tokens[position - 1].word != "DISTINCT":
        group.is_due = group.in_from = True
    elif group.in_from and (word in {"JOIN", "STRAIGHT_JOIN"} or tokens[position].text == ","):
        group.is_due = True
    elif word in _CLAUSE_ENDS:
        group.in_from = False


def _dotted(tokens: Sequence[Token], position: int) -> tuple[str | None, int]:
    """The name that begins here, its parts joined by dots, and the position after it."""
    parts = [tokens[position].name]
    position += 1
    while position + 1 < len(tokens) and tokens[position].text == ".":
        parts.append(tokens[position + 1].name)
        position += 2
    return (".".join(parts) if all(parts) else None), position
