"""What an adapter is: the runtime's knowledge of one client library.

An adapter is a module in `apicache.adapters` named like the library's import; the functions of `Adapter` are the
module's functions. It may import its library at the top: it is itself imported only once the library's own objects
have turned up.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from apicache.credentials import is_credential, sets_session_cookie, storable_headers
from apicache.errors import UnidentifiableError
from apicache.http_semantics import (
    NEGATIVE_STATUSES,
    READ_LIKE_METHODS,
    REVALIDATABLE_METHODS,
    STORABLE_STATUSES,
    Headers,
    Validators,
    renewed_headers,
    terms_of,
)

_SEARCHED: Final = re.compile(r"key-?_?words?|authors?$", re.IGNORECASE)
"""Query parameters that only look like credentials' names."""


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
    send: Callable[[], Any] | None = None
    """Makes exactly the call that was identified; None when the callable itself is called."""
    revalidate: Callable[[Validators], Callable[[], Any]] | None = None
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
    forbidden: bool = False
    """True when the response's own headers forbid storing it, which the policy may override; `refusal` is None then
    unless something else refuses it."""
    negative: str | None = None
    """`status 404` and its like: an error that is stored only under a policy's negative ttl; `refusal` is None then
    unless something else refuses it."""
    private: bool = False
    """True when it is for one user only: to be stored only for calls that carry a credential or have a scope."""
    validators: Validators = ()
    must_revalidate: bool = False
    """True when it must not be served stale, whatever the policy's grace."""
    stale_while_revalidate: float | None = None
    """Seconds past its lifetime that it may be served while it is refreshed (RFC 5861); None when it does not say."""
    stale_if_error: float | None = None
    """Seconds past its lifetime that it may be served when refreshing fails (RFC 5861); None when it does not say."""


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


def check_read_like(method: str) -> None:
    """Refuse a method that changes state upstream; raises UnidentifiableError."""
    if method.upper() not in READ_LIKE_METHODS:
        raise UnidentifiableError(f"{method.upper()} changes state upstream; call it directly")


def url_carries_credential(url: str) -> bool:
    """Whether a URL has user info, or a query parameter that is named like a credential."""
    from urllib.parse import parse_qsl, urlsplit  # noqa: PLC0415 - 4 ms that calls without a URL do not pay

    parts = urlsplit(url)
    names = (name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return "@" in parts.netloc or any(is_credential(name) and not _SEARCHED.search(name) for name in names)


def http_snapshot(data: Mapping[str, Any], chain: Sequence[Headers], set_cookies: Iterable[str]) -> Snapshot:
    """The snapshot of an HTTP response whose stored `data` has its `status` and `method`.

    `chain` holds the headers of its redirects and, last, its own; `set_cookies` all their Set-Cookie headers.
    """
    status = data["status"]
    refusal = negative = None
    if status in NEGATIVE_STATUSES:
        negative = f"status {status}"
    elif status not in STORABLE_STATUSES:
        refusal = f"status {status}"
    if refusal is None and sets_session_cookie(set_cookies):
        refusal = "it sets a cookie, which a hit would not set"
    terms = terms_of(chain, revalidatable=status in STORABLE_STATUSES and data["method"] in REVALIDATABLE_METHODS)
    return Snapshot(data=data, refusal=refusal, negative=negative, **msgspec.structs.asdict(terms))


def renewed_snapshot(data: Mapping[str, Any], received: Headers, set_cookies: Iterable[str]) -> Snapshot:
    """What an HTTP response's stored `data`, which has its `headers`, becomes by the headers of a 304.

    Raises UnstorableError when the 304 is about another version.
    """
    stored = [(name, value) for name, value in data["headers"]]
    headers = renewed_headers(stored, [(name, value) for name, value in storable_headers(received)])
    return http_snapshot({**data, "headers": [list(pair) for pair in headers]}, [headers], set_cookies)
