"""The adapter of the standard library's urllib, https://docs.python.org/3/library/urllib.request.html.

`urllib.request.urlopen` and `OpenerDirector.open` return an `http.client.HTTPResponse`, whose body can be read once; so
they do here, but its body is read by the call and stands in memory (`apicache.http.client_responses`).
"""

import functools
import http.client
import inspect
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from apicache.adapter import Identified, Loaded, Snapshot
from apicache.credentials import jar_cookies, split_headers, storable_url, url_carries_credential
from apicache.errors import UnidentifiableError
from apicache.http import client_responses as http_client_responses
from apicache.http.semantics import (
    NOT_MODIFIED,
    REVALIDATABLE_METHODS,
    Validators,
    check_read_like,
    check_unconditional,
    conditions,
)

_URLOPEN: Final = urllib.request.urlopen
_OPEN: Final = urllib.request.OpenerDirector.open
_HANDLERS: Final = frozenset(
    {
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPCookieProcessor,
        urllib.request.FTPHandler,
        urllib.request.FileHandler,
        urllib.request.DataHandler,
    }
)
_DECISIVE: Final = frozenset(
    {
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    }
)
"""The handlers that, by being there, change what a call of HTTP does."""
_VERIFYING: Final = [int(ssl.CERT_REQUIRED), True]
"""What the default context does."""
_FORM: Final = "application/x-www-form-urlencoded"
_SCHEMES: Final = frozenset({"http", "https"})


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The request that would be sent, with the opener's settings merged in."""
    opener: Any = getattr(function, "__self__", None)
    if function is _URLOPEN:
        opener = getattr(urllib.request, "_opener", None)  # what install_opener() has set
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        given["request"] = given.pop("url")
    elif getattr(function, "__func__", None) is _OPEN and type(opener) is urllib.request.OpenerDirector:
        given = inspect.signature(_OPEN).bind(opener, *args, **kwargs).arguments
        given["request"] = given.pop("fullurl")
    else:
        return None
    if any(given.get(name) for name in ("cafile", "capath", "cadefault")):
        raise UnidentifiableError("its certificates are given by the deprecated cafile, capath or cadefault")
    context = given.get("context")
    if context is not None:
        opener = None  # urlopen builds another one then
    request = _copied(given["request"], given.get("data"))
    method = request.get_method()
    check_read_like(method)
    if request.type not in _SCHEMES:
        raise UnidentifiableError(f"its URL's scheme is {request.type}, not http or https")
    if http.client.HTTPConnection.__module__ != "http.client":
        raise UnidentifiableError("http.client.HTTPConnection has been replaced")
    options = {name: given[name] for name in ("timeout", "context") if name in given}
    return _identified(request, opener, context, functools.partial(function, **options))


def _copied(given: Any, data: Any) -> urllib.request.Request:
    """A request of our own: opening changes the one that is given."""
    if isinstance(given, str):
        copy = urllib.request.Request(given, data)  # noqa: S310 - its scheme is checked
    elif type(given) is urllib.request.Request:
        copy = urllib.request.Request(  # noqa: S310 - same
            given.full_url,
            given.data if data is None else data,
            dict(given.headers),
            given.origin_req_host,
            given.unverifiable,
            vars(given).get("method"),
        )
        # An earlier opening has left there what each sets anew.
        left = {
            name: value for name, value in given.unredirected_hdrs.items() if name not in {"Host", "Content-length"}
        }
        copy.unredirected_hdrs.update(left)
    else:
        raise UnidentifiableError(f"its request is a {type(given).__name__}, which may say anything of itself")
    if not isinstance(copy.data, bytes | None):
        raise UnidentifiableError(f"its body is a {type(copy.data).__name__}, which may be readable only once")
    return copy


def _unless_others(response: Any, asked: str, jars: Sequence[Any], cookies: Sequence[Any]) -> Any:
    """The response, not to be stored where it came by a redirect and the cookies are no longer those of the identity.

    A redirect is sent the cookies of its moment.
    """
    if response.geturl() == asked or [cookie for jar in jars for cookie in jar_cookies(jar)] == cookies:
        return response
    snapshot = Snapshot(data=None, refusal="a redirect's, sent with cookies that came meanwhile", lifetime=None)
    return Loaded(result=response, library="urllib", snapshot=snapshot)


def _identified(
    request: urllib.request.Request, opener: Any, context: ssl.SSLContext | None, send: Callable[..., Any]
) -> Identified:
    settings, proxies = _settings(opener, context)
    handlers = [] if opener is None else opener.handlers
    jars = [each.cookiejar for each in handlers if type(each) is urllib.request.HTTPCookieProcessor]
    for jar in jars:
        jar.add_cookie_header(request)
    cookies = [cookie for jar in jars for cookie in jar_cookies(jar)]
    sent = _sent_headers(request, opener)
    headers, secret_headers = split_headers(sent.items())
    check_unconditional(headers)
    url, method = request.full_url, request.get_method()

    def load(more: Mapping[str, str]) -> Any:
        copy = _copied(request, None)
        for name, value in more.items():
            copy.add_header(name, value)
        try:
            return _unless_others(_read(send(copy), method, url), url, jars, cookies)
        except urllib.error.HTTPError as error:
            if not more or error.code != NOT_MODIFIED:
                raise
            return http_client_responses.read_in(error, method, url)

    def revalidate(validators: Validators) -> Callable[[], Any]:
        return functools.partial(load, conditions(validators))

    return Identified(
        label=f"{method} {request.host}",
        parameters={
            "library": "urllib",
            "method": method,
            "url": storable_url(url),
            "headers": headers,
            "body": request.data,
            "settings": settings,
        },
        credentials=[url, secret_headers, proxies, cookies],
        context=url,
        carries_credentials=bool(secret_headers or proxies or cookies) or url_carries_credential(url),
        send=functools.partial(load, {}),
        revalidate=revalidate if method in REVALIDATABLE_METHODS else None,
    )


def _read(response: Any, method: str, url: str) -> Any:
    """The response with its body in memory; as it is when it is of another kind."""
    if type(response) is not http.client.HTTPResponse:
        return response
    return http_client_responses.read_in(response, method, url)


def _sent_headers(request: urllib.request.Request, opener: Any) -> dict[str, str]:
    """The headers by their names, with the opener's own, but for those that follow from the rest."""
    added = [("User-agent", f"Python-urllib/{urllib.request.__version__}")] if opener is None else opener.addheaders  # type: ignore[attr-defined]
    sent = {name.capitalize(): value for name, value in added}
    if request.data is not None:
        sent["Content-type"] = _FORM
    sent.update(request.headers)
    sent.update(request.unredirected_hdrs)
    return {name: str(value) for name, value in sent.items()}


def _settings(opener: Any, context: ssl.SSLContext | None) -> tuple[dict[str, Any], list[str]]:
    """What of an opener decides which server answers and how, and the proxies' URLs that carry a credential.

    Without an opener, that of the one which urlopen builds: the first call installs it for all.
    """
    proxies: Mapping[str, str] = urllib.request.getproxies() if opener is None else {}
    redirects = _limits(urllib.request.HTTPRedirectHandler) if opener is None else None
    kinds = set(_DECISIVE) if opener is None else set()
    for handler in [] if opener is None else opener.handlers:
        kind = type(handler)
        if kind not in _HANDLERS:
            raise UnidentifiableError(f"its opener has a {kind.__name__}, which may answer from anywhere")
        kinds.add(kind)
        if kind is urllib.request.ProxyHandler:
            proxies = handler.proxies
        elif kind is urllib.request.HTTPRedirectHandler:
            redirects = _limits(handler)
        elif kind is urllib.request.HTTPSHandler:
            context = getattr(handler, "_context", None)
    settings = {
        "handlers": sorted(kind.__name__ for kind in kinds & _DECISIVE),
        "redirects": redirects,
        "proxies": {scheme: storable_url(url) for scheme, url in proxies.items()},
        "tls": _VERIFYING if context is None else [int(context.verify_mode), context.check_hostname],
    }
    return settings, sorted(url for url in proxies.values() if url_carries_credential(url))


def _limits(handler: Any) -> list[int]:
    return [handler.max_repeats, handler.max_redirections]


def snapshot(response: Any) -> Snapshot | None:  # noqa: ARG001 - the adapter's shape
    """None: what the calls return is of the standard library's `http`, and its adapter's."""
    return None


def replay(data: Any, context: str | None) -> http.client.HTTPResponse:
    """A new response."""
    return http_client_responses.replay(data, context)
