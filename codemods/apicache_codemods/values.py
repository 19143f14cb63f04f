"""What an expression can be worth to scan: the values of the resolver's domain.

Everything scan needs from a program is a client, a text (a URL, a method), or something either hangs on: a module, a
class, a function, an instance, a literal collection. All else is `Unknown`.
"""

import ast
from typing import TypeAlias

import msgspec

from apicache_codemods.bindings import Binding
from apicache_codemods.detector import Constructor, Detector, Request
from apicache_codemods.scopes import Frame, Scope


class Unknown(msgspec.Struct, frozen=True):
    """Not known; `parameter` when it is whatever a caller passes for that parameter."""

    parameter: Binding | None = None


class Nothing(msgspec.Struct, frozen=True):
    """The constant None: never a client, never a text."""


class Text(msgspec.Struct, frozen=True):
    """A text of literal pieces and unknown ones: `f"{base}/users"` is `(Unknown(), "/users")`."""

    parts: tuple[str | Unknown, ...]


class External(msgspec.Struct, frozen=True):
    """Something that lives outside the project, by its qualified name: `httpx.AsyncClient`, `json.loads`."""

    name: str


class Client(msgspec.Struct, frozen=True, eq=False):
    """A client; `constructed` is the call that made it, None when only an annotation or a base class says so.

    `frame` is where that call stands, `project_class` the project's own subclass of the library's class.
    """

    library: str
    detector: Detector
    class_name: str
    constructor: Constructor
    constructed: ast.Call | None = None
    frame: Frame | None = None
    project_class: "ProjectClass | None" = None


class Member(msgspec.Struct, frozen=True):
    """What hangs on a client below attributes: `client.chat.completions.create`."""

    client: Client
    path: tuple[str, ...]


class Prepared(msgspec.Struct, frozen=True, eq=False):
    """A request object built ahead of being sent; `call` holds method and URL."""

    request: Request
    call: ast.Call
    frame: Frame
    client: Client | None = None


class ProjectModule(msgspec.Struct, frozen=True):
    """A module or package of the project; `location` is its path without `.py` or `/__init__.py`."""

    location: str


class ProjectClass(msgspec.Struct, frozen=True):
    """A class of the project."""

    scope: Scope


class ProjectInstance(msgspec.Struct, frozen=True):
    """An instance of a class of the project."""

    of: ProjectClass


class Inherited(msgspec.Struct, frozen=True):
    """`super()`: the attributes of a class's bases."""

    of: ProjectClass


class ProjectFunction(msgspec.Struct, frozen=True):
    """A function or lambda of the project; `bound` is what its first parameter is already bound to."""

    scope: Scope
    bound: "ProjectInstance | ProjectClass | Client | None" = None


class Generated(msgspec.Struct, frozen=True):
    """What calling a generator function gives: entered by `with`, it is worth what the function yields."""

    function: ProjectFunction


class Literal(msgspec.Struct, frozen=True, eq=False):
    """A tuple, list or dictionary display, not yet looked into."""

    node: ast.Tuple | ast.List | ast.Dict
    frame: Frame


Value: TypeAlias = (
    Unknown
    | Nothing
    | Text
    | External
    | Client
    | Member
    | Prepared
    | ProjectModule
    | ProjectClass
    | ProjectInstance
    | Inherited
    | ProjectFunction
    | Generated
    | Literal
)
Values: TypeAlias = tuple[Value, ...]
"""The alternatives an expression may be worth, each once, in the order met."""

UNKNOWN = Unknown()
NOTHING = Nothing()
HOLE = Text((UNKNOWN,))


def text_of(values: Values) -> Text:
    """The one text among alternatives; a hole when they differ or one of them is unknown.

    Texts that differ in what fills their holes are one text. A parameter's hole names the parameter, so that a caller's
    argument can fill it.
    """
    texts = [_as_text(value) for value in dict.fromkeys(values) if not isinstance(value, Nothing)]
    if not texts or len({_shape(text) for text in texts}) != 1:
        return HOLE
    filled = [set(alternatives) for alternatives in zip(*(text.parts for text in texts), strict=True)]
    return Text(tuple(parts.pop() if len(parts) == 1 else UNKNOWN for parts in filled))


def _as_text(value: Value) -> Text:
    match value:
        case Text():
            return value
        case Unknown():
            return Text((value,))
        case _:
            return HOLE


def _shape(text: Text) -> tuple[str | None, ...]:
    return tuple(part if isinstance(part, str) else None for part in text.parts)


def join(*texts: Text) -> Text:
    """Texts one after the other, neighbouring literal pieces melted together."""
    parts: list[str | Unknown] = []
    for text in texts:
        for part in text.parts:
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part != "":
                parts.append(part)
    return Text(tuple(parts))


def literal(text: str) -> Text:
    """A text without holes."""
    return Text((text,) if text else ())


def exact(text: Text) -> str | None:
    """The text itself when it has no holes."""
    return "".join(part for part in text.parts if isinstance(part, str)) if _is_exact(text) else None


def _is_exact(text: Text) -> bool:
    return all(isinstance(part, str) for part in text.parts)
