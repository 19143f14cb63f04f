"""What is to become an operation: its client, its call, and what the call's answer depends on besides its arguments."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from apicache_codemods.rewriting.generalise import CALLER_ARGUMENTS, CallTerm, Generalisation
from apicache_codemods.rewriting.library import library_named
from apicache_codemods.rewriting.terms import Referred, Term, environment_name


@dataclass(frozen=True, slots=True)
class ClientUse:
    """How a call reaches its client. Equal keys mean that one client can serve both calls."""

    key: Hashable
    library: str
    path: tuple[str, ...]
    """The attributes from the client to the called method: `("chat", "completions", "create")`."""
    name: str
    """What the site calls it."""
    constructor: Term | None = None
    """The closed constructor call; None for a library's module-level functions."""
    entered: bool = False
    """Whether the client is opened around the call by `with` or `async with`."""
    comments: tuple[str, ...] = ()
    """Comment lines above the client's assignment, which move with it."""
    from_factory: bool = False
    """Whether a function gives the client of the running event loop."""

    @property
    def read_once(self) -> "tuple[Ambient, ...]":
        """What it reads when it is built, once for all calls."""
        return () if self.entered or self.constructor is None else tuple(_of_constructor(self))


@dataclass(frozen=True, slots=True)
class Definition:
    """What is to be written as one operation."""

    wanted_name: str
    endpoint: str
    client: ClientUse
    call: CallTerm
    generalisation: Generalisation
    is_async: bool
    returns_json: bool
    ttl: str | None
    replaced: tuple[str, ...]
    """Module-qualified names of the functions whose calls it replaces."""


Ambient = str | Referred
"""What a call reads beside its arguments: an environment variable by its name, or a value of another module."""


def read_at_each_call(arguments: Mapping[str, Term], client: ClientUse) -> tuple[Ambient, ...]:
    """What a call with these arguments reads each time it is made, as far as its answer depends on it."""
    terms = [term for name, term in arguments.items() if name not in CALLER_ARGUMENTS]
    found = dict.fromkeys(ambient for term in terms for ambient in _read_by(term))
    if client.entered:
        found |= dict.fromkeys(_of_constructor(client))
    return tuple(found)


def locations_read(arguments: Mapping[str, Term], client: ClientUse) -> frozenset[str]:
    """The modules whose values the operation reads, by location."""
    terms = [*arguments.values(), *((client.constructor,) if client.constructor is not None else ())]
    return frozenset(part.location for term in terms for part in _read_by(term) if isinstance(part, Referred))


def _of_constructor(client: ClientUse) -> Iterator[Ambient]:
    """What building the client reads: by its arguments, or of itself where an argument is not given."""
    if client.constructor is None:
        return
    given: object = client.constructor.label[2] if len(client.constructor.label) > 2 else ()  # noqa: PLR2004 - ("call", name, keywords)
    for keyword, variable in library_named(client.library).environment.items():
        if not isinstance(given, tuple) or keyword not in given:
            yield variable
    yield from _read_by(client.constructor)


def _read_by(term: Term) -> Iterator[Ambient]:
    for part in term.walk():
        variable = environment_name(part)
        if variable is not None:
            yield variable
        elif isinstance(part.meaning, Referred):
            yield part.meaning
