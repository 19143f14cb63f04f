"""Streamed responses of httpx and its forks: what is kept of them, and responses made of that again.

Documentation: https://www.python-httpx.org/async/#streaming-responses
"""

import contextlib
import datetime as dt
import functools
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from apicache.adapter import Snapshot, Streamed, Upstream
from apicache.credentials import storable_headers
from apicache.http.snapshots import http_snapshot

_OF_SENDING: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that tell how a body was sent, which do not hold for a decoded one."""
_ONE_AT_A_TIME: Final = ("HTTP/1.0", "HTTP/1.1")
"""Versions whose connections carry one request at a time."""
_EXTENSIONS: Final = frozenset({"http_version", "reason_phrase"})


def header_pairs(response: Any) -> list[tuple[str, str]]:
    """A response's headers as they came."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw]


def head_of(response: Any, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """What comes before the body, in plain values, with these headers."""
    return {
        "status": response.status_code,
        "headers": storable_headers(pairs),
        "extensions": {name: value for name, value in response.extensions.items() if name in _EXTENSIONS},
    }


def decoded_head_of(response: Any) -> dict[str, Any]:
    """As `head_of`, for a body whose chunks are decoded."""
    return head_of(response, [pair for pair in header_pairs(response) if pair[0].lower() not in _OF_SENDING])


def response_of(library: ModuleType, head: Mapping[str, Any], stream: Any, request: Any) -> Any:
    """A response of the library's own type that reads its body from a stream of its own type."""
    response = library.Response(
        head["status"],
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]],
        stream=stream,
        request=request,
        extensions=dict(head["extensions"]),
    )
    response.elapsed = dt.timedelta()  # the library sets it when a response is closed
    return response


@functools.cache
def byte_streams(library: ModuleType) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The library's sync and async streams of the bytes that an iterator gives."""

    class Chunks(library.SyncByteStream):  # type: ignore[name-defined,misc] # a module's class
        def __init__(self, chunks: Any) -> None:
            self._chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._chunks)

        def close(self) -> None:
            self._chunks.close()

    class AsyncChunks(library.AsyncByteStream):  # type: ignore[name-defined,misc] # same
        def __init__(self, chunks: Any) -> None:
            self._chunks = chunks

        def __aiter__(self) -> AsyncIterator[bytes]:
            found: AsyncIterator[bytes] = aiter(self._chunks)
            return found

        async def aclose(self) -> None:
            await self._chunks.aclose()

    return Chunks, AsyncChunks


def streamed_response(library: ModuleType, send: Callable[..., Any], request: Any, *, is_async: bool) -> Streamed:
    """How a request that `send(stream=True)` sends is received and replayed: its consumers get responses."""
    sync_bytes, async_bytes = byte_streams(library)

    def upstream_of(response: Any) -> Upstream:
        head = head_of(response, header_pairs(response))
        return Upstream(
            head=head,
            chunks=response.aiter_raw() if is_async else response.iter_raw(),
            close=response.aclose if is_async else response.close,
            interrupt=None if is_async else interruption(response),
            snapshot=_snapshot(response, head),
        )

    async def open_async() -> Upstream:
        return upstream_of(await send(stream=True))

    def begin() -> Upstream:
        return upstream_of(send(stream=True))

    def give(head: Any, chunks: Any) -> Any:
        return response_of(library, head, async_bytes(chunks) if is_async else sync_bytes(chunks), request)

    return Streamed(
        open=open_async if is_async else begin,
        give=give,
        pack=bytes,
        unpack=bytes,
        is_sent_at_once=True,
        is_async=is_async,
    )


def interruption(response: Any) -> Callable[[], None] | None:
    """What ends a sync response's connection while another thread waits for its bytes; None where nothing can.

    It shuts the socket down and leaves closing it to that thread: a socket that is closed amid a `recv` wakes nobody,
    and its number may be another socket's by the next one. HTTP/2's requests share their connection.
    """
    connection = response.extensions.get("network_stream")  # https://www.python-httpx.org/advanced/extensions/
    opened = None if connection is None else connection.get_extra_info("socket")
    if not isinstance(opened, socket.socket) or response.http_version not in _ONE_AT_A_TIME:
        return None
    changing, close, is_released = threading.Lock(), response.close, []

    def release() -> None:
        with changing:
            is_released.append(True)
        close()

    def interrupt() -> None:
        with changing:
            if not is_released:  # else the connection may be another request's by now
                with contextlib.suppress(OSError):  # it has ended already
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not TLS's own, which would go on in plain text

    response.close = release  # its iterators call it when they have come to the end
    return interrupt


def _snapshot(response: Any, head: Mapping[str, Any]) -> Snapshot:
    data = {"status": head["status"], "method": response.request.method, "headers": head["headers"]}
    snapshot = http_snapshot(data, [_said(response)], response.headers.get_list("set-cookie"))
    if response.history:
        return Snapshot(data=None, refusal="a stream that was redirected", lifetime=None)
    return snapshot


def _said(response: Any) -> list[tuple[str, str]]:
    """The headers that tell how it may be stored.

    Servers send `no-cache` with every stream of events, for proxies that would hold it back (HTML Living Standard,
    section 9.2.7); of storing it, `no-store` tells.
    """
    pairs = header_pairs(response)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return pairs
    return [(name, _without_no_cache(value) if name.lower() == "cache-control" else value) for name, value in pairs]


def _without_no_cache(value: str) -> str:
    return ", ".join(part for part in map(str.strip, value.split(",")) if part.lower() != "no-cache")
