"""What a provider is: something that can answer an operation, told as two pure functions around one HTTP exchange.

A provider is a module in `apicache.providers`; its file's name is its name. It neither sends nor waits: whoever sends
the request that it describes, sync or async, hands it the response.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from apicache.errors import ApicacheError

ErrorKind = Literal["bad_request", "auth", "not_found", "rate_limit", "overloaded", "unavailable", "timeout", "broken"]

FALLS_THROUGH: Final = frozenset({"rate_limit", "overloaded", "unavailable", "timeout", "broken", "auth", "not_found"})
"""Kinds after which another provider may be asked. `bad_request` is the caller's: every provider would refuse it."""
WORTH_A_RETRY: Final = frozenset({"rate_limit", "overloaded", "unavailable", "timeout", "broken"})
"""Kinds that may be over in a moment."""


class ProviderError(ApicacheError):
    """A provider did not answer. Its text holds no credential, no parameter and no body of the upstream's."""

    def __init__(
        self, told: str, kind: ErrorKind, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(told)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        """Seconds that the upstream asks to wait."""


class ProviderCall(msgspec.Struct, frozen=True, kw_only=True):
    """An operation's call, for one provider."""

    operation: str
    """`completion`, `embedding` or `analysis`; or one that a declared endpoint names."""
    parameters: Mapping[str, Any]
    """As the caller gave them, defaults filled in, without `model` and `provider`."""
    model: str

    def __repr__(self) -> str:
        return f"<call of {self.operation} on {self.model} with {', '.join(sorted(self.parameters))}>"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    """Those with the credential included: never shown, never logged."""
    body: bytes

    def __repr__(self) -> str:
        parts = urlsplit(self.url)  # a path may hold a key, too
        return f"<{self.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}, {len(self.body)} bytes>"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def __repr__(self) -> str:
        return f"<status {self.status}, {len(self.body)} bytes>"


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer used, by the upstream's own count."""

    input: int = 0
    """All tokens of the prompt, those that the upstream had cached included."""
    cached: int = 0
    """Those of them that the upstream charges at its cached price."""
    cache_writes: int = 0
    """Those of them that the upstream charges for keeping them."""
    output: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer."""

    value: Any
    """A `Completion` or an `Embedding` (`apicache.answers`), whichever provider answers a built-in operation; plain
    JSON for an operation that only a declared endpoint has. For a batch of texts a list in their order, with a
    ProviderError in the place of each that the upstream left out."""
    model: str
    """The model that answered, as the upstream names it."""
    tokens: Tokens = Tokens()


class StreamReader(Protocol):
    """Reads one streamed answer as its events come in; a sync and an async sender drive it alike."""

    ended: bool
    """Whether the upstream said that nothing follows; the sender need not read on."""

    def take(self, data: bytes, /) -> str:
        """The text in one event's `data`, often none; raises ProviderError for an error event."""

    def reply(self) -> Reply:
        """The whole answer with what it used; raises ProviderError when the stream ended before it was complete."""


class LocalProvider(Protocol):
    """A provider that answers by itself: it makes no HTTP exchange."""

    name: str
    operations: frozenset[str]
    batch_size: int
    """As a Provider's."""

    def is_on(self) -> bool:
        """Whether it may answer."""

    def model_for(self, operation: str) -> str:
        """The model that its answers name."""

    def answer(self, call: ProviderCall) -> Reply:
        """The answer; raises InputError when it is not switched on, or the parameter does not fit."""


class Provider(Protocol):
    """What the chain asks of a provider."""

    name: str
    operations: frozenset[str]
    key_variable: str | None
    """The environment variable with its key; None when it needs none."""
    batch_size: int
    """How many texts one request for embeddings may carry, as `texts` in the place of `text`; 1: no batches."""

    def model_for(self, operation: str) -> str:
        """The model that is asked when the caller names none."""

    def account(self) -> tuple[Any, Any]:
        """Where it asks and with which settings, in plain values; and as whom, which is digested.

        Both are part of every key: another server, or another credential, has answers of its own. Raises InputError.
        """

    def request(self, call: ProviderCall) -> Request:
        """The request.

        Raises InputError naming the variable when its key is missing, or the parameter that it cannot carry.
        """

    def reply(self, call: ProviderCall, response: Response) -> Reply:
        """The answer; raises ProviderError for any response that holds none."""

    def stream_request(self, call: ProviderCall) -> Request:
        """The request for a streamed answer; raises InputError as `request` does, and when it cannot stream."""

    def stream_reader(self, call: ProviderCall) -> StreamReader:
        """What reads the answer to `stream_request`; raises InputError when it cannot stream."""
