"""Streams of the SDKs that come from one generator (openai, anthropic, groq), which wrap an httpx response.

What is kept are the bytes of the response. Whoever is to have the stream makes the very call again, on a copy of the
client whose transport answers with those bytes: so the SDK decodes them itself, into the types that it knows.
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from apicache.adapter import Snapshot, Streamed, Upstream
from apicache.http.httpx_family import library_of
from apicache.streams.http_streams import byte_streams, decoded_head_of, interruption, response_of

_LAST: Final = 8
"""Chunks among which the end is looked for."""
_UNSAID: Final = Snapshot(data=None, refusal=None, lifetime=None)
"""These APIs' answers to POSTs forbid HTTP caches to store them as a matter of form."""
_is_replaying: Final = ContextVar("apicache_is_replaying", default=False)


def streamed_call(
    function: Callable[..., Any], kwargs: Mapping[str, Any], is_complete: Callable[[Sequence[bytes]], bool]
) -> Streamed:
    """How `function(stream=True, ...)`, a bound method of a resource, is received and replayed."""
    resource: Any = getattr(function, "__self__")  # noqa: B009 - of any resource
    client = resource._client  # noqa: SLF001 - no public reader
    library = library_of(client._client)  # noqa: SLF001 - same
    is_async = isinstance(client._client, library.AsyncClient)  # noqa: SLF001 - same

    async def open_async() -> Upstream:
        return _upstream(await function(**kwargs), is_async=True)

    def begin() -> Upstream:
        return _upstream(function(**kwargs), is_async=False)

    def give(head: Any, chunks: Any) -> Any:
        """The SDK's own stream, or an awaitable of it."""
        replaying = client.with_options(http_client=_replaying(library, head, chunks, is_async=is_async), max_retries=0)
        return getattr(type(resource)(replaying), function.__name__)(**kwargs)

    return Streamed(
        open=open_async if is_async else begin,
        give=give,
        pack=bytes,
        unpack=bytes,
        is_sent_at_once=True,
        is_async=is_async,
        is_complete=is_complete,
    )


def _upstream(stream: Any, *, is_async: bool) -> Upstream:
    response = stream.response
    return Upstream(
        head=decoded_head_of(response),
        chunks=response.aiter_bytes() if is_async else response.iter_bytes(),
        close=stream.close,
        interrupt=None if is_async else interruption(response),
        snapshot=_UNSAID,
    )


def _replaying(library: ModuleType, head: Any, chunks: Any, *, is_async: bool) -> Any:
    """An HTTP client that answers its one request with that head and those chunks."""
    sync_bytes, async_bytes = byte_streams(library)

    class Answering(library.BaseTransport):  # type: ignore[name-defined,misc] # a module's class
        def handle_request(self, request: Any) -> Any:
            return response_of(library, head, sync_bytes(chunks), request)

    class AsyncAnswering(library.AsyncBaseTransport):  # type: ignore[name-defined,misc] # same
        async def handle_async_request(self, request: Any) -> Any:
            return response_of(library, head, async_bytes(chunks), request)

    class Replaying(library.Client):  # type: ignore[name-defined,misc] # same
        def send(self, *args: Any, **kwargs: Any) -> Any:
            with _unlogged(library):
                return super().send(*args, **kwargs)

    class AsyncReplaying(library.AsyncClient):  # type: ignore[name-defined,misc] # same
        async def send(self, *args: Any, **kwargs: Any) -> Any:
            with _unlogged(library):
                return await super().send(*args, **kwargs)

    return AsyncReplaying(transport=AsyncAnswering()) if is_async else Replaying(transport=Answering())


@contextlib.contextmanager
def _unlogged(library: ModuleType) -> Iterator[None]:
    """The library logs each of its requests; one that only replays has sent nothing."""
    _watch(library.__name__)
    before = _is_replaying.set(True)
    try:
        yield
    finally:
        _is_replaying.reset(before)


@functools.cache
def _watch(logger: str) -> None:
    logging.getLogger(logger).addFilter(_is_of_a_request)


def _is_of_a_request(_record: logging.LogRecord) -> bool:
    return not _is_replaying.get()


def ends_with(*marks: bytes) -> Callable[[Sequence[bytes]], bool]:
    """Whether the last event is whole, and one of the last lines begins with a mark that an API ends its streams by."""

    def is_complete(chunks: Sequence[bytes]) -> bool:
        # Text that a model writes cannot begin a line: it stands inside of JSON.
        tail = b"".join(chunks[-_LAST:])
        return tail.endswith((b"\n\n", b"\r\n\r\n")) and any(line.startswith(marks) for line in tail.splitlines())

    return is_complete
