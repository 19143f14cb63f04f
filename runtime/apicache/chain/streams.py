"""A provider's streamed answer: its pieces of text as they come, and what they make together."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, Self, TypeGuard

import msgspec

from apicache.chain.senders import Sender, StreamSender
from apicache.errors import InputError
from apicache.provider import ProviderError, Reply, Request, Response, StreamReader

Ended = Callable[[Reply | ProviderError | None], Any]
"""Told how a stream that has begun ended, None when it was left before; gives the answer that a reply stands for."""


class Pieces:
    """The pieces of text of one streamed answer; iterable, async or not, once, and to be closed.

    Raises ProviderError where it breaks off, and at its end when it is not complete.
    """

    def __init__(self, events: Any, reader: StreamReader, ended: Ended) -> None:
        """`events` gives the data of the stream's events, async or not."""
        self.value: Any = None
        """The whole answer, once it has come to its end."""
        self._events, self._reader, self._ended = events, reader, ended
        self._ahead: deque[str] = deque()
        self._is_over = False

    async def begin(self) -> None:
        """Wait for the first piece; raises ProviderError, of which `ended` is not told: nothing has begun."""
        with self._beginning():
            text = await self._read()
        self._ahead.extend([text] if text else ())

    def begin_sync(self) -> None:
        """As `begin`, for sync code."""
        with self._beginning():
            text = self._read_sync()
        self._ahead.extend([text] if text else ())

    @contextlib.contextmanager
    def _beginning(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._is_over = True
            raise

    async def _read(self) -> str:
        """The next piece; an empty one for the end."""
        while not self._is_over:
            text = self._take(None if self._reader.ended else await anext(self._events, None))
            if text:
                return text
        return ""

    def _read_sync(self) -> str:
        while not self._is_over:
            text = self._take(None if self._reader.ended else next(self._events, None))
            if text:
                return text
        return ""

    def _take(self, data: bytes | None) -> str:
        """The text in an event's data; None is the end. Raises ProviderError."""
        if data is not None:
            return self._reader.take(data)
        reply = self._reader.reply()
        self._is_over = True
        self.value = self._ended(reply)
        return ""

    def _fail(self, error: ProviderError) -> None:
        self._is_over = True
        self._ended(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        try:
            text = self._ahead.popleft() if self._ahead else await self._read()
        except ProviderError as error:
            self._fail(error)
            raise
        if not text:
            raise StopAsyncIteration
        return text

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        try:
            text = self._ahead.popleft() if self._ahead else self._read_sync()
        except ProviderError as error:
            self._fail(error)
            raise
        if not text:
            raise StopIteration
        return text

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._ended(None)

    async def aclose(self) -> None:
        """Read no more."""
        self._leave()
        await self._events.aclose()

    def close(self) -> None:
        """Read no more."""
        self._leave()
        self._events.close()


class Begin(msgspec.Struct, frozen=True):
    """Send a request for a streamed answer and wait for its first piece.

    Gives the Pieces, or a response of another status than 2xx; or raises ProviderError. The response's head and each
    further part of it must come within so many seconds; a whole stream may take any time.
    """

    provider: str
    request: Request
    seconds: float
    reader: StreamReader
    ended: Ended


async def begin(sender: Sender, step: Begin) -> Pieces | Response:
    """Make the step."""
    found = await _streaming(sender).stream(step.provider, step.request, step.seconds)
    if isinstance(found, Response):
        return found
    pieces = Pieces(found, step.reader, step.ended)
    try:
        await pieces.begin()
    except BaseException:
        await pieces.aclose()
        raise
    return pieces


def begin_sync(sender: Sender, step: Begin) -> Pieces | Response:
    """Make the step in sync code."""
    found = _streaming(sender).stream_sync(step.provider, step.request, step.seconds)
    if isinstance(found, Response):
        return found
    pieces = Pieces(found, step.reader, step.ended)
    try:
        pieces.begin_sync()
    except BaseException:
        pieces.close()
        raise
    return pieces


def _streaming(sender: Sender) -> StreamSender:
    if not _can_stream(sender):
        raise InputError(f"the sender {type(sender).__name__} has no stream and stream_sync; ask for whole answers")
    return sender


def _can_stream(sender: Sender) -> TypeGuard[StreamSender]:
    return hasattr(sender, "stream") and hasattr(sender, "stream_sync")


class StreamingLocalProvider(Protocol):
    """A local provider whose answers can be streamed."""

    def texts(self, reply: Reply) -> Iterable[str]:
        """The pieces in which an answer is streamed; raises InputError for one that is no text."""


def pieces_of(texts: Iterable[str], reply: Reply, ended: Ended) -> Pieces:
    """The pieces of an answer that is there already."""
    return Pieces(_Given(texts), _Known(reply), ended)


class _Given:
    """Texts as the data of events."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._left = iter([text.encode() for text in texts])

    def __next__(self) -> bytes:
        return next(self._left)

    async def __anext__(self) -> bytes:
        for data in self._left:
            return data
        raise StopAsyncIteration

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class _Known:
    """A reader of what is known already."""

    ended = False

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def take(self, data: bytes, /) -> str:
        return data.decode()

    def reply(self) -> Reply:
        return self._reply
