"""What an adapter is: the runtime's knowledge of one client library.

An adapter is a module in `apicache.adapters` named like the library's import; the functions of `Adapter` are the
module's functions. It may import its library at the top: it is itself imported only once the library's own objects
have turned up.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from apicache.errors import UnidentifiableError
from apicache.http_semantics import READ_LIKE_METHODS


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
    send: Callable[[], Any] | None = None
    """Makes exactly the call that was identified; None when the callable itself is called."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A response as stored."""

    data: Any
    """Plain values that `tagged.encode` carries; no credential in them."""
    refusal: str | None
    """Why it must not be stored though it can be copied (`status 503`); None when it may be."""
    lifetime: float | None
    """Seconds that the response itself allows; None when it does not say."""


class Adapter(Protocol):
    """Three functions over one library's calls and responses."""

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


def check_read_like(method: str) -> None:
    """Refuse a method that changes state upstream; raises UnidentifiableError."""
    if method.upper() not in READ_LIKE_METHODS:
        raise UnidentifiableError(f"{method.upper()} changes state upstream; call it directly")
