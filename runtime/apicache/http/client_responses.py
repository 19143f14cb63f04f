"""`http.client.HTTPResponse` as it is stored: what `urllib.request` returns of HTTP, built anew over a body in memory.

It is of that very class, whether it comes from the call or from the cache: `read`, `readline`, `readinto`, iteration,
`headers`, `getheader`, `status`, `code`, `reason`, `url`, `geturl` and `with` are its own. Its body is read from memory
(`length` is the body's, `chunked` is false), and its connection is closed.
"""

import http.client
import io
from typing import Any

from apicache.adapter import Snapshot
from apicache.credentials import storable_headers, storable_url
from apicache.errors import UnstorableError
from apicache.http.semantics import NOT_MODIFIED
from apicache.http.snapshots import http_snapshot, renewed_snapshot


class _Body(io.BytesIO):
    """A body in memory, and what the class asks of a socket."""

    redirected = False
    """Whether it came by a redirect, of which nothing else is known."""

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)


def in_memory(
    *, status: int, reason: str, version: int, headers: Any, content: bytes, method: str, url: str, redirected: bool
) -> http.client.HTTPResponse:
    """A response of which nothing has been read yet; `headers` are pairs."""
    body = _Body(content)
    body.redirected = redirected
    response: Any = http.client.HTTPResponse(body, method=method)  # type: ignore[arg-type]
    message = http.client.HTTPMessage()
    for name, value in headers:
        message.add_header(name, value)
    response.headers = message
    response.status = response.code = status
    response.reason = response.msg = reason  # urllib.request puts the reason there, for the message
    response.version, response.url = version, url
    response.chunked, response.will_close, response.length = False, True, len(content)
    return response  # type: ignore[no-any-return]


def read_in(response: Any, method: str, asked: str) -> http.client.HTTPResponse:
    """The response, or the HTTPError that stands for one, with its body read and its connection closed.

    `asked` is the URL of the request.
    """
    with response:
        return in_memory(
            status=response.status,
            reason=response.reason,
            version=getattr(response, "version", 11),
            headers=response.headers.items(),
            content=response.read(),
            method=method,
            url=response.geturl(),
            redirected=response.geturl() != asked,
        )


def snapshot(response: Any) -> Snapshot | None:
    """Status, headers and body; None for anything but a response."""
    if type(response) is not http.client.HTTPResponse:
        return None
    body = _unread_body(response)
    if body is None:
        raise UnstorableError("a response whose body is read from its connection; return what is read from it")
    data = {
        "status": response.status,
        "reason": response.reason,
        "version": response.version,
        "headers": storable_headers(response.headers.items()),
        "content": body.getvalue(),
        "method": response._method,  # type: ignore[attr-defined]  # noqa: SLF001 - no public reader
        "url": storable_url(response.url),
        "redirected": body.redirected,
    }
    # Of a redirect's headers nothing is known; that there was one means that no validator is the call's own.
    chain = [*([[]] if body.redirected else []), response.headers.items()]
    return http_snapshot(data, chain, response.headers.get_all("set-cookie") or ())


def _unread_body(response: Any) -> _Body | None:
    body = getattr(response.fp, "raw", None)
    return body if isinstance(body, _Body) and response.fp.tell() == 0 else None


def replay(data: Any, context: str | None) -> http.client.HTTPResponse:
    """A new response; its URL is the caller's own, `context`, or the stored one."""
    own = context is not None and not data["redirected"]
    return in_memory(**{**data, "url": context if own else data["url"]})


def not_modified(response: Any) -> bool:
    """Whether it is a 304."""
    return type(response) is http.client.HTTPResponse and response.status == NOT_MODIFIED


def renewed(data: Any, response: Any) -> Snapshot:
    """The stored data with its headers updated; raises UnstorableError for a 304 that is not about it."""
    body = _unread_body(response) if not_modified(response) else None
    if body is None or body.redirected:
        raise UnstorableError("a response that is no 304 to the call itself")
    return renewed_snapshot(data, response.headers.items(), response.headers.get_all("set-cookie") or ())
