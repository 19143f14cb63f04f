"""Expressions as terms: what may move into an operation and what has to stay at the site.

A term is *closed* when it means the same wherever it stands (a literal, an import, a module's constant), *open* when it
only means something at the site (a local name, a call), *mixed* when it has parts of both kinds. Dicts, lists, tuples,
f-strings and string concatenation are looked into; everything else is taken as one piece.

What is read anew at each call (an environment variable, another module's `settings.API`) is closed and *ambient*: it
reads the same wherever it stands, and not the same at any time.

Strings have one normal form, texts and expressions in turn, so that `f"{BASE}/users"`, `BASE + "/users"` and
`"https://api.example.com/users"` are the same term when `BASE` is a constant.
"""

import ast
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

import libcst as cst


class Openness(Enum):
    """Whether a term means the same everywhere, only at its site, or has parts of both kinds."""

    CLOSED = auto()
    MIXED = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class Literal:
    """A name that stands for this value, because its module assigns it once."""

    value: str | bytes | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Outside:
    """A name that stands for a module, or a member of one, outside the project: `requests`, `httpx.Timeout`."""

    module: str
    name: str | None = None

    @property
    def dotted(self) -> str:
        """The qualified name."""
        return self.module if self.name is None else f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Carried:
    """A name whose one assignment may be copied to another module; `term` is the assigned value."""

    name: str
    term: "Term"


@dataclass(frozen=True, slots=True)
class Inside:
    """A name that stands for a module of the project, by its location."""

    location: str


@dataclass(frozen=True, slots=True)
class Referred:
    """A value that another module of the project holds, read where it is used; `module` is what it is imported by."""

    location: str
    module: str
    name: str


Meaning: TypeAlias = Literal | Outside | Carried | Inside | Referred
Lookup: TypeAlias = Callable[[cst.Name], Meaning | None]
"""What a name means where it stands; None for one that means something only there."""
Member: TypeAlias = Callable[[Inside, str], Meaning | None]
"""What a name at the top level of a project's module means."""

Plus: TypeAlias = tuple[str]
Shape: TypeAlias = tuple[str | None, str] | Plus
"""How an expression stands in a string: (conversion, format specification), or `("+",)` for concatenation."""
PLUS: Plus = ("+",)
PLAIN: Shape = (None, "")


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """`label` is what two terms must share to be looked into together; `hint` is the key or keyword it stands under."""

    label: tuple[Hashable, ...]
    children: tuple["Term", ...]
    node: cst.BaseExpression
    hint: str
    openness: Openness
    meaning: Meaning | None = None
    folded: bool = False
    """Whether a string's normal form holds the value of a name, so that its source cannot stand elsewhere."""

    @property
    def key(self) -> Hashable:
        """Equal for terms of equal meaning, however they were written."""
        if self.label[0] == "import":
            return self.label
        return (self.label, tuple(child.key for child in self.children))

    @property
    def is_text(self) -> bool:
        """Whether it is a string whose value is known."""
        return self.label[:2] == ("value", str)

    def walk(self) -> Iterable["Term"]:
        """This term, what it carries, and every term below."""
        yield self
        if isinstance(self.meaning, Carried):
            yield from self.meaning.term.walk()
        for child in self.children:
            yield from child.walk()


_LITERALS = (cst.Integer, cst.Float, cst.Imaginary, cst.SimpleString, cst.Ellipsis)
_SINGLETONS = frozenset({"None", "True", "False"})
_ENVIRONMENT_CALLS = frozenset({"os.getenv", "os.environ.get"})
_CHANGING = frozenset({"os.environ", "os.environb"})
"""What the standard library changes by way of these names is no constant."""


@dataclass(frozen=True, slots=True)
class TermBuilder:
    """Builds terms of one module's expressions.

    Constructor calls of `pure_libraries` (`httpx.Timeout(10)`) are closed: they give constants or clients.
    """

    lookup: Lookup
    member: Member
    pure_libraries: frozenset[str]

    def term(self, node: cst.BaseExpression, hint: str) -> Term:
        """The term of an expression that stands under the key or keyword `hint`."""
        found = self._term(node, hint)
        return _open(node, hint) if self._is_changing(found) else found

    def _is_changing(self, term: Term) -> bool:
        """Whether it is a variable of a library: `openai.api_key`, which the program sets as it goes."""
        if term.label[0] != "import":
            return False
        dotted = str(term.label[1])
        library, _, name = dotted.partition(".")
        is_variable = library in self.pure_libraries and name.rpartition(".")[2].islower()
        return dotted in _CHANGING or is_variable

    def _term(self, node: cst.BaseExpression, hint: str) -> Term:  # noqa: PLR0911 - one line per kind of expression
        if isinstance(node, cst.Name) and node.value not in _SINGLETONS:
            return self._name(node, hint)
        if isinstance(node, cst.Attribute):
            return self._attribute(node, hint)
        if isinstance(node, cst.Call):
            return self._call(node, hint)
        if isinstance(node, cst.Subscript):
            return self._environ(node, hint)
        if isinstance(node, cst.Dict):
            return self._dict(node, hint)
        if isinstance(node, cst.List | cst.Tuple):
            return self._items(node, hint)
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Modulo):
            return self._interpolation(node, hint)
        pieces = self._pieces(node)
        if pieces is not None:
            return _string(pieces, node, hint)
        if isinstance(node, (*_LITERALS, cst.Name)) or _is_negative_number(node):
            return Term(_value_label(_value_of(node)), (), node, hint, Openness.CLOSED)
        return _open(node, hint)

    def _name(self, node: cst.Name, hint: str) -> Term:
        return self._meant(node, self.lookup(node), hint)

    def _meant(self, node: cst.Name | cst.Attribute, meaning: Meaning | None, hint: str) -> Term:
        if isinstance(meaning, Literal):
            folded = isinstance(meaning.value, str)
            return Term(_value_label(meaning.value), (), node, hint, Openness.CLOSED, meaning, folded=folded)
        if isinstance(meaning, Outside):
            return Term(("import", meaning.dotted), (), node, hint, Openness.CLOSED, meaning)
        if isinstance(meaning, Carried):
            return Term(("carried", meaning.term.key), (), node, hint, Openness.CLOSED, meaning)
        if isinstance(meaning, Referred):
            return Term(("referred", meaning.location, meaning.name), (), node, hint, Openness.CLOSED, meaning)
        return _open(node, hint)

    def _attribute(self, node: cst.Attribute, hint: str) -> Term:
        module = self._module(node)
        if module is not None:
            return self._meant(node, self.member(module, node.attr.value), hint)
        base = self._term(node.value, hint)
        if base.label[0] != "import":
            return _open(node, hint)
        return Term(("import", f"{base.label[1]}.{node.attr.value}"), (base,), node, hint, Openness.CLOSED)

    def _module(self, node: cst.Attribute) -> Inside | None:
        """The project's module that the attribute is a member of: `config` in `config.API_URL`."""
        found = self.lookup(node.value) if isinstance(node.value, cst.Name) else None
        return found if isinstance(found, Inside) else None

    def _call(self, node: cst.Call, hint: str) -> Term:
        """An environment look-up or a library's constructor; any other call stays at the site."""
        called = self._term(node.func, hint)
        dotted = str(called.label[1]) if called.label[0] == "import" else ""
        constructor = dotted.rpartition(".")[2][:1].isupper() and dotted.partition(".")[0] in self.pure_libraries
        if dotted not in _ENVIRONMENT_CALLS and not constructor:
            return _open(node, hint)
        if any(argument.star for argument in node.args):
            return _open(node, hint)
        keywords = tuple(argument.keyword.value if argument.keyword else "" for argument in node.args)
        arguments = [
            self.term(argument.value, keyword or hint) for argument, keyword in zip(node.args, keywords, strict=True)
        ]
        if any(argument.openness is not Openness.CLOSED for argument in arguments):
            return _open(node, hint)
        if not constructor and not (arguments and arguments[0].is_text):
            return _open(node, hint)
        return Term(("call", dotted, keywords), (called, *arguments), node, hint, Openness.CLOSED)

    def _environ(self, node: cst.Subscript, hint: str) -> Term:
        base = self._term(node.value, hint)
        index = node.slice[0].slice if len(node.slice) == 1 else None
        if base.label != ("import", "os.environ") or not isinstance(index, cst.Index):
            return _open(node, hint)
        name = self.term(index.value, hint)
        if not name.is_text:
            return _open(node, hint)
        return Term(("environ",), (base, name), node, hint, Openness.CLOSED)

    def _dict(self, node: cst.Dict, hint: str) -> Term:
        keys: list[Hashable] = []
        children = []
        for element in node.elements:
            if not isinstance(element, cst.DictElement):
                keys.append("**")
                children.append(self.term(element.value, "extra"))
                continue
            key = self.term(element.key, hint)
            keys.append(key.key if key.openness is Openness.CLOSED else "{}")
            children += [key, self.term(element.value, str(key.label[2]) if key.is_text else hint)]
        return _compound(("dict", tuple(keys)), tuple(children), node, hint)

    def _items(self, node: cst.List | cst.Tuple, hint: str) -> Term:
        if any(isinstance(element, cst.StarredElement) for element in node.elements):
            return _open(node, hint)
        children = tuple(self.term(element.value, hint) for element in node.elements)
        return _compound((type(node).__name__, len(children)), children, node, hint)

    def _interpolation(self, node: cst.BinaryOperation, hint: str) -> Term:
        left, right = self.term(node.left, hint), self.term(node.right, "value")
        return _compound(("%",), (left, right), node, hint) if left.is_text else _open(node, hint)

    def _pieces(self, node: cst.BaseExpression) -> list["_Piece"] | None:  # noqa: PLR0911 - same
        """The normal form of a string expression; None for what is not seen to be one."""
        if isinstance(node, cst.SimpleString):
            value = node.evaluated_value
            return [_Piece(value)] if isinstance(value, str) else None
        if isinstance(node, cst.ConcatenatedString):
            left, right = self._pieces(node.left), self._pieces(node.right)
            return None if left is None or right is None else [*left, *right]
        if isinstance(node, cst.FormattedString):
            return self._formatted(node)
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            left, right = self._pieces(node.left), self._pieces(node.right)
            if left is None and right is None:
                return None
            return [*(left or [self._plus(node.left)]), *(right or [self._plus(node.right)])]
        if isinstance(node, cst.Attribute) or (isinstance(node, cst.Name) and node.value not in _SINGLETONS):
            term = self.term(node, "value")
            return [_Piece(str(term.label[2]), folded=True)] if term.is_text else None
        return None

    def _plus(self, node: cst.BaseExpression) -> "_Piece":
        return _Piece((PLUS, self.term(node, "value")))

    def _formatted(self, node: cst.FormattedString) -> list["_Piece"] | None:
        pieces = []
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                pieces.append(_Piece(_unescaped(part.value, node)))
                continue
            shape = _shape(part) if isinstance(part, cst.FormattedStringExpression) else None
            if shape is None or not isinstance(part, cst.FormattedStringExpression):
                return None
            term = self.term(part.expression, _query_name(pieces) or "value")
            if shape == PLAIN and term.is_text:
                pieces.append(_Piece(str(term.label[2]), folded=True))
            else:
                pieces.append(_Piece((shape, term)))
        return pieces


_QUERY_NAME = re.compile(r"[?&]([\w.-]+)=$")


def _query_name(pieces: list["_Piece"]) -> str | None:
    """The name of the query parameter whose value comes next in a URL."""
    before = pieces[-1].content if pieces else ""
    found = _QUERY_NAME.search(before) if isinstance(before, str) else None
    return found[1] if found is not None else None


@dataclass(frozen=True, slots=True)
class _Piece:
    content: str | tuple[Shape, Term]
    folded: bool = False


def _string(pieces: list[_Piece], node: cst.BaseExpression, hint: str) -> Term:
    contents: list[Hashable] = []
    children = []
    for piece in pieces:
        if isinstance(piece.content, tuple):
            shape, child = piece.content
            contents.append(shape)
            children.append(child)
        elif contents and isinstance(contents[-1], str):
            contents[-1] += piece.content
        else:
            contents.append(piece.content)
    folded = any(piece.folded for piece in pieces)
    if not children:
        text = contents[0] if contents else ""
        return Term(("value", str, text), (), node, hint, Openness.CLOSED, folded=folded)
    closed = all(child.openness is Openness.CLOSED for child in children)
    openness = Openness.CLOSED if closed else Openness.MIXED
    return Term(("string", *contents), tuple(children), node, hint, openness, folded=folded)


def _compound(label: tuple[Hashable, ...], children: tuple[Term, ...], node: cst.BaseExpression, hint: str) -> Term:
    closed = all(child.openness is Openness.CLOSED for child in children)
    return Term(label, children, node, hint, Openness.CLOSED if closed else Openness.MIXED)


def _open(node: cst.BaseExpression, hint: str) -> Term:
    return Term(("open", code_of(node)), (), node, hint, Openness.OPEN)


def code_of(node: cst.CSTNode) -> str:
    """The source of a node."""
    return cst.Module([]).code_for_node(node)


def _is_negative_number(node: cst.BaseExpression) -> bool:
    return (
        isinstance(node, cst.UnaryOperation)
        and isinstance(node.operator, cst.Minus)
        and isinstance(node.expression, cst.Integer | cst.Float)
    )


def _value_label(value: Hashable) -> tuple[Hashable, ...]:
    return ("value", type(value), value)


def _value_of(node: cst.BaseExpression) -> Hashable:
    value: Hashable = ast.literal_eval(code_of(node.with_changes(lpar=[], rpar=[])))
    return value


def _unescaped(text: str, node: cst.FormattedString) -> str:
    """The value of an f-string's literal text."""
    braces = text.replace("{{", "{").replace("}}", "}")
    if "r" in node.prefix.lower() or "\\" not in braces:
        return braces
    return str(ast.literal_eval(f"{node.quote}{braces}{node.quote}"))


def _shape(part: cst.FormattedStringExpression) -> Shape | None:
    """Conversion and format specification; None when the specification holds expressions or the name is printed too."""
    if part.equal is not None:
        return None
    texts = [text.value for text in part.format_spec or () if isinstance(text, cst.FormattedStringText)]
    if len(texts) != len(part.format_spec or ()):
        return None
    return (part.conversion, "".join(texts))


def requires_environment(term: Term) -> bool:
    """Whether evaluating a term fails when an environment variable is not set: `os.environ["NAME"]`."""
    return any(part.label[0] == "environ" for part in term.walk())


def environment_name(part: Term) -> str | None:
    """The environment variable that this very term reads; None when it reads none."""
    if part.label[0] == "environ" or (part.label[0] == "call" and part.label[1] in _ENVIRONMENT_CALLS):
        return str(part.children[1].label[2])
    return None


def is_ambient(term: Term) -> bool:
    """Whether any part of a term is read anew each time it is evaluated."""
    return any(environment_name(part) is not None or isinstance(part.meaning, Referred) for part in term.walk())
