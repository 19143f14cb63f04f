"""Streamed responses of httpx and its forks: what is kept of them, and responses made of that again.

Documentation: https://www.python-httpx.org/async/#streaming-responses
"""

import datetime as dt
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from apicache.adapter import Snapshot, Streamed, Upstream
from apicache.credentials import storable_headers
from apicache.http_snapshots import http_snapshot

_OF_SENDING: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that tell how a body was sent, which do not hold for a decoded one."""
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
            snapshot=_snapshot(response, head),
        )

    async def open_async() -> Upstream:
        return upstream_of(await send(stream=True))

    def begin() -> Upstream:
        return upstream_of(send(stream=True))

    def give(head: Any, chunks: Any) -> Any:
        return response_of(library, head, async_bytes(chunks) if is_async else sync_bytes(chunks), request)

    return Streamed(open=open_async if is_async else begin, give=give, pack=bytes, unpack=bytes, is_sent_at_once=True)


def _snapshot(response: Any, head: Mapping[str, Any]) -> Snapshot:
    data = {"status": head["status"], "method": response.request.method, "headers": head["headers"]}
    snapshot = http_snapshot(data, [header_pairs(response)], response.headers.get_list("set-cookie"))
    if response.history:
        return Snapshot(data=None, refusal="a stream that was redirected", lifetime=None)
    return snapshot
