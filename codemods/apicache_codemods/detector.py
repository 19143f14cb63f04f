"""What a detector states about one client library, and how detectors are found.

A detector is one file in `detectors/` that assigns `DETECTOR`; the file's name is the library's import name and the
`library` of its call sites, unless the card says otherwise. Nothing else lists it. A detector holds facts only: no
syntax trees, no code.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from itertools import chain
from typing import Literal

import msgspec

from apicache_codemods import detectors
from apicache_codemods.model import Kind


class Argument(msgspec.Struct, frozen=True):
    """Where an argument stands in a call: its keyword, and its position when it may be given by position."""

    keyword: str
    position: int | None = None


class Verb(msgspec.Struct, frozen=True):
    """A method that arguments decide: `argument` where it is given, else POST when there is a `body`, else GET."""

    body: Argument | None = None
    argument: Argument | None = None


class Request(msgspec.Struct, frozen=True):
    """What one call sends.

    `method` is fixed (`POST`) or stands in an argument. `url` is the argument that holds the URL, or, for an SDK, the
    path below the client's base URL with dynamic parts `{}`. `prepared` is the argument that holds a request object
    built elsewhere (`client.send(request)`); method and URL are then that object's. `payload`: where the body stands.
    For a database, `url` is the statement and `method` a word put in front of it (`CALL`), mostly none.
    """

    method: str | Argument | Verb
    url: str | Argument
    payload: tuple[Argument, ...] = ()
    prepared: Argument | None = None
    is_async: bool = False
    """Whether the call gives an awaitable though its client or module does not say so: `litellm.acompletion`."""
    base_urls: tuple[str, ...] = ()
    """Keywords of the call itself that set the base URL."""


class Variant(msgspec.Struct, frozen=True):
    """The class that a constructor gives when its arguments are these constants: `boto3.client("bedrock-runtime")`.

    A text that ends with `/` or `:` stands for every text that begins so.
    """

    arguments: tuple[tuple[Argument, str | bool], ...]
    class_name: str


class Address(msgspec.Struct, frozen=True):
    """Where a constructor's arguments hold the base URL: `HTTPSConnection(host, port)` is `https://host:port`."""

    host: Argument
    port: Argument | None = None
    scheme: str = ""


class Constructor(msgspec.Struct, frozen=True):
    """A class, or a function, whose call gives a client.

    `base_urls` maps a keyword that sets the base URL to the path appended to its value. `base_url` is the base when no
    such keyword is given; None when the client has none.
    """

    is_async: bool = False
    base_urls: Mapping[str, str] = msgspec.field(default_factory=dict)
    base_url: str | None = None
    parameters: tuple[str, ...] = ()
    """The keywords of its first positional parameters, as far as `base_urls` names them."""
    calls: Mapping[str, Request] | None = None
    """Its own call methods, in place of the detector's."""
    opens: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Methods that give another client, with its class among the constructors: `chats.create`; `()` is the client's own
    call."""
    holds: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Attributes that are another client, with its class."""
    address: Address | None = None
    """The base URL when it is not one keyword."""
    joining: Literal["append", "resolve"] = "append"
    """Whether relative URLs are appended to the base or resolved against it (RFC 3986, section 5.2)."""
    variants: tuple[Variant, ...] = ()
    """The first that fits is what is made; when none does, the constructor itself is."""
    abstract: bool = False
    """Whether a class of the project that derives from it makes its own requests."""


class Wrapper(msgspec.Struct, frozen=True):
    """A function that gives a proxy of a client passed to it, or of a function that makes a request.

    `completions` are calls of the proxy that are worth the main call of the client's library. `takes` are the classes,
    among the constructors, of the first argument when nothing else tells.
    """

    client: tuple[Argument, ...]
    completions: frozenset[str] = frozenset()
    takes: tuple[str, ...] = ()


class Detector(msgspec.Struct, frozen=True):
    """The card of a client library; names are qualified (`httpx.AsyncClient`), calls are paths below a client.

    `requests` maps classes whose instances carry method and URL into a `prepared` argument. `same_client` are methods
    that return the client they are called on, `transparent` attributes that stand between client and call method and
    change neither method nor URL. `completion` is the call that a wrapper's `completions` are worth.
    """

    documentation: str
    constructors: Mapping[str, Constructor] = msgspec.field(default_factory=dict)
    calls: Mapping[str, Request] = msgspec.field(default_factory=dict)
    functions: Mapping[str, Request] = msgspec.field(default_factory=dict)
    requests: Mapping[str, Request] = msgspec.field(default_factory=dict)
    same_client: frozenset[str] = frozenset()
    transparent: frozenset[str] = frozenset()
    kind: Kind = "http"
    base_url: str | None = None
    """Base URL of the module's own functions, for an SDK."""
    base_attributes: tuple[str, ...] = ()
    """Attributes of the module that set this base URL: `openai.api_base = ...`."""
    completion: str | None = None
    library: str | None = None
    """A readable name for the library when its import name has a dot or there are several; else the file's name."""
    modules: tuple[str, ...] = ()
    """The import names, dotted ones too; else the file's name."""
    wrappers: Mapping[str, Wrapper] = msgspec.field(default_factory=dict)
    """Functions whose result is a wrapped client, `wrapped_by` this library."""
    aliases: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Modules that stand in for another library's, `wrapped_by` this one: `langfuse.openai` for `openai`."""
    texts: frozenset[str] = frozenset()
    """Functions whose call is worth the text of its first argument: `sqlalchemy.text`."""
    statements: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Functions that build a statement, with its verb: `sqlalchemy.select`."""
    is_common_name: bool = False
    """Whether a project may well have a module of its own by the library's name; that one is then meant."""


@cache
def load_detectors() -> Mapping[str, Detector]:
    """Every detector by its library's name, in the order of names."""
    names = sorted(module.name for module in pkgutil.iter_modules(detectors.__path__))
    found = {name: importlib.import_module(f"{detectors.__name__}.{name}").DETECTOR for name in names}
    return {detector.library or name: _named(name, detector) for name, detector in found.items()}


def _named(name: str, detector: Detector) -> Detector:
    return detector if detector.modules else msgspec.structs.replace(detector, modules=(name,))


class Catalogue:
    """The detectors' names put together: what a qualified name of a library stands for."""

    def __init__(self, by_library: Mapping[str, Detector]) -> None:
        self.by_library = by_library
        self.constructors: dict[str, tuple[str, Constructor]] = {}
        self.functions: dict[str, tuple[str, Request]] = {}
        self.requests: dict[str, Request] = {}
        self.texts: set[str] = set()
        self.statements: dict[str, str] = {}
        self.call_names: set[str] = set()
        """Last parts of every call method and function: what a call site's attribute can be called."""
        self.wrappers: dict[str, tuple[str, Wrapper]] = {}
        self.wrapped: dict[str, str] = {}
        """Constructors and functions that stand in for another library's, with the library that wraps it."""
        self._known: set[str] = set()
        self._below: dict[str, set[str]] = {}
        for library, detector in by_library.items():
            self.constructors |= {name: (library, constructor) for name, constructor in detector.constructors.items()}
            self.functions |= {name: (library, request) for name, request in detector.functions.items()}
            self.requests |= detector.requests
            self.texts |= detector.texts
            self.statements |= detector.statements
            self.wrappers |= {name: (library, wrapper) for name, wrapper in detector.wrappers.items()}
            own = (constructor.calls or () for constructor in detector.constructors.values())
            completions = (wrapper.completions for wrapper in detector.wrappers.values())
            called = (*detector.calls, *detector.functions, *chain(*own), *chain(*completions))
            self.call_names |= {name.rpartition(".")[2] for name in called}
        for library, detector in by_library.items():
            self._alias(library, detector.aliases)
            if detector.wrappers:
                self.wrapped |= dict.fromkeys(detector.constructors, library)
        for name in (*self.constructors, *self.functions, *self.requests, *self.wrappers):
            parts = name.split(".")
            self._known |= {".".join(parts[: length + 1]) for length in range(len(parts))}

    def _alias(self, library: str, aliases: Mapping[str, str]) -> None:
        for alias, target in aliases.items():
            constructors = {name: made for name, made in self.constructors.items() if name.startswith(f"{target}.")}
            functions = {name: sent for name, sent in self.functions.items() if name.startswith(f"{target}.")}
            renamed = {name: f"{alias}{name.removeprefix(target)}" for name in (*constructors, *functions)}
            self.constructors |= {renamed[name]: made for name, made in constructors.items()}
            self.functions |= {renamed[name]: sent for name, sent in functions.items()}
            self.wrapped |= dict.fromkeys(renamed.values(), library)

    @property
    def modules(self) -> frozenset[str]:
        """The import names of all libraries."""
        return frozenset(module for detector in self.by_library.values() for module in detector.modules)

    @property
    def common_modules(self) -> frozenset[str]:
        """Those of them that mean a module of the project where it has one."""
        common = (detector.modules for detector in self.by_library.values() if detector.is_common_name)
        return frozenset(chain(*common))

    def leads_to_call(self, name: str) -> bool:
        """Whether a qualified name is a constructor or a function, or a module or class that such a name lies below."""
        return name in self._known

    def below(self, name: str) -> set[str]:
        """The next parts of the known names below a qualified name: `Client`, `get`, ... below `httpx`."""
        if not self._below:
            for known in self._known:
                above, _, part = known.rpartition(".")
                self._below.setdefault(above, set()).add(part)
        return self._below.get(name, set())
