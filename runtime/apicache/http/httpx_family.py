"""What httpx and its forks share: identity of a request, and a response's stored form.

Documentation: https://www.python-httpx.org/api/
"""

import datetime as dt
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import msgspec

from apicache.adapter import Identified, Loaded, Snapshot, check_repeatable
from apicache.credentials import jar_cookies, split_headers, storable_headers, storable_url, url_carries_credential
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.http.semantics import (
    NOT_MODIFIED,
    REVALIDATABLE_METHODS,
    Validators,
    check_read_like,
    check_unconditional,
    conditions,
)
from apicache.http.snapshots import http_snapshot, renewed_snapshot
from apicache.streams.http_streams import streamed_response

_VERBS: Final = ("get", "options", "head", "post", "put", "patch", "delete")
_LIBRARIES: Final = ("httpx", "httpx2")
_BODY_TYPES: Final = (type(None), bytes, str)
_FORM_TYPES: Final = (*_BODY_TYPES, dict)
_BARE_OPTIONS: Final = frozenset({"auth", "proxy", "verify", "follow_redirects", "timeout", "trust_env"})
"""What the module's own functions take beyond a request's parts."""


def library_of(client: object) -> ModuleType:
    """The httpx-like library whose client this is; raises UnidentifiableError for any other object."""
    for base in type(client).__mro__:
        name = base.__module__.partition(".")[0]
        if name in _LIBRARIES:
            return sys.modules[name]
    raise UnidentifiableError(f"its HTTP client is a {type(client).__name__}")


def client_settings(library: ModuleType, client: Any) -> dict[str, Any]:
    """What of a client's settings decides which server answers and how, beyond the request itself.

    Raises UnidentifiableError where a setting can change the answer in ways that cannot be read off it.
    """
    if client.is_closed:
        raise UnidentifiableError("its client is closed")
    hooks = client.event_hooks
    if hooks.get("request") or hooks.get("response"):
        raise UnidentifiableError("its client has event hooks, which a hit would not run")
    transports = {"": client._transport, **{str(k.pattern): v for k, v in client._mounts.items()}}  # noqa: SLF001 - no public reader
    if not isinstance(client._default_encoding, str):  # noqa: SLF001 - no public reader
        raise UnidentifiableError("its client's default_encoding is a function")
    return {
        "transports": {pattern: _route(library, transport) for pattern, transport in transports.items()},
        "max_redirects": client.max_redirects,
        "default_encoding": client._default_encoding,  # noqa: SLF001 - same
    }


def auth_credentials(library: ModuleType, auth: Any) -> Any:
    """The credential in an auth setting; raises UnidentifiableError for a scheme that cannot be read off."""
    if auth is None:
        return None
    if type(auth) is library.BasicAuth:
        return auth._auth_header  # noqa: SLF001 - no public reader
    if isinstance(auth, tuple) and all(isinstance(part, str | bytes) for part in auth):
        return list(auth)
    raise UnidentifiableError(f"its auth is a {type(auth).__name__}; name whose answer it is with using(scope=...)")


def _route(library: ModuleType, transport: Any) -> Any:
    """Where a transport leads: None for straight to the host, the proxy's URL, or a refusal."""
    if transport is None:
        return None
    kind = type(transport)
    if kind in (library.HTTPTransport, library.AsyncHTTPTransport):
        _check_unpatched(transport, ("handle_request", "handle_async_request"), library.__name__)
        pool = transport._pool  # noqa: SLF001 - no public reader
        if pool._local_address is not None:  # noqa: SLF001 - same
            raise UnidentifiableError("its client speaks from an address of its own")
        uds, proxy, tls = pool._uds, pool._proxy, pool._ssl_context  # noqa: SLF001 - same
    elif f"{kind.__module__}.{kind.__qualname__}" == "httpx_aiohttp.transport.AiohttpTransport":
        uds, proxy, tls = transport.uds, transport.proxy, transport.ssl_context
    else:
        raise UnidentifiableError(f"its client has a {kind.__name__}, which may answer from anywhere")
    if uds is not None:
        raise UnidentifiableError("its client speaks to a Unix domain socket")
    verifies = None if tls is None else int(getattr(tls, "verify_mode", 0))
    return [None if proxy is None else str(getattr(proxy, "url", proxy)), verifies]


def _check_unpatched(thing: Any, names: tuple[str, ...], module: str) -> None:
    """Refuse what a test, or a tool that records traffic, has put in the place of the library's own methods."""
    for name in names:
        method = getattr(type(thing), name, None)
        if name in vars(thing) or (method is not None and not str(method.__module__).startswith(module)):
            raise UnidentifiableError(f"its {type(thing).__name__}.{name}() has been replaced")


class HttpxFamily:
    """The adapter functions for one library of the family."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._methods: dict[Any, str | None] = {library.request: None}
        for verb in _VERBS:
            self._methods[getattr(library, verb)] = verb.upper()
        for kind in (library.Client, library.AsyncClient):
            self._methods[kind.request] = None
            for verb in _VERBS:
                self._methods[getattr(kind, verb)] = verb.upper()

    def identify(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Identified | None:
        """The request that would be sent, with the client's settings merged in."""
        plain = getattr(function, "__func__", function)
        if plain not in self._methods:
            return None
        client = getattr(function, "__self__", None)
        given = dict(_signature(plain).bind(*(() if client is None else (client,)), *args, **kwargs).arguments)
        given.pop("self", None)
        method = self._methods[plain] or str(given.pop("method"))
        check_read_like(method)
        _check_body(given)
        if client is None:
            return self._identify_bare(method, given)
        self._check_own_methods(client)
        return self._identify_on_client(client, method, given)

    def identify_stream(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Identified | None:
        """As `identify`, of a client's `stream`."""
        plain = getattr(function, "__func__", function)
        kinds = (self._library.Client, self._library.AsyncClient)
        if plain not in [kind.stream for kind in kinds]:
            return None
        client: Any = getattr(function, "__self__", None)
        given = dict(_signature(plain).bind(client, *args, **kwargs).arguments)
        given.pop("self")
        method = str(given.pop("method"))
        check_read_like(method)
        _check_body(given)
        self._check_own_methods(client)
        identified = self._identify_on_client(client, method, given)
        if identified.send is None:
            raise UnidentifiableError("it is given cookies of its own")
        is_async = isinstance(client, self._library.AsyncClient)
        streamed = streamed_response(self._library, identified.send, identified.context, is_async=is_async)
        parameters = {**identified.parameters, "streamed": True}
        return msgspec.structs.replace(identified, parameters=parameters, streamed=streamed, revalidate=None)

    def _identify_on_client(self, client: Any, method: str, given: dict[str, Any]) -> Identified:
        unset = self._library.USE_CLIENT_DEFAULT
        auth, redirects = given.pop("auth", unset), given.pop("follow_redirects", unset)
        auth = client.auth if auth is unset else auth
        redirects = client.follow_redirects if redirects is unset else redirects
        settings = {**client_settings(self._library, client), "follow_redirects": redirects}
        cookies = jar_cookies(client.cookies.jar)
        credentials = [auth_credentials(self._library, auth), cookies]
        request = client.build_request(method, given.pop("url"), **given)
        # Sent as it was identified: until the load runs, other tasks may change the payload or the client's headers.
        options = {"auth": auth, "follow_redirects": redirects}
        sent = _sent_later if isinstance(client, self._library.AsyncClient) else _sent
        send = functools.partial(sent, client, cookies, request, **options)

        def revalidate(validators: Validators) -> Callable[[], Any]:
            return functools.partial(sent, client, cookies, self._conditional(request, validators), **options)

        return self._identified(request, settings, credentials, None if "cookies" in given else send, revalidate)

    def _identify_bare(self, method: str, given: dict[str, Any]) -> Identified:
        options = {name: given.pop(name) for name in _BARE_OPTIONS & given.keys()}
        cookies = jar_cookies(self._library.Cookies(given.get("cookies")).jar)
        credentials = [auth_credentials(self._library, options.get("auth")), cookies]
        proxy, verify = options.get("proxy"), options.get("verify", True)
        if not isinstance(verify, bool | str) or not isinstance(proxy, str | None):
            raise UnidentifiableError("its verify or proxy setting is an object that cannot be compared")
        settings = {"proxy": proxy, "verify": verify, "follow_redirects": options.get("follow_redirects", False)}
        request = self._library.Request(method, given.pop("url"), **given)

        def revalidate(validators: Validators) -> Callable[[], Any]:
            conditional = self._conditional(request, validators)
            body = {"content": conditional.content} if conditional.content else {}
            headers = conditional.headers
            return functools.partial(self._library.request, method, request.url, headers=headers, **body, **options)

        # The library keeps cookies given to it for redirects too, which a request alone would not do.
        return self._identified(request, settings, credentials, None, None if given.get("cookies") else revalidate)

    def _conditional(self, request: Any, validators: Validators) -> Any:
        """The same request, asking whether what has these validators still holds."""
        headers = [*request.headers.multi_items(), *conditions(validators).items()]
        conditional = self._library.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=dict(request.extensions)
        )
        conditional.read()
        return conditional

    def _identified(
        self,
        request: Any,
        settings: dict[str, Any],
        credentials: list[Any],
        send: Callable[[], Any] | None,
        revalidate: Callable[[Validators], Callable[[], Any]] | None,
    ) -> Identified:
        headers, secret_headers = split_headers(request.headers.multi_items())
        check_unconditional(headers)
        url = str(request.url)
        return Identified(
            label=f"{request.method} {request.url.host}",
            parameters={
                "library": self._library.__name__,
                "method": request.method,
                "url": storable_url(url),
                "headers": headers,
                "body": request.read(),
                "settings": settings,
            },
            credentials=[url, secret_headers, *credentials],
            context=request,
            carries_credentials=bool(secret_headers) or any(credentials) or url_carries_credential(url),
            send=send,
            revalidate=revalidate if request.method in REVALIDATABLE_METHODS else None,
        )

    def _check_own_methods(self, client: Any) -> None:
        """A subclass, or a test's patch, that sends in its own way cannot be read off its request."""
        kind = type(client)
        base = self._library.AsyncClient if isinstance(client, self._library.AsyncClient) else self._library.Client
        for name in ("request", "send", "build_request", "_send_handling_auth", "_send_single_request"):
            if getattr(kind, name) is not getattr(base, name) or name in vars(client):
                raise UnidentifiableError(f"{kind.__name__} has its own {name}()")

    def snapshot(self, response: Any) -> Snapshot | None:
        """Status, headers, decoded body and history; the request stays behind."""
        if type(response) is not self._library.Response:
            return None
        if not hasattr(response, "_content"):
            raise UnstorableError("a response whose body has not been read")
        chain = [*response.history, response]
        headers = [each.headers.multi_items() for each in chain]
        return http_snapshot(_response_data(response), headers, _set_cookies(chain))

    def replay(self, data: Any, context: Any) -> Any:
        """A new response; its request is the caller's own, or one with the stored method and URL."""
        return _restore(self._library, data, None if data["history"] else context)

    def not_modified(self, response: Any) -> bool:
        """Whether it is a 304."""
        return type(response) is self._library.Response and response.status_code == NOT_MODIFIED

    def renewed(self, data: Any, response: Any) -> Snapshot:
        """The stored data with its headers updated; raises UnstorableError for a 304 that is not about it."""
        if not self.not_modified(response) or response.history:
            raise UnstorableError("a response that is no 304 to the call itself")
        return renewed_snapshot(data, _header_pairs(response), _set_cookies([response]))


def _sent(client: Any, cookies: Sequence[Any], request: Any, **options: Any) -> Any:
    """A sync client's response."""
    return _unless_others(client, cookies, client.send(request, **options))


async def _sent_later(client: Any, cookies: Sequence[Any], request: Any, **options: Any) -> Any:
    return _unless_others(client, cookies, await client.send(request, **options))


def _unless_others(client: Any, cookies: Sequence[Any], response: Any) -> Any:
    """The response, not to be stored where it came by a redirect and the cookies are no longer those of the identity.

    A redirect is sent the cookies of its moment. A stream that was redirected is not stored at all.
    """
    if not response.history or not hasattr(response, "_content") or jar_cookies(client.cookies.jar) == cookies:
        return response
    snapshot = Snapshot(data=None, refusal="a redirect's, sent with cookies that came meanwhile", lifetime=None)
    return Loaded(result=response, library=type(response).__module__.partition(".")[0], snapshot=snapshot)


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _check_body(given: Mapping[str, Any]) -> None:
    """Refuse bodies that reading would consume, or whose encoding differs on each call (multipart boundaries)."""
    if given.get("files"):
        raise UnidentifiableError("it uploads files")
    if given.get("extensions"):
        raise UnidentifiableError("it has request extensions, which can change where it goes")
    for name in ("params", "headers", "cookies", "content", "data"):
        check_repeatable(given.get(name))
    if not isinstance(given.get("content"), _BODY_TYPES) or not isinstance(given.get("data"), _FORM_TYPES):
        raise UnidentifiableError("its body is an iterator, which can be read only once")


def _header_pairs(response: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw]


def _set_cookies(responses: Iterable[Any]) -> list[str]:
    return [value for each in responses for value in each.headers.get_list("set-cookie")]


def _response_data(response: Any) -> dict[str, Any]:
    elapsed = getattr(response, "_elapsed", None)
    encoding = response.default_encoding
    if not isinstance(encoding, str):
        raise UnstorableError("a response whose default_encoding is a function")
    return {
        "status": response.status_code,
        "headers": storable_headers(_header_pairs(response)),
        "content": response.content,
        "method": response.request.method,
        "url": storable_url(str(response.request.url)),
        "elapsed": elapsed if isinstance(elapsed, dt.timedelta) else None,
        "encoding": encoding,
        "own_encoding": getattr(response, "_encoding", None),
        "extensions": {k: v for k, v in response.extensions.items() if k in {"http_version", "reason_phrase"}},
        "history": [_response_data(earlier) for earlier in response.history],
    }


def _restore(library: ModuleType, data: dict[str, Any], request: Any) -> Any:
    response = library.Response(
        data["status"],
        content=data["content"],
        request=request if request is not None else library.Request(data["method"], data["url"]),
        extensions=data["extensions"],
        default_encoding=data["encoding"],
        history=[_restore(library, earlier, None) for earlier in data["history"]],
    )
    # Set afterwards: the constructor would decode the body, stored decoded, once more by its Content-Encoding.
    response.headers = library.Headers(
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in data["headers"]]
    )
    if data["own_encoding"] is not None:
        response.encoding = data["own_encoding"]
    if data["elapsed"] is not None:
        response.elapsed = data["elapsed"]
    return response
