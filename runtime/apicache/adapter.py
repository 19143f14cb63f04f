"""What an adapter is: the runtime's knowledge of one client library.

An adapter is a module in `apicache.adapters` named like the library's import; the functions of `Adapter` are the
module's functions. It may import its library at the top: it is itself imported only once the library's own objects
have turned up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from apicache.errors import UnidentifiableError

if TYPE_CHECKING:
    from apicache.http.semantics import Validators  # not at run time: 4 ms, and only HTTP libraries' adapters need it


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """A call as its adapter sees it."""

    label: str
    """Name for statistics, of bounded variety and free of parameters: `GET api.example.com`."""
    parameters: Any
    """Everything that affects the answer, encodable by `tagged.canonical`."""
    credentials: Any
    """Whose call it is, encodable by `tagged.canonical`; digested, never stored."""
    context: Any
    """What `replay` needs of the live call; never stored."""
    carries_credentials: bool = False
    """Whether the request carries a credential: a header, an auth setting, a cookie, or one in its URL."""
    needs_scope: str | None = None
    """Why it goes uncached unless the policy has a scope: what the adapter cannot see says whose answer it is."""
    send: Callable[[], Any] | None = None
    """Makes exactly the call that was identified, and gives its result, or a Loaded; None when the callable itself is
    called."""
    streamed: "Streamed | None" = None
    """How a call whose answer comes in chunks is made and given; None for any other."""
    revalidate: "Callable[[Validators], Callable[[], Any]] | None" = None
    """Given an entry's validators, the load that asks whether it still holds: the identified request with
    If-None-Match and If-Modified-Since added. None when the call cannot be made that way."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A response as stored."""

    data: Any
    """Plain values that `tagged.encode` carries; no credential in them."""
    refusal: str | None
    """Why it must not be stored though it can be copied (`status 503`); None when it may be."""
    lifetime: float | None
    """Seconds that the response itself allows; None when it does not say, 0 when it must be revalidated each time.
    0 comes only with validators, or with `forbidden`."""
    status: int | None = None
    """The HTTP status; None where there is none."""
    forbidden: bool = False
    """True when the response's own headers forbid storing it, which the policy may override; `refusal` is None then
    unless something else refuses it."""
    negative: str | None = None
    """`status 404` and its like: an error that is stored only under a policy's negative ttl; `refusal` is None then
    unless something else refuses it."""
    private: bool = False
    """True when it is for one user only: to be stored only for calls that carry a credential or have a scope."""
    validators: "Validators" = ()
    must_revalidate: bool = False
    """True when it must not be served stale, whatever the policy's grace."""
    stale_while_revalidate: float | None = None
    """Seconds past its lifetime that it may be served while it is refreshed (RFC 5861); None when it does not say."""
    stale_if_error: float | None = None
    """Seconds past its lifetime that it may be served when refreshing fails (RFC 5861); None when it does not say."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What `send` may give where reading a result uses it up, or where more is known of it than it tells itself."""

    result: Any
    """What the caller gets."""
    library: str
    """The adapter that replays the snapshot."""
    snapshot: Snapshot
    """Its stored form; one with a refusal has no data."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that the upstream has begun."""

    head: Any
    """What comes before the first chunk, in plain values: a status, headers."""
    chunks: Any
    """An iterator of its chunks as they come, async for an async caller."""
    close: Callable[[], Any]
    """Ends it, wherever it stands; may give an awaitable."""
    interrupt: Callable[[], Any] | None = None
    """Has the thread that waits for the next chunk wait no longer, from another thread; None where nothing can."""
    snapshot: Snapshot
    """What the upstream says of storing it; `data` is not looked at."""


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose answer comes in chunks, as its adapter sees it."""

    open: Callable[[], Any]
    """Makes the call; gives an Upstream, or an awaitable of one."""
    give: Callable[[Any, Any], Any]
    """What a caller is given, or an awaitable of it: made of the head, and of an iterator of the chunks."""
    pack: Callable[[Any], bytes]
    """The stored form of a chunk; raises UnencodableError for one that has none."""
    unpack: Callable[[bytes], Any]
    """The chunk, a fresh one each time."""
    is_sent_at_once: bool = False
    """True when nothing that happens to the arguments once it is open changes what comes."""
    is_async: bool | None = None
    """Whether its chunks are read in async code; None where they are in either."""
    is_complete: Callable[[Sequence[bytes]], bool] | None = None
    """Whether a stream has come to the mark that its format ends with; None where there is none but its mere end."""


class Adapter(Protocol):
    """What the engine asks of one library's calls and responses."""

    def identify(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Identified | None:
        """What identifies the call; None when the callable is not one of the library's known calls.

        Raises UnidentifiableError with the reason when it is one whose answer must not be shared.
        """

    def snapshot(self, response: Any) -> Snapshot | None:
        """The stored form of a result; None when it is not one of the library's known responses.

        Raises UnstorableError with the reason for a response that cannot be replayed faithfully.
        """

    def replay(self, data: Any, context: Any) -> Any:
        """A new response equal to the one that `data` was taken from; `context` is None for operations."""


class Binding(Adapter, Protocol):
    """An adapter some of whose calls are made on a connection, a session of the caller's own.

    Such a call is made while its caller waits, and at no other time: not to refresh, nor past its caller's timeout or
    cancellation; the caller does other things on the connection then. How it fails is told to no other caller.
    """

    def is_bound(self, function: Callable[..., Any]) -> bool:
        """Whether a known call is one; False where the library takes a connection of its own for it."""


class Naming(Adapter, Protocol):
    """An adapter that names calls which it refuses, too."""

    def label_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """As `Identified.label`; None where it finds no name."""


class Revalidating(Adapter, Protocol):
    """An adapter some of whose calls can ask whether what is stored still holds (`Identified.revalidate`)."""

    def not_modified(self, response: Any) -> bool:
        """Whether a result says that what is stored still holds (status 304).

        It is never an answer to a caller: where `renewed` raises, the call has to be made in full.
        """

    def renewed(self, data: Any, response: Any) -> Snapshot:
        """The stored `data` with its headers updated from a 304 (RFC 9111 section 4.3.4), and what follows from them.

        Raises UnstorableError for a response that says nothing about `data`: a 304 about another version, one reached
        by a redirect, or anything else.
        """


def check_repeatable(given: Any) -> None:
    """Refuse arguments that reading uses up, at any depth; raises UnidentifiableError."""
    if isinstance(given, Iterator) or hasattr(given, "read"):
        raise UnidentifiableError(f"it is given a {type(given).__name__}, which can be read only once")
    if isinstance(given, Mapping):
        for item in given.values():
            check_repeatable(item)
    elif isinstance(given, list | tuple | set | frozenset):
        for item in given:
            check_repeatable(item)
