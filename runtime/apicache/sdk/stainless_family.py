"""What the SDKs of one generator share (openai, anthropic, groq): identity of a call, and an answer's stored form.

Documentation: https://www.stainless.com/docs/sdks. A resource (`client.messages`) holds its client, the client an httpx
or httpx2 client; every call takes `extra_headers`, `extra_query`, `extra_body` and `timeout`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import msgspec

from apicache.adapter import Identified, Snapshot, check_repeatable
from apicache.credentials import is_credential, split_headers
from apicache.errors import UnidentifiableError
from apicache.sdk.clients import Request, attribute, check_unpatched, http_side, identified
from apicache.streams.sdk_streams import ends_with, streamed_call

_SENDING: Final = (
    "request",
    "post",
    "_request",
    "_send_request",
    "_attempt_request",
    "_prepare_options",
    "_prepare_request",
    "_prepare_url",
    "_build_request",
    "_build_headers",
    "_process_response",
    "_process_response_data",
)
"""The methods by which a client sends, in one version or another."""

Refusal = Callable[[Any], str | None]


def without(name: str) -> Refusal:
    """Refuses an answer whose attribute of that name is empty: some servers report an error with status 200."""
    return lambda response: None if getattr(response, name, None) else "an answer without content"


class StainlessFamily:
    """The adapter functions for one library of the family."""

    def __init__(
        self,
        library: ModuleType,
        *,
        clients: Sequence[type[Any]],
        calls: Mapping[Any, Mapping[str, str]],
        answers: Mapping[Any, Refusal],
        keys: Sequence[str],
        settings: Sequence[str] = (),
        own_auth: Sequence[str] = (),
        ids: Sequence[str] = (),
        refuse: Callable[[Mapping[str, Any]], str | None] = lambda _: None,
        ends: Sequence[bytes] = (b"data: [DONE]",),
    ) -> None:
        """`calls` are the resources' classes, each with its cacheable methods and their paths.

        `answers` are the answers' classes, each with what tells why one must not be stored. Of the client's attributes,
        `keys` are credentials, `settings` affect answers, and a set `own_auth` makes credentials that cannot be read
        off. `ids` are the answers' identifiers, of which the attributes `_...` tell. `refuse` tells of a call's
        arguments why it must go uncached. A stream has come to its end with a line that begins with one of `ends`.
        """
        self._library = library
        self._name = library.__name__
        self._clients, self._calls, self._answers = frozenset(clients), calls, answers
        self._named = {kind.__name__: kind for kind in answers}
        self._keys, self._settings, self._own_auth, self._ids = keys, settings, own_auth, ids
        self._refuse = refuse
        self._is_complete = ends_with(*ends)
        absent = (getattr(library, name, None) for name in ("NotGiven", "Omit"))
        self._absent = tuple(kind for kind in absent if isinstance(kind, type))

    def identify(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Identified | None:
        """The resource's path and the call's arguments, with the client's settings; refuses a streamed call."""
        path = self._path_of(function)
        if path is None:
            return None
        given = self._given(args, kwargs)
        if _in_body(given).get("stream"):
            raise UnidentifiableError("its response is streamed")
        return self._identified(function, path, given)

    def identify_stream(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Identified | None:
        """As `identify`, of a call with `stream=True`; None for any other call."""
        path = self._path_of(function)
        if path is None or isinstance(kwargs.get("stream"), self._absent) or not kwargs.get("stream"):
            return None
        found = self._identified(function, path, self._given(args, kwargs))
        return msgspec.structs.replace(found, streamed=streamed_call(function, kwargs, self._is_complete))

    def _path_of(self, function: Callable[..., Any]) -> str | None:
        """The path of a known call; None for any other."""
        kind: Any = type(getattr(function, "__self__", None))
        plain = getattr(function, "__func__", None)
        for name, path in self._calls.get(kind, {}).items():
            if plain is not None and plain is getattr(kind, name, None):
                check_unpatched(getattr(function, "__self__", None), (name,), self._name)
                return path
        return None

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if args:
            raise UnidentifiableError("its arguments must be given by name")
        given = {
            name: value
            for name, value in kwargs.items()
            if name != "timeout" and not isinstance(value, self._absent) and not (name in _EXTRAS and value is None)
        }
        reason = self._refuse(_in_body(given))
        if reason is not None:
            raise UnidentifiableError(reason)
        return given

    def _identified(self, function: Callable[..., Any], path: str, given: dict[str, Any]) -> Identified:
        client = attribute(getattr(function, "__self__", None), "_client")
        self._check_client(client)
        headers, removed = self._headers(given.pop("extra_headers", {}))
        query, secret_query = _split_query(given.pop("extra_query", {}))
        settings, credentials = self._client_identity(client)
        if secret_query:
            credentials = {**credentials, "extra_query": secret_query}
        return identified(
            Request(
                library=self._name,
                path=path,
                url=str(client.base_url),
                arguments={"given": comparable(given), "query": comparable(query), "removed_headers": removed},
                headers=headers,
                settings=settings,
                credentials=credentials,
                http=http_side(attribute(client, "_client"), also=self._name),
            )
        )

    def _check_client(self, client: Any) -> None:
        """Refuse a client that does not send as the library's own does."""
        if type(client) not in self._clients:
            raise UnidentifiableError(f"its client is a {type(client).__name__}")
        check_unpatched(client, (name for name in _SENDING if hasattr(client, name)), self._name)
        if any(_is_set(getattr(client, name, None)) for name in self._own_auth):
            raise UnidentifiableError("its client makes its credentials itself; give using(key=...)")
        if getattr(client, "middleware", ()):
            raise UnidentifiableError("its client has middleware, which a hit would not run")

    def _client_identity(self, client: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """(settings, credentials) of the client itself; those of its HTTP client are apart."""
        headers, removed = self._headers(attribute(client, "_custom_headers"))
        plain_headers, secret_headers = split_headers(headers)
        query, secret_query = _split_query(attribute(client, "_custom_query"))
        settings = {
            **{name: attribute(client, name) for name in self._settings},
            "headers": plain_headers,
            "removed_headers": removed,
            "query": comparable(query),
            "strict": attribute(client, "_strict_response_validation"),
        }
        credentials = {
            **{name: getattr(client, name, None) for name in self._keys},
            "headers": secret_headers,
            "query": secret_query,
        }
        return settings, {name: value for name, value in credentials.items() if value}

    def _headers(self, headers: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
        """Headers as (given, names of those that are taken out of the request)."""
        removed = sorted(name.lower() for name, value in headers.items() if isinstance(value, self._absent))
        given = [(name, value) for name, value in headers.items() if not isinstance(value, self._absent)]
        for name, value in given:
            if not isinstance(value, str):
                raise UnidentifiableError(f"its header {name!r} is a {type(value).__name__}")
        return given, removed

    def snapshot(self, response: Any) -> Snapshot | None:
        """The model's fields as the API sent them; None for any other object."""
        refusal = self._answers.get(type(response))
        if refusal is None:
            return None
        own = vars(response)
        return Snapshot(
            data={
                "model": type(response).__name__,
                "fields": response.to_dict(mode="json", warnings=False),
                **{name: own[f"_{name}"] for name in self._ids if f"_{name}" in own},
            },
            refusal=refusal(response),
            lifetime=None,
        )

    def replay(self, data: Any, context: Any) -> Any:  # noqa: ARG002 - the adapter's shape
        """A new model of the same class with the same fields, built as the library builds it from the API's JSON."""
        response = self._named[data["model"]].construct(**data["fields"])
        for name in self._ids:
            if name in data:
                setattr(response, f"_{name}", data[name])
        return response


_EXTRAS: Final = frozenset({"extra_headers", "extra_query", "extra_body"})


def _in_body(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments by name, with those of `extra_body`, which win."""
    extra = given.get("extra_body")
    return {**given, **extra} if isinstance(extra, Mapping) else given


def _is_set(value: Any) -> bool:
    return value is not None and not (isinstance(value, Mapping) and not value)


def _split_query(query: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Query parameters as (identifying, credentials)."""
    secret = {name: value for name, value in query.items() if is_credential(name)}
    return {name: value for name, value in query.items() if name not in secret}, secret


_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})


def comparable(value: Any) -> Any:
    """Arguments as what is sent of them: models without what was never set, as the libraries send them.

    Raises UnidentifiableError for what can be read only once, and for the path of a file: the libraries send what it
    holds, which may change.
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, dict):
        return {name: item if type(item) in _ATOMS else comparable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, tuple):
        return tuple(comparable(item) for item in value)
    return comparable(dict(value)) if isinstance(value, Mapping) else _without_unset(value)


def _without_unset(value: Any) -> Any:
    """A model as (its class, the fields that were set), anything else as it is."""
    kind = type(value)
    if isinstance(value, os.PathLike):
        raise UnidentifiableError(f"it is given a {kind.__name__}, and what the file holds may change")
    check_repeatable(value)
    if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_dump"):
        # A tuple tells it from a dict of the same content.
        dumped = value.model_dump(mode="json", exclude_unset=True, warnings=False)
        return (f"{kind.__module__}.{kind.__qualname__}", dumped)
    return value
