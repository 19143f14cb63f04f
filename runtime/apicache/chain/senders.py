"""Sends providers' requests by httpx: the thin edge at which a provider's call waits, async or sync.

By its transports alone, without its clients: these follow redirects, keep cookies, read proxies and netrc from the
environment, and log URLs, none of which a request that carries a key may meet with.
"""

import asyncio
import contextlib
import functools
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from apicache import forks
from apicache.event_loops import per_event_loop
from apicache.provider import ErrorKind, ProviderError, Request, Response
from apicache.streams.server_sent_events import EventParser, EventTooLongError

if TYPE_CHECKING:
    import httpx

BODY_MAX: Final = 64 * 2**20
"""Bytes of a response or a stream, decoded; a larger one is no answer."""
_KEPT_OPEN: Final = 32
"""Idle connections."""
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "apicache"}
"""What a request says besides its own headers."""


class Sender(Protocol):
    """What the chain sends requests by; both raise ProviderError, after at most so many seconds."""

    async def send(self, provider: str, request: Request, seconds: float) -> Response:
        """The response to a request of the provider of that name."""

    def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
        """The same, for sync code."""

    def close(self) -> None:
        """Close the connections; the next request opens others."""


class StreamSender(Sender, Protocol):
    """A sender that can stream."""

    async def stream(self, provider: str, request: Request, seconds: float) -> "Response | AsyncEvents":
        """The server-sent events of a response with status 2xx, any other response whole; raises ProviderError.

        Its head must come within so many seconds, and each further piece.
        """

    def stream_sync(self, provider: str, request: Request, seconds: float) -> "Response | Events":
        """The same, for sync code."""


class HTTPSender:
    """Sends over HTTP; connections are kept open, those of async callers for as long as their event loop lives."""

    def __init__(self, proxy: str | None = None) -> None:
        self._proxy = proxy
        self._abandoned: list[object] = []
        """What a parent process has open: a child that closed it would speak for the parent."""
        self._renew()
        forks.on_fork(self._after_fork)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._transport: httpx.HTTPTransport | None = None
        self._loops: weakref.WeakSet[_LoopsOwn] = weakref.WeakSet()
        self._own: Callable[[], _LoopsOwn] = per_event_loop(self._open)

    def _after_fork(self) -> None:
        self._abandoned += [self._transport, *self._loops]
        self._renew()

    async def send(self, provider: str, request: Request, seconds: float) -> Response:
        """The response to a request; raises ProviderError."""
        import httpx  # noqa: PLC0415 - with the first request: `import apicache` stays light

        failure: ProviderError | None = None
        try:
            transport = self._own().transport()
            async with asyncio.timeout(seconds):
                response = await transport.handle_async_request(_prepared(httpx, request, seconds))
                body = await _read_async(provider, response)
            return _told(response, body)
        except Exception as error:  # noqa: BLE001 - `_failure` raises again what it does not know
            failure = _failure(httpx, provider, error, seconds)
        raise failure  # not where httpx's own error would hang on it, and on that the request with its key

    def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
        """The response to a request; raises ProviderError."""
        import httpx  # noqa: PLC0415 - as above

        from apicache.chain.sync_deadlines import within  # noqa: PLC0415 - as above

        failure: ProviderError | None = None
        try:
            with within(seconds):
                response = self._sync_transport(httpx).handle_request(_prepared(httpx, request, seconds))
                body = _read(provider, response)
            return _told(response, body)
        except Exception as error:  # noqa: BLE001 - as above
            failure = _failure(httpx, provider, error, seconds)
        raise failure

    async def stream(self, provider: str, request: Request, seconds: float) -> "Response | AsyncEvents":
        """The server-sent events of a response with status 2xx, any other response whole; raises ProviderError."""
        import httpx  # noqa: PLC0415 - as above

        failure: ProviderError | None = None
        try:
            transport = self._own().transport()
            async with asyncio.timeout(seconds):
                response = await transport.handle_async_request(_prepared(httpx, request, seconds))
                if response.is_success:
                    return AsyncEvents(provider, response, seconds)
                body = await _read_async(provider, response)
            return _told(response, body)
        except Exception as error:  # noqa: BLE001 - as above
            failure = _failure(httpx, provider, error, seconds)
        raise failure

    def stream_sync(self, provider: str, request: Request, seconds: float) -> "Response | Events":
        """As `stream`, for sync code."""
        import httpx  # noqa: PLC0415 - as above

        from apicache.chain.sync_deadlines import within  # noqa: PLC0415 - as above

        failure: ProviderError | None = None
        try:
            with within(seconds):
                response = self._sync_transport(httpx).handle_request(_prepared(httpx, request, seconds))
                if response.is_success:
                    return Events(provider, response, seconds)
                body = _read(provider, response)
            return _told(response, body)
        except Exception as error:  # noqa: BLE001 - as above
            failure = _failure(httpx, provider, error, seconds)
        raise failure

    def _sync_transport(self, httpx: Any) -> "httpx.HTTPTransport":
        from apicache.chain.sync_deadlines import DeadlineBackend  # noqa: PLC0415 - as above

        with self._lock:
            if self._transport is None:
                self._transport = httpx.HTTPTransport(**_options(httpx, self._proxy))
                # httpx hands no backend on to its pool, which looks for it whenever it connects.
                self._transport._pool._network_backend = DeadlineBackend()  # noqa: SLF001
            return self._transport

    def close(self) -> None:
        """Close the connections; those of other event loops are closed there."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        for own in list(self._loops):
            own.close()

    def _open(self) -> "_LoopsOwn":
        import httpx  # noqa: PLC0415 - loaded by now

        own = _LoopsOwn(lambda: httpx.AsyncHTTPTransport(**_options(httpx, self._proxy)))
        self._loops.add(own)
        return own


class _LoopsOwn:
    """One event loop's transport. It closes with the loop: by an async generator, which a loop ends when it ends.

    Nothing else ends that generator: a loop that is about to close ends it in the same moment, and what runs cannot be
    ended twice.
    """

    def __init__(self, make: "Callable[[], httpx.AsyncHTTPTransport]") -> None:
        self._make = make
        self._loop = weakref.ref(asyncio.get_running_loop())
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._keeper: AsyncGenerator[None, None] | None = None
        self._open: set[httpx.AsyncHTTPTransport] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def transport(self) -> "httpx.AsyncHTTPTransport":
        if self._keeper is None:
            self._keeper = self._keep()
            with contextlib.suppress(StopIteration):  # it waits for nothing before its yield
                self._keeper.__anext__().__await__().__next__()
        if self._transport is None:
            self._transport = self._make()
            self._open.add(self._transport)
        return self._transport

    def close(self) -> None:
        transport, self._transport = self._transport, None
        loop = self._loop()
        if transport is None or loop is None or loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):  # it is closed in this moment
            loop.call_soon_threadsafe(self._begin_closing, loop, transport)

    def _begin_closing(self, loop: asyncio.AbstractEventLoop, transport: "httpx.AsyncHTTPTransport") -> None:
        task = loop.create_task(self._close(transport))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, transport: "httpx.AsyncHTTPTransport") -> None:
        await transport.aclose()
        self._open.discard(transport)

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._transport = self._keeper = None  # the generator knows its loop, and would keep it alive
            for transport in [*self._open]:  # those too whose closing was cancelled before it began
                await self._close(transport)
            if self._closing:
                await asyncio.wait(self._closing)


class _Body:
    """A response's body, as far as it has come."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._chunks: list[bytes] = []
        self._length = 0

    def add(self, chunk: bytes) -> None:
        """Raises ProviderError for one chunk too many."""
        self._length += len(chunk)
        if self._length > BODY_MAX:
            raise _too_long(self._provider)
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        return b"".join(self._chunks)


class _Parsed:
    """The data of a stream's events, as far as it has come."""

    def __init__(self, provider: str, seconds: float) -> None:
        self._provider, self._seconds = provider, seconds
        self._parser = EventParser()
        self._waiting: deque[bytes] = deque()
        self._length = 0

    def _add(self, chunk: bytes) -> None:
        """Raises ProviderError for one chunk too many, EventTooLongError."""
        self._length += len(chunk)
        if self._length > BODY_MAX:
            raise _too_long(self._provider)
        self._waiting += self._parser.feed(chunk)

    def _failed(self, error: Exception) -> ProviderError:
        import httpx  # noqa: PLC0415 - loaded by now

        return _failure(httpx, self._provider, error, self._seconds)


class AsyncEvents(_Parsed):
    """The data of a response's server-sent events, as they come; raises ProviderError. Once, and to be closed."""

    def __init__(self, provider: str, response: "httpx.Response", seconds: float) -> None:
        super().__init__(provider, seconds)
        self._response = response
        self._chunks = response.aiter_bytes()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        failure: ProviderError | None = None
        try:
            while not self._waiting:
                async with asyncio.timeout(self._seconds):
                    self._add(await anext(self._chunks))
            return self._waiting.popleft()
        except StopAsyncIteration:
            raise
        except Exception as error:  # noqa: BLE001 - as in `send`
            failure = self._failed(error)
        raise failure

    async def aclose(self) -> None:
        """Read no more of it."""
        await self._response.aclose()


class Events(_Parsed):
    """As AsyncEvents, for sync code."""

    def __init__(self, provider: str, response: "httpx.Response", seconds: float) -> None:
        super().__init__(provider, seconds)
        self._response = response
        self._chunks = response.iter_bytes()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        from apicache.chain.sync_deadlines import within  # noqa: PLC0415 - loaded by now

        failure: ProviderError | None = None
        try:
            while not self._waiting:
                with within(self._seconds):
                    chunk = next(self._chunks)
                self._add(chunk)
            return self._waiting.popleft()
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - as in `send`
            failure = self._failed(error)
        raise failure

    def close(self) -> None:
        """Read no more of it."""
        self._response.close()


def _too_long(provider: str) -> ProviderError:
    return ProviderError(f"{provider} answered with more than {BODY_MAX // 2**20} MiB", "broken")


def _read(provider: str, response: "httpx.Response") -> _Body:
    """The body of a response, which is closed then; raises ProviderError for one that is too long."""
    with contextlib.closing(response):
        body = _Body(provider)
        for chunk in response.iter_bytes():
            body.add(chunk)
    return body


async def _read_async(provider: str, response: "httpx.Response") -> _Body:
    async with contextlib.aclosing(response):
        body = _Body(provider)
        async for chunk in response.aiter_bytes():
            body.add(chunk)
    return body


def _options(httpx: Any, proxy: str | None) -> dict[str, Any]:
    # No bound on connections: those who wait for one would time out while the upstream is idle.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_OPEN, keepalive_expiry=30)
    through = None if proxy is None else httpx.Proxy(proxy)
    return {"verify": _tls(httpx), "trust_env": False, "limits": limits, "proxy": through}


@functools.cache
def _tls(httpx: Any) -> Any:
    """One for all transports: reading the certificates takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


def _prepared(httpx: Any, request: Request, seconds: float) -> "httpx.Request":
    return httpx.Request(  # type: ignore[no-any-return] # it is passed, not imported, where it is loaded by now
        request.method,
        request.url,
        headers=_HEADERS | {name.lower(): value for name, value in request.headers.items()},
        content=request.body,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
    )


def _told(response: "httpx.Response", body: _Body) -> Response:
    return Response(status=response.status_code, headers=_lower(response.headers.multi_items()), body=body.whole())


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _failure(httpx: Any, provider: str, error: Exception, seconds: float) -> ProviderError:
    """What went wrong, in our own words: httpx's may show the request. Raises again what is none of its errors."""
    if isinstance(error, ProviderError):
        return error
    kind: ErrorKind
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        told, kind = f"did not answer within {seconds:g} s", "timeout"
    elif isinstance(error, httpx.LocalProtocolError | UnicodeError):
        told, kind = "was not asked: its key or a header holds what HTTP cannot carry", "auth"
    elif isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        told, kind = "was not asked: its URL cannot be used; give one that begins with https://", "bad_request"
    elif isinstance(error, EventTooLongError):
        told, kind = f"gave no usable answer: {error}", "broken"
    elif isinstance(error, httpx.DecodingError):
        told, kind = "gave no usable answer: its body cannot be decompressed", "broken"
    elif isinstance(error, httpx.HTTPError | OSError):
        told, kind = f"was not reached ({type(error).__name__})", "unavailable"
    else:
        raise error
    return ProviderError(f"{provider} {told}", kind)
