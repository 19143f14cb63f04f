"""What a detector states about one client library, and how detectors are found.

A detector is one file in `detectors/` that assigns `DETECTOR`; the file's name is the library's import name and the
`library` of its call sites. Nothing else lists it. A detector holds facts only: no syntax trees, no code.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

import msgspec

from apicache_codemods import detectors
from apicache_codemods.model import Kind


class Argument(msgspec.Struct, frozen=True):
    """Where an argument stands in a call: its keyword, and its position when it may be given by position."""

    keyword: str
    position: int | None = None


class Request(msgspec.Struct, frozen=True):
    """What one call sends.

    `method` is fixed (`POST`) or stands in an argument. `url` is the argument that holds the URL, or, for an SDK, the
    path below the client's base URL with dynamic parts `{}`. `prepared` is the argument that holds a request object
    built elsewhere (`client.send(request)`); method and URL are then that object's. `payload`: where the body stands.
    """

    method: str | Argument
    url: str | Argument
    payload: tuple[Argument, ...] = ()
    prepared: Argument | None = None


class Constructor(msgspec.Struct, frozen=True):
    """A class, or a function, whose call gives a client.

    `base_urls` maps a keyword that sets the base URL to the path appended to its value. `base_url` is the base when no
    such keyword is given; None when the client has none.
    """

    is_async: bool = False
    base_urls: Mapping[str, str] = msgspec.field(default_factory=dict)
    base_url: str | None = None


class Detector(msgspec.Struct, frozen=True):
    """The card of a client library; names are qualified (`httpx.AsyncClient`), calls are paths below a client.

    `requests` maps classes whose instances carry method and URL into a `prepared` argument. `same_client` are methods
    that return the client they are called on, `transparent` attributes that stand between client and call method and
    change neither method nor URL.
    """

    documentation: str
    constructors: Mapping[str, Constructor]
    calls: Mapping[str, Request]
    functions: Mapping[str, Request]
    requests: Mapping[str, Request] = msgspec.field(default_factory=dict)
    same_client: frozenset[str] = frozenset()
    transparent: frozenset[str] = frozenset()
    kind: Kind = "http"
    base_url: str | None = None
    """Base URL of the module's own functions, for an SDK."""


@cache
def load_detectors() -> Mapping[str, Detector]:
    """Every detector by its library's name, in the order of names."""
    names = sorted(module.name for module in pkgutil.iter_modules(detectors.__path__))
    return {name: importlib.import_module(f"{detectors.__name__}.{name}").DETECTOR for name in names}


class Catalogue:
    """The detectors' names put together: what a qualified name of a library stands for."""

    def __init__(self, by_library: Mapping[str, Detector]) -> None:
        self.by_library = by_library
        self.constructors: dict[str, tuple[str, Constructor]] = {}
        self.functions: dict[str, tuple[str, Request]] = {}
        self.requests: dict[str, Request] = {}
        self.call_names: set[str] = set()
        """Last parts of every call method and function: what a call site's attribute can be called."""
        self._known: set[str] = set()
        for library, detector in by_library.items():
            self.constructors |= {name: (library, constructor) for name, constructor in detector.constructors.items()}
            self.functions |= {name: (library, request) for name, request in detector.functions.items()}
            self.requests |= detector.requests
            self.call_names |= {name.rpartition(".")[2] for name in (*detector.calls, *detector.functions)}
            for name in (*detector.constructors, *detector.functions, *detector.requests):
                parts = name.split(".")
                self._known |= {".".join(parts[: length + 1]) for length in range(len(parts))}

    def leads_to_call(self, name: str) -> bool:
        """Whether a qualified name is a constructor or a function, or a module or class that such a name lies below."""
        return name in self._known

    def below(self, name: str) -> set[str]:
        """The next parts of the known names below a qualified name: `Client`, `get`, ... below `httpx`."""
        prefix = f"{name}."
        return {known[len(prefix) :].partition(".")[0] for known in self._known if known.startswith(prefix)}
