"""SQL text as tokens: words, quoted names, texts, numbers, operators; comments and whitespace are left out.

What the dialects quote differently is told apart by the dialect: nested comments, dollar quotes and `E''` are
PostgreSQL's, `[name]` is SQLite's, backslash escapes and `#` comments MySQL's. Text that a server's settings may read
in another way (a backslash in MySQL's quotes), or that escapes may hide (`E''`, `U&''`), is refused.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from apicache.errors import UnidentifiableError
from apicache.sql.functions import VOLATILE_WORDS

Dialect = Literal["sqlite", "postgresql", "mysql"]

_SPACE: Final = re.compile(r"[ \t\n\r\f]+")
_WORD: Final = re.compile(r"[^\W\d][\w$]*")
_NUMBER: Final = re.compile(
    r"0[xX][0-9A-Fa-f_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
)
_DOLLAR: Final = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_PARAMETER: Final = {
    "sqlite": re.compile(r"\?\d*|(?<![:\w]):[A-Za-z_]\w*|@[A-Za-z_]\w*|\$\w+"),
    "postgresql": re.compile(r"\$\d+|(?<![:\w]):[A-Za-z_]\w*|%\(\w+\)s(?!\w)|%s(?!\w)"),
    "mysql": re.compile(r"\?|(?<![:\w]):[A-Za-z_]\w*|@[A-Za-z_]\w*|%\(\w+\)s(?!\w)|%s(?!\w)"),
}
"""Which of `%s`, `%(a)s` and `:a` a driver knows is not told: one that knows none reads a column there, no more."""
_OPERATOR: Final = {
    "sqlite": frozenset("+-*/<>=~!%&|"),
    "postgresql": frozenset("+-*/<>=~!@#%^&|?:`"),
    "mysql": frozenset("+-*/<>=~!%^&|:"),
}
_PREFIXES: Final = {"e", "b", "x", "n"}
"""Words that belong to the text that follows them at once: `E'..'`, `x'00'`."""
_LINE_END: Final = re.compile(r"[\n\r]")
_COMMENT_MARK: Final = {"postgresql": re.compile(r"/\*|\*/")}
_COMMENT_END: Final = re.compile(r"\*/")


class Token(msgspec.Struct, frozen=True):
    """One token as it stands in the text."""

    kind: Literal["word", "name", "text", "number", "parameter", "operator", "mark"]
    """`name` is a quoted identifier; `mark` one of `( ) [ ] { } , ; .`."""
    text: str

    @property
    def word(self) -> str:
        """A word in upper case; empty for every other kind."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier, in lower case where it was not quoted; empty for what is none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind != "name":
            return ""
        quote = self.text[-1]
        return self.text[1:-1].replace(quote * 2, quote)

    @property
    def content(self) -> str:
        """What a text holds, escapes as they were written; empty for every other kind."""
        if self.kind != "text":
            return ""
        tag = _DOLLAR.match(self.text)
        if tag is not None:
            return self.text[tag.end() : -tag.end()]
        return self.text[self.text.index("'") + 1 : -1]


def tokens_of(sql: str, dialect: Dialect) -> list[Token]:
    """The tokens of a text; raises UnidentifiableError for one that cannot be read with certainty."""
    return list(_tokens(sql, dialect))


def _tokens(sql: str, dialect: Dialect) -> Iterator[Token]:
    position = 0
    while position < len(sql):
        skipped = _skipped(sql, position, dialect)
        if skipped > position:
            position = skipped
            continue
        token = _token_at(sql, position, dialect)
        yield token
        position += len(token.text)


def _skipped(sql: str, position: int, dialect: Dialect) -> int:
    """Where whitespace or a comment that begins here ends."""
    space = _SPACE.match(sql, position)
    if space is not None:
        return space.end()
    two = sql[position : position + 2]
    if two == "--" and (dialect != "mysql" or sql[position + 2 : position + 3] in {"", " ", "\t", "\n"}):
        return _end_of_line(sql, position, dialect)
    if dialect == "mysql" and two[:1] == "#":
        return _end_of_line(sql, position, dialect)
    if two == "/*":
        return _end_of_comment(sql, position, dialect)
    return position


def _end_of_line(sql: str, position: int, dialect: Dialect) -> int:
    # A lone carriage return ends PostgreSQL's comments, but not the others'.
    found = _LINE_END.search(sql, position) if dialect == "postgresql" else None
    end = found.start() if found is not None else sql.find("\n", position)
    return len(sql) if end < 0 else end


def _end_of_comment(sql: str, position: int, dialect: Dialect) -> int:
    if sql[position + 2 : position + 3] in {"!", "+"} or sql.startswith("M!", position + 2):
        raise UnidentifiableError("its SQL has a comment that its server may run or read as a hint")
    depth = 1
    position += 2
    while depth:
        mark = _COMMENT_MARK.get(dialect, _COMMENT_END).search(sql, position)
        if mark is None:
            raise UnidentifiableError("its SQL has a comment without an end")
        depth, position = depth + (1 if mark.group() == "/*" else -1), mark.end()
    return position


def _token_at(sql: str, position: int, dialect: Dialect) -> Token:
    first = sql[position]
    if first in "'\"`":
        return Token("text" if first == "'" else "name", _quoted(sql, position, position, dialect))
    if first == "[" and dialect == "sqlite":
        return Token("name", _delimited(sql, position, "[", "]"))
    dollar = _DOLLAR.match(sql, position) if dialect == "postgresql" else None
    if dollar is not None:
        return Token("text", _delimited(sql, position, dollar.group(), dollar.group()))
    word = _WORD.match(sql, position)
    return _plain_token(sql, position, dialect) if word is None else _word(sql, word, dialect)


def _plain_token(sql: str, position: int, dialect: Dialect) -> Token:
    number = _NUMBER.match(sql, position)
    if number is not None:
        return Token("number", number.group())
    if sql[position] in "()[]{},;.":
        return Token("mark", sql[position])
    parameter = _PARAMETER[dialect].match(sql, position)
    if parameter is not None:
        if dialect != "sqlite" and parameter.group().strip(":%()s").upper() in VOLATILE_WORDS:
            raise UnidentifiableError(f"its SQL has {parameter.group()}, which not every driver takes as a parameter")
        return Token("parameter", parameter.group())
    return Token("operator", _operator(sql, position, dialect))


def _delimited(sql: str, position: int, opening: str, closing: str) -> str:
    end = sql.find(closing, position + len(opening))
    if end < 0:
        raise UnidentifiableError("its SQL has a quote without an end")
    return sql[position : end + len(closing)]


def _word(sql: str, word: "re.Match[str]", dialect: Dialect) -> Token:
    end = word.end()
    prefixed = word.group().lower()
    if prefixed in _PREFIXES and sql.startswith("'", end):
        return Token("text", _quoted(sql, word.start(), end, dialect))
    if prefixed == "u" and sql.startswith(("&'", '&"'), end):
        raise UnidentifiableError("its SQL has a text or name with Unicode escapes")
    return Token("word", word.group())


def _quoted(sql: str, start: int, opening: int, dialect: Dialect) -> str:
    """The quoted text from its prefix at `start` to its closing quote; a doubled quote is part of it."""
    quote = sql[opening]
    escapes = dialect == "postgresql" and sql[start] in "eE" and quote == "'"
    position = opening + 1
    while position < len(sql):
        character = sql[position]
        if character == "\\" and dialect == "mysql":
            raise UnidentifiableError("its SQL has a backslash in quotes, which MySQL's settings may read differently")
        if character == "\\" and escapes:
            raise UnidentifiableError("its SQL has a text with escapes (E'...'), which may spell a moment that moves")
        if character != quote:
            position += 1
        elif sql.startswith(quote, position + 1):
            position += 2
        else:
            return sql[start : position + 1]
    raise UnidentifiableError("its SQL has a quote without an end")


def _operator(sql: str, position: int, dialect: Dialect) -> str:
    end = position
    while end < len(sql) and sql[end] in _OPERATOR[dialect] and _skipped(sql, end, dialect) == end:
        end += 1
    if end == position:
        raise UnidentifiableError(f"its SQL has the character {sql[position]!r}, which is no SQL")
    return sql[position:end]
