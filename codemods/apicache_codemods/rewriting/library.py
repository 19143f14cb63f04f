"""What migrate has to know of a client library beyond its detector: what is the same after a hit.

A library's facts are a file in `libraries/` named like its detector, which assigns `LIBRARY`; a library without one has
the defaults. Sites of a library that the runtime has no adapter for are never rewritten.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from apicache import adapters
from apicache_codemods.rewriting import libraries


@dataclass(frozen=True, slots=True)
class Library:
    """The card of a client library.

    `calls` are the paths below a client that the adapter answers, None for all that the detector knows; `clients` the
    classes it takes, None for all. `plain` names, by argument, the classes whose objects do nothing but hold settings.
    """

    has_adapter: bool = True
    is_rewritten: bool = True
    """Whether migrate knows how the library's responses are used."""
    calls: frozenset[str] | None = None
    clients: frozenset[str] | None = None
    decodes_json: bool = False
    """Whether `returns="json"` is what `.json()` without arguments gives."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that the constructor reads when the keyword is not given, or always."""
    plain: Mapping[str, frozenset[str]] = field(default_factory=dict)
    module_client: bool = True
    """Whether the adapter answers calls of the module's own functions."""


@cache
def library_named(name: str) -> Library:
    """The card of a library."""
    if name not in adapters.known():
        return Library(has_adapter=False)
    if name not in {module.name for module in pkgutil.iter_modules(libraries.__path__)}:
        return Library()
    card: Library = importlib.import_module(f"{libraries.__name__}.{name}").LIBRARY
    return card
