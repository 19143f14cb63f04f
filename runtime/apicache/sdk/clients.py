"""What the adapters of SDKs share: what an SDK's HTTP client adds to each request, and a call put together from it."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from apicache.adapter import Identified, check_repeatable
from apicache.credentials import (
    INFRASTRUCTURE_COOKIES,
    is_credential,
    split_headers,
    storable_url,
    url_carries_credential,
)
from apicache.errors import UnidentifiableError
from apicache.http.httpx_family import auth_credentials, client_settings, library_of
from apicache.http.semantics import check_unconditional

_SENDING: Final = ("request", "send", "build_request", "_send_handling_auth", "_send_single_request")


class HttpSide(msgspec.Struct, frozen=True):
    """What an HTTP client adds to the requests that an SDK hands to it."""

    settings: Any
    credentials: Any
    carries_credentials: bool


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call of an SDK, in the parts that tell it from others."""

    library: str
    path: str
    """The name of the call: `chat`, `models.generate_content`."""
    url: str
    """Where it goes: the base URL, or the whole."""
    arguments: Any
    headers: Iterable[tuple[str, str]]
    """What the SDK's client and the call add to the HTTP client's own headers, credentials among them."""
    settings: Any
    credentials: Any
    http: HttpSide


def http_side(client: Any, *, also: str = "") -> HttpSide:
    """What an httpx or httpx2 client adds; raises UnidentifiableError where that cannot be read off.

    `also` is the package whose subclass of the client is known to send as httpx does.
    """
    library = library_of(client)
    _check_sends_as(client, {library.__name__, also} - {""})
    headers, secret_headers = split_headers(client.headers.multi_items())
    params = client.params.multi_items()
    secret_params = [pair for pair in params if is_credential(pair[0])]
    cookies = sorted(
        (cookie.name, cookie.value or "", cookie.domain)
        for cookie in client.cookies.jar
        if cookie.name not in INFRASTRUCTURE_COOKIES
    )
    auth = auth_credentials(library, client.auth)
    url = str(client.base_url)
    return HttpSide(
        settings={
            "library": library.__name__,
            "base_url": storable_url(url),
            "headers": headers,
            "params": [pair for pair in params if pair not in secret_params],
            "follow_redirects": client.follow_redirects,
            "transport": client_settings(library, client),
        },
        credentials=[url, secret_headers, secret_params, cookies, auth],
        carries_credentials=bool(secret_headers or secret_params or cookies or auth) or url_carries_credential(url),
    )


def _check_sends_as(client: Any, packages: set[str]) -> None:
    """Refuse a client whose sending a subclass, or a test's patch, has replaced."""
    kind = type(client)
    for name in _SENDING:
        method = getattr(kind, name, None)
        module = str(getattr(method, "__module__", ""))
        if name in vars(client) or not any(module.split(".")[: p.count(".") + 1] == p.split(".") for p in packages):
            raise UnidentifiableError(f"{kind.__name__} has its own {name}()")


def check_unpatched(thing: Any, names: Iterable[str], package: str) -> None:
    """Refuse an object whose methods of these names are no longer the package's own."""
    for name in names:
        method = getattr(type(thing), name, None)
        if name in vars(thing) or str(getattr(method, "__module__", "")).partition(".")[0] != package:
            raise UnidentifiableError(f"its {type(thing).__name__}.{name}() has been replaced")


def attribute(thing: Any, name: str) -> Any:
    """An attribute that has no public reader; raises UnidentifiableError where this version has none of that name."""
    try:
        return getattr(thing, name)
    except AttributeError:
        raise UnidentifiableError(
            f"its {type(thing).__name__} has no {name}: this version of the library is not known"
        ) from None


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, by name, defaults left out; raises UnidentifiableError for what can be read only once.

    Raises TypeError for arguments that the function does not take.
    """
    given = dict(_signature(function).bind(*args, **kwargs).arguments)
    given.pop("self", None)
    variable = _variable_keywords(function)
    if variable is not None:
        given.update(given.pop(variable, {}))
    check_repeatable(given)
    return given


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@functools.lru_cache(maxsize=256)
def _variable_keywords(function: Callable[..., Any]) -> str | None:
    parameters = _signature(function).parameters.values()
    return next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)


def identified(request: Request) -> Identified:
    """The call as the cache sees it."""
    headers, secret_headers = split_headers((name, str(value)) for name, value in request.headers)
    check_unconditional(headers)
    return Identified(
        label=f"{request.path} {_host(request.url)}",
        parameters={
            "library": request.library,
            "path": request.path,
            "url": storable_url(request.url),
            "arguments": request.arguments,
            "headers": headers,
            "settings": request.settings,
            "http": request.http.settings,
        },
        credentials=[request.url, secret_headers, request.credentials, request.http.credentials],
        context=None,
        carries_credentials=bool(secret_headers or request.credentials)
        or request.http.carries_credentials
        or url_carries_credential(request.url),
    )


def _host(url: str) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - 4 ms that calls without a URL do not pay

    return urlsplit(url).hostname or ""
