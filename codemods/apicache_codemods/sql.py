"""SQL texts in one written form, so that calls that send the same statement are seen to.

Whitespace, comments, the case of keywords, literals, placeholders and the length of `IN` lists and of repeated `VALUES`
rows do not tell two statements apart; names keep their case, since a server may. Any dialect is read, and fragments
with holes `{}` too: the runtime's tokens, of one dialect at a time and refusing what is uncertain, are no use here.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

_TOKEN = re.compile(
    r"(?P<space>[\s\ufeff]+|--[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<text>[eEbBxXnN]?'(?:\\.|''|[^'\\])*(?:'|\Z)|\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)?\$|\$\$.*?\$\$)"
    r"|(?P<name>\"(?:[^\"]|\"\")*\"|`[^`]*`)"
    r"|(?P<placeholder>%\(\w+\)[a-z]|%[sdb](?!\w)|\?\d*|\$\d+|(?<![:\w]):[A-Za-z_]\w*|@[A-Za-z_]\w*)"
    r"|(?P<word>(?:[^\W\d]|\{\})(?:[\w$]|\{\})*)"
    r"|(?P<number>0[xX][0-9A-Fa-f]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<cast>::)"
    r"|(?P<operator>->>?|<->|[-+]|(?:[*/<>=~!#^&|]|%%|%(?![(\w])|[@:](?![A-Za-z_]))+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words(
    """
    ADD ALL ALTER ANALYZE AND ANY AS ASC ATTACH BEGIN BETWEEN BY CALL CASCADE CASE CHECK COLLATE COLUMN COMMIT
    CONFLICT CONSTRAINT COPY CREATE CROSS DATABASE DEFAULT DELETE DESC DESCRIBE DETACH DISTINCT DO DROP DUPLICATE ELSE
    END EXCEPT EXEC EXECUTE EXISTS EXPLAIN FALSE FETCH FOR FOREIGN FROM FULL GLOB GRANT GROUP HAVING IF IGNORE ILIKE
    IN INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE LIMIT MATERIALIZED MERGE NATURAL NOT NOTHING NULL NULLS
    OFFSET ON OR ORDER OUTER OVER PARTITION PRAGMA PRIMARY RECURSIVE REFERENCES REINDEX RELEASE RENAME REPLACE
    RETURNING REVOKE RIGHT ROLLBACK SAVEPOINT SCHEMA SELECT SET SHOW TABLE TEMP TEMPORARY THEN TO TRANSACTION TRIGGER
    TRUE TRUNCATE UNION UNIQUE UPDATE USE USING VACUUM VALUES VIEW WHEN WHERE WINDOW WITH WITHOUT
    """
)
_AFTER = {
    "KEY": frozenset({"PRIMARY", "FOREIGN", "DUPLICATE", "UNIQUE"}),
    "INDEX": frozenset({"CREATE", "UNIQUE", "DROP"}),
}
"""Words that are keywords behind certain others and common names elsewhere."""
_FUNCTIONS = _words(
    """
    ABS ARRAY_AGG AVG CAST CEIL COALESCE CONCAT COUNT CURRENT_DATE CURRENT_TIMESTAMP DATE DATETIME DATE_TRUNC DENSE_RANK
    EXTRACT FLOOR GREATEST GROUP_CONCAT IFNULL ISNULL JSON_AGG JSON_EXTRACT JULIANDAY LAG LAST_INSERT_ROWID LEAD LEAST
    LENGTH LOWER LTRIM MAX MD5 MIN MOD NOW NULLIF RANDOM RANK REPLACE ROUND ROW_NUMBER RTRIM STRFTIME STRING_AGG SUBSTR
    SUBSTRING SUM TO_CHAR TO_TIMESTAMP TOTAL TRIM UNNEST UPPER
    """
)
_STATEMENTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})
_BOOKKEEPING = _words("ATTACH BEGIN COMMIT DETACH END PRAGMA RELEASE ROLLBACK SAVEPOINT SET SHOW START USE VACUUM")
"""Statements that speak of the connection or the transaction, not of data."""
_NAMING = _words("FROM INTO UPDATE TABLE JOIN VIEW EXISTS CALL EXEC COPY TRUNCATE DATABASE SCHEMA ON ONLY IGNORE")
"""Words behind which the name of a table, or of what else a statement works on, stands."""
_VALUES = frozenset({"?", "{}"})
_OPENING, _CLOSING = frozenset("(["), frozenset(")],;.")
_FEWEST_VALUES = 1


class Statement(msgspec.Struct, frozen=True):
    """A normalised statement and its verb in capitals, None when not even that is known."""

    text: str
    verb: str | None


def statement_of(sql: str, command: str = "") -> Statement | None:
    """The statement that a call sends, its dynamic parts written `{}`; None when nothing of it is known.

    `command` is put in front: of a stored procedure's name, `CALL`.
    """
    if not sql.replace("{}", "").strip(" \t\r\n;()"):
        return None
    pieces = _collapsed(list(_pieces(f"{command} {sql}")))
    while pieces and pieces[-1] == ";":
        pieces.pop()
    text = _rendered(pieces)
    return Statement(text, _verb(pieces)) if text else None


def is_about_data(sql: str) -> bool:
    """Whether a normalised statement names what it works on, so that sharing it is no coincidence."""
    pieces = list(_pieces(sql))
    if not pieces or pieces[0] in _BOOKKEEPING or _verb(pieces) is None:
        return False
    return any(
        before in _NAMING and piece not in KEYWORDS and re.search(r"[^\W\d]", piece)
        for before, piece in pairwise(pieces)
    )


def _pieces(sql: str) -> Iterator[str]:
    """The pieces in their written form; a number's sign belongs to it."""
    found = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(sql) if match["space"] is None]
    before = ""
    for index, (kind, text) in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else ("", "")
        if kind == "operator" and text in {"-", "+"} and following[0] == "number" and _may_precede_sign(before):
            continue
        before = _written(kind, text, before, following[1])
        yield before


def _may_precede_sign(piece: str) -> bool:
    return piece in KEYWORDS or piece in {"", "(", ",", "=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/"}


def _written(kind: str, text: str, before: str, after: str) -> str:
    if kind in {"text", "tag", "placeholder", "number"}:
        return "?"
    if kind != "word" or before == ".":
        return text
    upper = text.upper()
    is_keyword = upper in KEYWORDS or not before or before in _AFTER.get(upper, ())
    return upper if (is_keyword and after != ".") or (upper in _FUNCTIONS and after == "(") else text


def _collapsed(pieces: list[str]) -> list[str]:
    """The pieces with one value in each `IN` list, and one row of equal ones behind `VALUES`."""
    kept: list[str] = []
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        kept.append(piece)
        index += 1
        if piece == "IN":
            end = _list_end(pieces, index)
            if end:
                kept += ["(", "?", ")"]
                index = end
        elif piece == "VALUES":
            row = pieces[index : _row_end(pieces, index)]
            kept += row
            index += len(row)
            while row and pieces[index : index + len(row) + 1] == [",", *row]:
                index += len(row) + 1
    return kept


def _list_end(pieces: Sequence[str], start: int) -> int:
    """Where a list of values in parentheses that begins here ends; 0 when it is none."""
    if pieces[start : start + 1] != ["("]:
        return 0
    index = start + 1
    while index < len(pieces) and (pieces[index] in _VALUES or pieces[index] == ","):
        index += 1
    return index + 1 if index > start + _FEWEST_VALUES and pieces[index : index + 1] == [")"] else 0


def _row_end(pieces: Sequence[str], start: int) -> int:
    depth = 0
    for index in range(start, len(pieces)):
        depth += (pieces[index] == "(") - (pieces[index] == ")")
        if depth <= 0:
            return index + 1 if pieces[start] == "(" else start
    return start


def _rendered(pieces: Sequence[str]) -> str:
    text = ""
    before = ""
    for piece in pieces:
        text += piece if _sticks(before, piece) else f" {piece}"
        before = piece
    return text.strip()


def _sticks(before: str, piece: str) -> bool:
    """Whether no space stands between two pieces."""
    if not before or piece in _CLOSING or before in _OPENING or before == "." or "::" in {before, piece}:
        return True
    if piece not in _OPENING:
        return False
    return (before not in KEYWORDS or before in _FUNCTIONS) and bool(re.search(r"[\w}\"`]$", before)) and before != "{}"


def _verb(pieces: Sequence[str]) -> str | None:
    """What a statement does: its first word, or the statement behind `WITH`'s queries."""
    words = [piece for piece in pieces if piece != "("][:1]
    if not words or "{}" in words[0] or not words[0].isalpha():
        return None
    if words[0] != "WITH":
        return words[0].upper()
    depth = 0
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if not depth and piece in _STATEMENTS:
            return piece
    return None
