"""What an expression can be worth to scan: the values of the resolver's domain.

Everything scan needs from a program is a client, a text (a URL, a method), or something either hangs on: a module, a
class, a function, an instance, a literal collection. All else is `Unknown`.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import TypeAlias

import msgspec

from apicache_codemods.bindings import Binding
from apicache_codemods.detector import Constructor, Detector, Request
from apicache_codemods.scopes import Frame, Scope


class Unknown(msgspec.Struct, frozen=True):
    """Not known; `parameter` when it is whatever a caller passes for that parameter, `name` when it is a setting's."""

    parameter: Binding | None = None
    name: str | None = None


class Nothing(msgspec.Struct, frozen=True):
    """The constant None: never a client, never a text."""


class Text(msgspec.Struct, frozen=True):
    """A text of literal pieces and unknown ones: `f"{base}/users"` is `(Unknown(), "/users")`.

    `others` are what it may be instead, when a condition decides.
    """

    parts: tuple[str | Unknown, ...]
    others: tuple[tuple[str | Unknown, ...], ...] = ()

    @property
    def options(self) -> tuple["Text", ...]:
        """Each thing it may be, on its own."""
        return (self,) if not self.others else (Text(self.parts), *map(Text, self.others))


class External(msgspec.Struct, frozen=True):
    """Something that lives outside the project, by its qualified name: `httpx.AsyncClient`, `json.loads`."""

    name: str


class Client(msgspec.Struct, frozen=True, eq=False):
    """A client; `constructed` is the call that made it, None when only an annotation or a base class says so.

    `frame` is where that call stands, `project_class` the project's own subclass of the library's class. `wrapped_by`
    is the library that put a proxy around it, `completions` are the proxy's names for its main call.
    """

    library: str
    detector: Detector
    class_name: str
    constructor: Constructor
    constructed: ast.Call | None = None
    frame: Frame | None = None
    project_class: "ProjectClass | None" = None
    wrapped_by: str | None = None
    completions: frozenset[str] = frozenset()

    def request(self, path: str) -> Request | None:
        """What a call of its method `path` sends; None when that is no call method."""
        calls = self.detector.calls if self.constructor.calls is None else self.constructor.calls
        if path not in calls and path in self.completions:
            beside = f"{path.rpartition('.')[0]}.create"
            return calls.get(beside) or calls.get(self.detector.completion or "") or next(iter(calls.values()), None)
        return calls.get(path)


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


class Partial(msgspec.Struct, frozen=True, eq=False):
    """`functools.partial(function, ...)`; `call` is that call, standing in `frame`."""

    function: "Value"
    call: ast.Call
    frame: Frame


class Unnamed(msgspec.Struct, frozen=True):
    """An attribute whose name is not known: `getattr(client, method)`."""

    of: "Client | External"


class Producer(msgspec.Struct, frozen=True):
    """Something whose call gives `made`: an argument annotated `Callable[[], httpx.Client]`."""

    made: "Values"


class Collection(msgspec.Struct, frozen=True):
    """A list, a dictionary, a context variable, ...: what any of its elements may be, and any key."""

    elements: "Values"
    keys: "Values" = ()


class Row(msgspec.Struct, frozen=True):
    """A tuple of which each column is known: an element of `mapping.items()`."""

    columns: tuple["Values", ...]


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
    | Partial
    | Unnamed
    | Producer
    | Collection
    | Row
)
Values: TypeAlias = tuple[Value, ...]
"""The alternatives an expression may be worth, each once, in the order met."""

_MOST_OPTIONS = 6  # alternatives told apart of one text

UNKNOWN = Unknown()
NOTHING = Nothing()
HOLE = Text((UNKNOWN,))


def text_of(values: Values) -> Text:
    """The text that alternatives are: the first that is known, with the others.

    Texts that differ in what fills their holes are one text, and so are numbers that differ: a counter. A parameter's
    hole names the parameter, so that a caller's argument can fill it.
    """
    options = [
        option for value in dict.fromkeys(values) if not isinstance(value, Nothing) for option in _options(value)
    ]
    return _alternatives(options) if options else HOLE


def _options(value: Value) -> tuple[Text, ...]:
    match value:
        case Text():
            return value.options
        case Unknown():
            return (Text((value,)),)
        case External(name=name) if (last := name.rpartition(".")[2]).isupper() and len(last) > 1:
            return (Text((Unknown(name=last),)),)  # a constant of a settings module
        case _:
            return (HOLE,)


def _alternatives(options: Iterable[Text]) -> Text:
    """One text with alternatives; those that say nothing come last, empty ones are dropped unless there is no other."""
    by_shape: dict[tuple[str | None, ...], Text] = {}
    for option in options:
        shape = _shape(option)
        by_shape[shape] = _merged(by_shape[shape], option) if shape in by_shape else option
    found = [option for option in by_shape.values() if option.parts] or list(by_shape.values())
    numbers = [option for option in found if _is_number(option)]
    if numbers and (len(numbers) > 1 or any(map(_says_nothing, found))):
        found = [option for option in found if option not in numbers and option != HOLE] + [HOLE]
    if len(found) > _MOST_OPTIONS:
        return generalised(found)
    found.sort(key=_says_nothing)
    return Text(found[0].parts, tuple(option.parts for option in found[1:]))


def _is_number(text: Text) -> bool:
    return len(text.parts) == 1 and isinstance(text.parts[0], str) and text.parts[0].isdigit()


def _says_nothing(text: Text) -> bool:
    return all(isinstance(part, Unknown) and part.name is None for part in text.parts)


def _merged(one: Text, other: Text) -> Text:
    pairs = zip(one.parts, other.parts, strict=True)
    return Text(tuple(part if part == another else UNKNOWN for part, another in pairs))


def generalised(texts: Sequence[Text]) -> Text:
    """One text without alternatives: the segments that all begin with, a hole, the segments that all end with."""
    written = [tuple(_pieces(text)) for text in texts]
    shortest = min(map(len, written))
    ending = next((n for n in range(shortest) if len({each[-1 - n] for each in written}) > 1), shortest)
    begun = next((n for n in range(shortest - ending) if len({each[n] for each in written}) > 1), shortest - ending)
    start, end = written[0][:begun], written[0][len(written[0]) - ending :]
    known = [part for piece in start for part in piece]
    if not any(isinstance(part, str) and part.strip("/:") not in {"", "http", "https"} for part in known):
        known = []
    rest = [part for piece in end for part in piece]
    return join(Text(tuple(known)), HOLE, Text(tuple(rest)))


def _pieces(text: Text) -> Iterator[tuple[str | Unknown, ...]]:
    """A text's segments, each with the slash in front of it."""
    piece: list[str | Unknown] = []
    for part in text.parts:
        if isinstance(part, Unknown):
            piece.append(part)
            continue
        first, *more = part.split("/")
        piece += [first] if first else []
        for segment in more:
            yield tuple(piece)
            piece = [f"/{segment}"]
    yield tuple(piece)


def _shape(text: Text) -> tuple[str | None, ...]:
    return tuple(part if isinstance(part, str) else part.name and f"{{{part.name}}}" for part in text.parts)


def join(*texts: Text) -> Text:
    """Texts one after the other, neighbouring literal pieces melted together; each alternative with each."""
    if not any(text.others for text in texts):
        return Text(_joined([text.parts for text in texts]))
    count = prod(len(text.options) for text in texts)
    if count > _MOST_OPTIONS:
        return join(*(generalised(text.options) if text.others else text for text in texts))
    found = [_joined(choice) for choice in product(*((text.parts, *text.others) for text in texts))]
    return Text(found[0], tuple(dict.fromkeys(each for each in found[1:] if each != found[0])))


def _joined(texts: Iterable[tuple[str | Unknown, ...]]) -> tuple[str | Unknown, ...]:
    parts: list[str | Unknown] = []
    for text in texts:
        for part in text:
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part != "":
                parts.append(part)
    return tuple(parts)


def grown(text: Text, more: Text) -> Text:
    """`text += more`; a hole for what counts."""
    if any(_is_number(option) for option in (*text.options, *more.options)):
        return HOLE
    return join(text, more)


def united_texts(texts: Iterable[Text]) -> Text:
    """Several texts as alternatives of one."""
    return _alternatives([option for text in texts for option in text.options])


def literal(text: str) -> Text:
    """A text without holes."""
    return Text((text,) if text else ())


def exact(text: Text) -> str | None:
    """The text itself when it has no holes."""
    is_exact = not text.others and all(isinstance(part, str) for part in text.parts)
    return "".join(part for part in text.parts if isinstance(part, str)) if is_exact else None
