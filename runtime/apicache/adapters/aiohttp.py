"""The adapter of aiohttp's client, https://docs.aiohttp.org/en/stable/client_reference.html.

A call awaits a response whose body has been read: it is the library's ClientResponse as `await response.read()` leaves
it, with its connection back in the pool, and `content` starts again at the body's first byte.
"""

import asyncio
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import TimerNoop
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from apicache.adapter import Identified, Snapshot, check_repeatable
from apicache.credentials import jar_cookies, split_headers, storable_headers, storable_url, url_carries_credential
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.http.semantics import (
    NOT_MODIFIED,
    REVALIDATABLE_METHODS,
    check_read_like,
    check_unconditional,
    conditions,
)
from apicache.http.snapshots import http_snapshot, renewed_snapshot

_VERBS: Final = ("get", "options", "head", "post", "put", "patch", "delete")
_METHODS: Final[dict[Any, str | None]] = {
    aiohttp.ClientSession.request: None,
    **{getattr(aiohttp.ClientSession, verb): verb.upper() for verb in _VERBS},
}
_WITHOUT_EFFECT: Final = frozenset(
    {"timeout", "read_bufsize", "max_line_size", "max_field_size", "max_headers", "upload_tracker", "trace_request_ctx"}
)
_REDIRECTS: Final = ("allow_redirects", "max_redirects")
_BODIES: Final = ("compress", "chunked", "expect100", "read_until_eof", "auto_decompress", "raise_for_status")
_TLS: Final = ("ssl", "verify_ssl", "server_hostname")
_OPTIONS: Final = frozenset((*_REDIRECTS, *_BODIES, *_TLS))
"""Options that are compared as they are given, when they are texts or numbers."""
_REQUEST_PARTS: Final = frozenset(
    {
        "params",
        "data",
        "json",
        "headers",
        "cookies",
        "auth",
        "skip_auto_headers",
        "proxy",
        "proxy_auth",
        "proxy_headers",
    }
)
_SET_ON_SENDING: Final = frozenset({"connection", "transfer-encoding", "content-type", "content-length"})
_SPELLINGS: Final = {name.lower(): name for name in vars(hdrs).values() if isinstance(name, istr)}
"""As which the library hands out the names of headers that it knows."""
_RESPONSE_PARAMETERS: Final = inspect.signature(aiohttp.ClientResponse).parameters.keys()


class _Live(NamedTuple):
    """What a replay needs of its call."""

    request: aiohttp.ClientRequest
    session: aiohttp.ClientSession


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The request that would be sent, with the session's settings merged in."""
    if function is aiohttp.request:
        raise UnidentifiableError("aiohttp.request() cannot be awaited; call a ClientSession's method")
    plain = getattr(function, "__func__", function)
    session = getattr(function, "__self__", None)
    if plain not in _METHODS or session is None:
        return None
    positional = ("url",) if _METHODS[plain] else ("method", "url")
    given = dict(zip(positional, args, strict=False)) | dict(kwargs)
    method = (_METHODS[plain] or str(given.pop("method"))).upper()
    check_read_like(method)
    _check_session(session)
    _check_call(given)
    url = given.pop("url", None) or given.pop("str_or_url")
    return _identified(session, _request(session, method, url, given), given)


def _identified(session: aiohttp.ClientSession, request: aiohttp.ClientRequest, given: dict[str, Any]) -> Identified:
    url = str(request.original_url)
    headers, secret_headers = split_headers(request.headers.items())
    check_unconditional(headers)
    proxy, proxy_credentials = _proxy(session, given)
    cookies = jar_cookies(session.cookie_jar)
    options = {name: given[name] for name in _OPTIONS if given.get(name) is not None}
    body = _frozen_body(session, given)

    def load(more: Mapping[str, str]) -> Callable[[], Any]:
        rest = {name: value for name, value in given.items() if name not in {"params", "json", "data"}}
        headers = CIMultiDict(_merged_headers(session, given))
        headers.update(more)
        sent = {**rest, "headers": headers}
        if isinstance(given.get("cookies"), Mapping):
            sent["cookies"] = dict(given["cookies"])
        # The headers as they are now, the cookies as they will be: of another request's answer nothing is kept.
        expected = None if more or given.get("cookies") else _header_items(request.headers)
        return lambda: _load(session, request, sent, body, expected)

    return Identified(
        label=f"{request.method} {request.url.host}",
        parameters={
            "library": "aiohttp",
            "method": request.method,
            "url": storable_url(url),
            "headers": headers,
            "body": body,
            "options": options,
            "settings": {**_settings(session), "proxy": proxy},
        },
        credentials=[url, secret_headers, proxy_credentials, cookies],
        context=_Live(request, session),
        carries_credentials=bool(secret_headers or cookies) or any(proxy_credentials) or url_carries_credential(url),
        send=load({}),
        revalidate=(lambda found: load(conditions(found))) if request.method in REVALIDATABLE_METHODS else None,
    )


async def _load(
    session: aiohttp.ClientSession,
    request: aiohttp.ClientRequest,
    sent: Mapping[str, Any],
    body: Any,
    expected: list[tuple[str, str]] | None,
) -> aiohttp.ClientResponse:
    """The request made and its body read; not read, and so not kept, when another one was sent than was identified."""
    response = await session.request(request.method, request.original_url, data=_payload(body), **sent)
    first = response.history[0] if response.history else response
    if expected is None or _header_items(first.request_info.headers) == expected:
        await response.read()
        if content := response._body:  # noqa: SLF001 - read just now
            response.content = _stream(content, asyncio.get_running_loop())
    return response


def _header_items(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in headers.items() if name.lower() not in _SET_ON_SENDING)


def _check_session(session: Any) -> None:
    """A session that sends in its own way, or to somewhere else, cannot be read off its request."""
    if type(session) is not aiohttp.ClientSession:
        raise UnidentifiableError(f"its session is a {type(session).__name__}, which may send in its own way")
    for name in ("request", "_request", *_VERBS):
        method = getattr(aiohttp.ClientSession, name)
        if name in vars(session) or not method.__module__.startswith("aiohttp.") or hasattr(method, "__wrapped__"):
            raise UnidentifiableError(f"ClientSession.{name}() is not the library's own")
    if session.closed:
        raise UnidentifiableError("its session is closed")
    if session.trace_configs or _private(session, "_middlewares", ()):
        raise UnidentifiableError("its session has trace configs or middlewares, which a hit would not run")
    if session.trust_env:
        raise UnidentifiableError("its session takes proxies and logins from the environment (trust_env)")
    if not isinstance(session.raise_for_status, bool):
        raise UnidentifiableError("its session's raise_for_status is a function")
    for name, expected in (("_request_class", aiohttp.ClientRequest), ("_response_class", aiohttp.ClientResponse)):
        if _private(session, name) is not expected:
            raise UnidentifiableError(f"its session has a {name.strip('_')} of its own")
    _check_connector(session.connector)


def _check_connector(connector: Any) -> None:
    if type(connector) is not aiohttp.TCPConnector:
        raise UnidentifiableError(f"its session has a {type(connector).__name__}, which may answer from anywhere")
    if "connect" in vars(connector) or not connector.connect.__module__.startswith("aiohttp."):
        raise UnidentifiableError("its session's TCPConnector.connect() has been replaced")
    resolver = _private(connector, "_resolver")
    if not type(resolver).__module__.startswith("aiohttp."):
        raise UnidentifiableError(f"its session looks names up by a {type(resolver).__name__}")
    if _private(connector, "_local_addr_infos", None) or _private(connector, "_socket_factory", None):
        raise UnidentifiableError("its session speaks from an address, or by sockets, of its own")


_REQUIRED: Final = object()


def _private(owner: Any, name: str, default: Any = _REQUIRED) -> Any:
    """A setting that has no public reader."""
    found = getattr(owner, name, default)
    if found is _REQUIRED:
        raise UnidentifiableError(
            f"aiohttp {aiohttp.__version__} keeps no {type(owner).__name__}.{name} to be compared"
        )
    return found


def _check_call(given: Mapping[str, Any]) -> None:
    for name in given.keys() - _REQUEST_PARTS - _WITHOUT_EFFECT - {"url", "str_or_url"}:
        if name not in _OPTIONS or not isinstance(given[name], str | int | None):
            raise UnidentifiableError(f"its option {name} cannot be compared")
    for name in ("params", "headers", "cookies", "data", "json"):
        check_repeatable(given.get(name))
    if given.get("auth") is not None and type(given["auth"]) is not aiohttp.BasicAuth:
        raise UnidentifiableError(
            f"its auth is a {type(given['auth']).__name__}; name whose answer it is with using(scope=...)"
        )


def _request(session: Any, method: str, given_url: Any, given: Mapping[str, Any]) -> aiohttp.ClientRequest:
    base = _private(session, "_base_url")
    url = URL(given_url)
    if base is not None and not url.absolute:
        url = base.join(url)
    auth = given.get("auth")
    if auth is None and url.raw_user is None and (base is None or base.origin() == url.origin()):
        auth = session.auth
    skipped = {*session.skip_auto_headers, *(given.get("skip_auto_headers") or ())}
    return aiohttp.ClientRequest(
        method,
        url,
        params=given.get("params"),
        headers=_merged_headers(session, given),
        skip_auto_headers=skipped or None,
        data=_payload(_frozen_body(session, given)),
        cookies={**session.cookie_jar.filter_cookies(url), **dict(given.get("cookies") or {})},
        auth=auth,
        version=session.version,
        compress=given.get("compress"),
        chunked=given.get("chunked"),
        expect100=bool(given.get("expect100")),
        loop=_private(session, "_loop"),
        session=session,
    )


def _merged_headers(session: aiohttp.ClientSession, given: Mapping[str, Any]) -> CIMultiDict[str]:
    """The session's headers, those of the call in the place of its own."""
    merged: CIMultiDict[str] = CIMultiDict(session.headers)
    own: CIMultiDict[str] = CIMultiDict(given.get("headers") or {})
    for name in own:
        merged.popall(name, None)
    merged.extend(own)
    return merged


def _frozen_body(session: Any, given: Mapping[str, Any]) -> tuple[str, Any]:
    """(kind, content), of what nobody can change any more; raises UnidentifiableError for what has to be read."""
    if given.get("json") is not None:
        serialize = _private(session, "_json_serialize_bytes", None)
        json = given["json"]
        return "json", session.json_serialize(json).encode() if serialize is None else serialize(json)
    data = given.get("data")
    if data is None or isinstance(data, bytes | str):
        return "data", data
    pairs = tuple(data.items()) if isinstance(data, Mapping) else data
    if not isinstance(pairs, list | tuple):
        raise UnidentifiableError(f"its body is a {type(data).__name__}, which may be readable only once")
    frozen = tuple(tuple(pair) for pair in pairs)
    if not all(isinstance(part, str | int | float) for pair in frozen for part in pair):
        raise UnidentifiableError("its form holds what is no text, or uploads a file")
    return "form", frozen


def _payload(body: tuple[str, Any]) -> Any:
    """What the library is given for a frozen body."""
    kind, content = body
    return aiohttp.BytesPayload(content, content_type="application/json") if kind == "json" else content


def _settings(session: aiohttp.ClientSession) -> dict[str, Any]:
    connector: Any = session.connector
    tls = _private(connector, "_ssl")
    if isinstance(tls, aiohttp.Fingerprint):
        raise UnidentifiableError("its session pins a fingerprint, which cannot be compared")
    return {
        "tls": tls if isinstance(tls, bool) else [int(tls.verify_mode), tls.check_hostname],
        "raise_for_status": session.raise_for_status,
        "auto_decompress": session.auto_decompress,
        "requote_redirect_url": session.requote_redirect_url,
        "version": list(session.version),
    }


def _proxy(session: Any, given: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """The proxy as (what identifies it, its credentials)."""
    url = given.get("proxy") or _private(session, "_default_proxy", None)
    auth = given.get("proxy_auth") or _private(session, "_default_proxy_auth", None)
    if url is None:
        return None, []
    headers, secret_headers = split_headers(CIMultiDict(given.get("proxy_headers") or {}).items())
    secret_url = str(url) if url_carries_credential(str(url)) else None
    return [storable_url(str(url)), headers], [secret_url, secret_headers, None if auth is None else list(auth)]


def snapshot(response: Any) -> Snapshot | None:
    """Status, headers, decoded body and history; the request stays behind."""
    if type(response) is not aiohttp.ClientResponse:
        return None
    if not isinstance(response._body, bytes):  # noqa: SLF001 - `read()` would wait for it
        raise UnstorableError("a response whose body has not been read")
    chain = [*response.history, response]
    data = {**_head(response), "content": response._body, "encoding": response.get_encoding()}  # noqa: SLF001 - same
    data["history"] = [_head(earlier) for earlier in response.history]
    set_cookies = [value for each in chain for value in each.headers.getall("Set-Cookie", ())]
    return http_snapshot(data, [_pairs(each) for each in chain], set_cookies)


def _pairs(response: aiohttp.ClientResponse) -> list[tuple[str, str]]:
    """The headers, their names as they were sent."""
    how = ("utf-8", "surrogateescape")
    return [(name.decode(*how), value.decode(*how)) for name, value in response.raw_headers]


def _head(response: aiohttp.ClientResponse) -> dict[str, Any]:
    return {
        "status": response.status,
        "reason": response.reason,
        "version": None if response.version is None else list(response.version),
        "headers": storable_headers(_pairs(response)),
        "method": response.method,
        "url": storable_url(str(response.url)),
    }


def not_modified(response: Any) -> bool:
    """Whether it is a 304."""
    return type(response) is aiohttp.ClientResponse and response.status == NOT_MODIFIED


def renewed(data: Any, response: Any) -> Snapshot:
    """The stored data with its headers updated; raises UnstorableError for a 304 that is not about it."""
    if not not_modified(response) or response.history:
        raise UnstorableError("a response that is no 304 to the call itself")
    return renewed_snapshot(data, _pairs(response), response.headers.getall("Set-Cookie", ()))


def replay(data: Any, context: _Live | None) -> aiohttp.ClientResponse:
    """A new response, read and released; its request is the caller's own, or one with the stored method and URL.

    Raises RuntimeError outside an event loop when there is no `context`.
    """
    loop = asyncio.get_running_loop() if context is None else context.session._loop  # noqa: SLF001 - no public reader
    direct = context is not None and not data["history"]
    response = _blank(data, context.request if direct and context is not None else None, loop)
    response._body = data["content"]  # noqa: SLF001 - how the library itself marks a read body
    response.content = _stream(data["content"], loop) if data["content"] else aiohttp.EMPTY_PAYLOAD
    response._history = tuple(_earlier(hop, loop) for hop in data["history"])  # noqa: SLF001 - no public writer
    resolve = (lambda *_: data["encoding"]) if context is None else context.session._resolve_charset  # noqa: SLF001 - same
    response._resolve_charset = resolve  # noqa: SLF001 - same
    return response


def _earlier(data: Any, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientResponse:
    """A redirect, whose body the library does not let be read."""
    response = _blank(data, None, loop)
    response.content = _stream(b"", loop)
    response.release()
    return response


def _blank(data: Any, request: aiohttp.ClientRequest | None, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientResponse:
    if request is None:
        url = URL(data["url"])
        info = aiohttp.RequestInfo(url, data["method"], CIMultiDictProxy(CIMultiDict()), url)
    else:
        url = request.original_url
        headers = CIMultiDictProxy(CIMultiDict(request.headers))
        info = aiohttp.RequestInfo(request.url, request.method, headers, url)
    parts: dict[str, Any] = {
        "writer": None,
        "continue100": None,
        "timer": TimerNoop(),
        "request_info": info,
        "traces": [],
        "loop": loop,
        "session": None,
        "stream_writer": types.SimpleNamespace(output_size=0),  # not in every version
    }
    kept = {name: value for name, value in parts.items() if name in _RESPONSE_PARAMETERS}
    response = aiohttp.ClientResponse(data["method"], url, **kept)
    response.status, response.reason = data["status"], data["reason"]
    response.version = None if data["version"] is None else aiohttp.HttpVersion(*data["version"])
    spelled = CIMultiDict((_SPELLINGS.get(name.lower(), name), value) for name, value in data["headers"])
    response._headers = CIMultiDictProxy(spelled)  # noqa: SLF001 - no public writer
    response._raw_headers = tuple(_raw(name, value) for name, value in data["headers"])  # noqa: SLF001 - same
    return response


def _raw(name: str, value: str) -> tuple[bytes, bytes]:
    return name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")


def _stream(content: bytes, loop: asyncio.AbstractEventLoop) -> aiohttp.StreamReader:
    """A body that has arrived in whole; its limit is beyond it, as there is nobody to be asked to wait."""
    stream = aiohttp.StreamReader(BaseProtocol(loop), len(content) + 1, loop=loop)
    if content:
        stream.feed_data(content)
    stream.feed_eof()
    return stream
