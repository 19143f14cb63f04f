"""The adapter of urllib3, https://urllib3.readthedocs.io: `request` of the module, of a manager, or of a pool.

The library keeps of a redirect its status and its target, but not its headers: what they forbid is not seen.
"""

import functools
import inspect
import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager, ProxyManager, pool_classes_by_scheme
from urllib3.util import Retry, Url, parse_url
from urllib3.util.retry import RequestHistory

from apicache.adapter import Identified, Snapshot, check_repeatable
from apicache.credentials import split_headers, storable_headers, storable_url, url_carries_credential
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

_MANAGERS: Final = (PoolManager, ProxyManager)
_POOLS: Final = (HTTPConnectionPool, HTTPSConnectionPool)
_WITHOUT_EFFECT: Final = frozenset({"timeout", "pool_timeout", "release_conn", "retries", "enforce_content_length"})
_OPTIONS: Final = frozenset(
    {"redirect", "decode_content", "chunked", "assert_same_host", "encode_multipart", "multipart_boundary"}
)
_REQUEST_PARTS: Final = frozenset({"method", "url", "body", "fields", "headers", "json", "preload_content"})
_SETTINGS_WITHOUT_EFFECT: Final = frozenset(
    {"maxsize", "block", "timeout", "blocksize", "retries", "socket_options", "_proxy_config", "headers"}
)
_TLS: Final = frozenset(
    {
        "cert_reqs",
        "ca_certs",
        "ca_cert_dir",
        "ca_cert_data",
        "assert_hostname",
        "assert_fingerprint",
        "server_hostname",
        "ssl_version",
        "ssl_minimum_version",
        "ssl_maximum_version",
    }
)
_TLS_CREDENTIALS: Final = ("cert_file", "key_file", "key_password")
_FIELDS_IN_URL: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS"})
_RESPONSE_PARAMETERS: Final = inspect.signature(urllib3.HTTPResponse).parameters.keys()


class _Live(NamedTuple):
    """What a replay needs of its call."""

    url: str
    retries: Retry


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The request that would be sent, with the manager's or the pool's settings merged in."""
    owner: Any = getattr(function, "__self__", None)
    if function is urllib3.request:
        owner = getattr(urllib3, "_DEFAULT_POOL", None)
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    elif isinstance(owner, (*_MANAGERS, *_POOLS)) and getattr(function, "__name__", None) == "request":
        bound = inspect.signature(type(owner).request).bind(owner, *args, **kwargs).arguments
    else:
        return None
    given = {**bound, **bound.get("urlopen_kw", {})}
    del given["self" if "self" in given else "method"]
    method = str(kwargs.get("method") or args[0]).upper()
    check_read_like(method)
    _check_owner(owner)
    _check_call(given)
    return _identified(owner, method, given, function, (args, kwargs))


def _identified(
    owner: Any, method: str, given: dict[str, Any], function: Callable[..., Any], call: tuple[Any, Mapping[str, Any]]
) -> Identified:
    asked = _with_fields(method, str(given["url"]), given.get("fields"))
    url = _url(owner, asked)
    own_headers = given.get("headers")
    merged = urllib3.HTTPHeaderDict(owner.headers if own_headers is None else own_headers)
    headers, secret_headers = split_headers((str(name), _text(value)) for name, value in merged.iteritems())
    check_unconditional(headers)
    settings, credentials = _settings(owner)
    retries = _retries(owner, given)

    def revalidate(validators: Validators) -> Callable[[], Any]:
        conditional = merged.copy()
        conditional.update(conditions(validators))
        args, kwargs = call
        named = dict(zip(("method", "url", "body", "fields", "headers"), args, strict=False)) | dict(kwargs)
        return functools.partial(function, **{**named, "headers": conditional})

    return Identified(
        label=f"{method} {parse_url(url).host}",
        parameters={
            "library": "urllib3",
            "method": method,
            "url": storable_url(url),
            "headers": headers,
            "body": _body(given),
            "fields": _fields(given.get("fields")),
            "options": {name: given[name] for name in _OPTIONS & given.keys()},
            "redirects": _redirects(retries, given),
            "settings": settings,
            # Another host's URL, given to a pool that allows it, is asked of the pool's own server all the same.
            "pool": [owner.scheme, owner.host, owner.port] if type(owner) in _POOLS else None,
        },
        credentials=[url, secret_headers, credentials],
        context=_Live(asked.partition("#")[0], retries),
        carries_credentials=any((secret_headers, *credentials, url_carries_credential(url))),
        revalidate=revalidate if method in REVALIDATABLE_METHODS else None,
    )


def _check_owner(owner: Any) -> None:
    """A manager that sends in its own way, or to somewhere else, cannot be read off its request."""
    kind = type(owner)
    if kind not in (*_MANAGERS, *_POOLS):
        raise UnidentifiableError(f"its {kind.__name__} may answer from anywhere")
    if kind in _MANAGERS and owner.pool_classes_by_scheme is not pool_classes_by_scheme:
        raise UnidentifiableError(f"its {kind.__name__} has pool classes of its own")
    for each in (kind, *_POOLS):
        for name in ("request", "urlopen"):
            method = getattr(each, name)
            if name in vars(owner) or hasattr(method, "__wrapped__") or not method.__module__.startswith("urllib3."):
                raise UnidentifiableError(f"{each.__name__}.{name}() has been replaced")
    if not all(pool.ConnectionCls.__module__.startswith("urllib3.") for pool in _POOLS) or "ConnectionCls" in vars(
        owner
    ):
        raise UnidentifiableError("its pools have connections of their own, which may answer from anywhere")


def _check_call(given: Mapping[str, Any]) -> None:
    if not given.get("preload_content", True):
        raise UnidentifiableError("its response is streamed")
    for name in given.keys() - _REQUEST_PARTS - _WITHOUT_EFFECT - _OPTIONS - {"urlopen_kw"}:
        raise UnidentifiableError(f"its option {name} cannot be compared")
    for name in ("headers", "fields", "json"):
        check_repeatable(given.get(name))


def _url(owner: Any, url: str) -> str:
    """The whole URL: a pool is given the part after the host."""
    if type(owner) in _MANAGERS or not url.startswith("/"):
        return url
    host = f"[{owner.host}]" if ":" in owner.host and not owner.host.startswith("[") else owner.host
    return f"{owner.scheme}://{host}{'' if owner.port is None else f':{owner.port}'}{url}"


def _with_fields(method: str, url: str, fields: Any) -> str:
    """The URL with the fields where the library puts them there, as it does it."""
    return f"{url}?{urlencode(fields)}" if fields and method in _FIELDS_IN_URL else url


def _body(given: Mapping[str, Any]) -> Any:
    if given.get("json") is not None:
        return ["json", json.dumps(given["json"], separators=(",", ":"), ensure_ascii=False)]
    body = given.get("body")
    if not isinstance(body, bytes | str | None):
        raise UnidentifiableError(f"its body is a {type(body).__name__}, which may be readable only once")
    return body


def _fields(fields: Any) -> Any:
    """Pairs of a name and a text or a number; raises UnidentifiableError for an upload."""
    if not fields:
        return None
    pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    if not all(isinstance(pair, tuple | list) and isinstance(pair[1], str | bytes | int | float) for pair in pairs):
        raise UnidentifiableError("its fields upload a file, or cannot be compared")
    return [[name, value] for name, value in pairs]


def _retries(owner: Any, given: Mapping[str, Any]) -> Retry:
    retries = given.get("retries")
    if retries is None:
        retries = owner.connection_pool_kw.get("retries") if type(owner) in _MANAGERS else owner.retries
    found = Retry.from_int(retries, redirect=given.get("redirect", True))
    if type(found) is not Retry:
        raise UnidentifiableError(f"its retries are a {type(found).__name__}, which may do anything")
    return found


def _redirects(retries: Retry, given: Mapping[str, Any]) -> Any:
    """Which redirects are followed, and which answers are raised as errors: all that retries say of the answer."""
    limit = retries.total if retries.redirect is None else retries.redirect
    return {
        "limit": limit if given.get("redirect", True) else 0,
        "raises": [retries.raise_on_redirect, retries.raise_on_status, sorted(retries.status_forcelist)],
        "removed": sorted(retries.remove_headers_on_redirect),
    }


def _settings(owner: Any) -> tuple[dict[str, Any], list[Any]]:
    """What of the settings decides which server answers and how, and the credentials in them."""
    if type(owner) in _MANAGERS:
        given = dict(owner.connection_pool_kw)
    else:
        own = {name: getattr(owner, name, None) for name in (*_TLS, *_TLS_CREDENTIALS)}
        given = {**own, **owner.conn_kw, "_proxy": owner.proxy, "_proxy_headers": owner.proxy_headers}
        given.pop("proxy", None)
        given.pop("proxy_config", None)
    proxy: Url | None = given.pop("_proxy", None)
    proxy_headers, secret_headers = split_headers((given.pop("_proxy_headers", None) or {}).items())
    secrets = [given.pop(name, None) for name in _TLS_CREDENTIALS]
    tls = {name: given.pop(name) for name in _TLS & given.keys()}
    context = given.pop("ssl_context", None)
    for name, value in given.items():
        if name not in _SETTINGS_WITHOUT_EFFECT and value is not None:
            raise UnidentifiableError(f"its setting {name} can change where it goes")
    settings = {
        "tls": {name: value for name, value in tls.items() if value is not None},
        "ssl_context": None if context is None else [int(context.verify_mode), context.check_hostname],
        "proxy": None if proxy is None else [storable_url(proxy.url), proxy_headers],
    }
    return settings, [*secrets, secret_headers, proxy.url if proxy is not None and proxy.auth else None]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def snapshot(response: Any) -> Snapshot | None:
    """Status, headers, decoded body and the redirects before it."""
    if type(response) is not urllib3.HTTPResponse:
        return None
    if not isinstance(response._body, bytes):  # noqa: SLF001 - `.data` would read it
        raise UnstorableError("a response whose body has not been read")
    history = () if response.retries is None else response.retries.history
    redirects = [hop for hop in history if hop.redirect_location]
    original = getattr(response, "_original_response", None)
    data = {
        "status": response.status,
        "reason": response.reason,
        "version": response.version,
        "version_string": getattr(response, "version_string", None),
        "headers": storable_headers(response.headers.iteritems()),
        "content": response._body,  # noqa: SLF001 - as above
        "method": getattr(original, "_method", None) or "GET",
        "url": storable_url(response.url or ""),
        "history": [
            [hop.method, storable_url(hop.url or ""), hop.status, storable_url(hop.redirect_location or "")]
            for hop in redirects
        ],
    }
    # Of a redirect's headers nothing is known; that there was one means that no validator is the call's own.
    chain = [*([] for _ in redirects), list(response.headers.iteritems())]
    return http_snapshot(data, chain, response.headers.getlist("set-cookie"))


def not_modified(response: Any) -> bool:
    """Whether it is a 304."""
    return type(response) is urllib3.HTTPResponse and response.status == NOT_MODIFIED


def renewed(data: Any, response: Any) -> Snapshot:
    """The stored data with its headers updated; raises UnstorableError for a 304 that is not about it."""
    history = getattr(getattr(response, "retries", None), "history", ())
    if not not_modified(response) or any(hop.redirect_location for hop in history):
        raise UnstorableError("a response that is no 304 to the call itself")
    return renewed_snapshot(data, list(response.headers.iteritems()), response.headers.getlist("set-cookie"))


def replay(data: Any, context: _Live | None) -> urllib3.HTTPResponse:
    """A new response, read and released; its URL is the caller's own unless there were redirects."""
    history = tuple(RequestHistory(method, url, None, status, to) for method, url, status, to in data["history"])
    retries = Retry() if context is None else context.retries
    empty = io.BytesIO()
    empty.close()
    parts = {
        "body": empty,
        "headers": urllib3.HTTPHeaderDict([(name, value) for name, value in data["headers"]]),
        "status": data["status"],
        "reason": data["reason"],
        "version": data["version"],
        "version_string": data["version_string"],
        "preload_content": False,
        "request_method": data["method"],
        "request_url": data["url"],
        "retries": retries.new(history=history),
    }
    response = urllib3.HTTPResponse(**{name: value for name, value in parts.items() if name in _RESPONSE_PARAMETERS})
    response._body = data["content"]  # noqa: SLF001 - how the library itself marks a read body
    response.length_remaining = 0
    if context is not None and not history:
        # A pool, and a manager for its pools, asks for what comes after the host; through some proxies for it all.
        response.url = parse_url(context.url).request_uri if data["url"].startswith("/") else context.url
    return response
