"""Live streams: one upstream stream that all who ask for its key meanwhile receive as it comes.

The upstream is read by a pump of its own, a task or a thread, so that no consumer's pace or end reaches the others.
Whoever comes later first gets what has come so far. When the last consumer has left, the pump is stopped.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from apicache import forks

_CHECK_SECONDS: Final = 1.0
"""How often a consumer looks whether the pump's event loop still runs."""


class StreamEndedEarlyError(RuntimeError):
    """The stream's event loop or thread ended before the stream did."""


class LiveStream:
    """What has come of a stream so far; its pump adds to it, any number of consumers read it."""

    def __init__(self, key: bytes, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.loop = loop
        self.head: Any = None
        """What the upstream sent before its first chunk."""
        self.has_head = False
        self.chunks: list[Any] = []
        self.ended = False
        self.error: BaseException | None = None
        self.stop: Callable[[], object] = lambda: None
        """Stops the pump; set by it."""
        self._consumers = 1
        self._changing = threading.Lock()
        self._wakes: list[Callable[[], object]] = []

    def begin(self, head: Any) -> None:
        """The upstream has answered."""
        self.head, self.has_head = head, True
        self._wake()

    def add(self, chunk: Any) -> None:
        """The next chunk."""
        self.chunks.append(chunk)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """It is complete; or broken off by an error, which every consumer raises after the chunks before it."""
        with self._changing:
            if self.ended:
                return
            self.error, self.ended = error, True
        self._wake()

    def _wake(self) -> None:
        with self._changing:
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def join(self) -> bool:
        """One consumer more; False when the last one has left, and so the pump is stopped."""
        with self._changing:
            if self._consumers == 0 and not self.ended:
                return False
            self._consumers += 1
            return True

    def leave(self) -> None:
        """One consumer fewer; the last one to leave stops the pump."""
        with self._changing:
            self._consumers -= 1
            stops = self._consumers == 0 and not self.ended
        if stops:
            self.stop()

    def has(self, position: int) -> bool:
        """Whether there is a chunk at `position`, or the head at -1, or the end before it."""
        return self.ended or (self.has_head if position < 0 else len(self.chunks) > position)

    def take(self, position: int) -> Any:
        """The chunk at `position`, or the head at -1; raises StopIteration past the end, or the stream's error."""
        if position < 0 and self.has_head:
            return self.head
        if 0 <= position < len(self.chunks):
            return self.chunks[position]
        if self.error is not None:
            raise self.error
        raise StopIteration

    def _on_change(self, position: int, wake: Callable[[], object]) -> bool:
        """Have `wake` called when more has come; False when there is something at `position` already."""
        with self._changing:
            if self.has(position):
                return False
            self._wakes.append(wake)
            return True

    def wait(self, position: int) -> None:
        """Block until there is something at `position`; raises StreamEndedEarlyError."""
        changed = threading.Event()
        while self._on_change(position, changed.set):
            while not changed.wait(_CHECK_SECONDS):
                self._check_alive()
            changed.clear()

    async def wait_async(self, position: int) -> None:
        """Wait until there is something at `position`; raises StreamEndedEarlyError."""
        loop = asyncio.get_running_loop()
        while not self.has(position):
            changed: asyncio.Future[None] = loop.create_future()

            def wake(changed: "asyncio.Future[None]" = changed) -> None:
                try:
                    loop.call_soon_threadsafe(_release, changed)
                except RuntimeError:  # the loop has been closed: nobody waits there any more
                    return

            if not self._on_change(position, wake):
                return
            while not changed.done():
                await asyncio.wait((changed,), timeout=None if self.loop is loop else _CHECK_SECONDS)
                if not changed.done():
                    self._check_alive()

    def _check_alive(self) -> None:
        if self.loop is not None and not self.loop.is_running() and not self.ended:
            raise StreamEndedEarlyError("the event loop that read the stream has stopped; ask again")


def _release(changed: "asyncio.Future[None]") -> None:
    if not changed.done():
        changed.set_result(None)


class LiveTable:
    """The live streams by key. A forked child starts with none."""

    def __init__(self) -> None:
        self._after_fork()
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._changing = threading.Lock()
        self._streams: dict[bytes, LiveStream] = {}

    def join(self, key: bytes, loop: asyncio.AbstractEventLoop | None) -> tuple[LiveStream, bool]:
        """The key's stream, and whether the caller has to start its pump."""
        with self._changing:
            stream = self._streams.get(key)
            if stream is not None and not (stream.ended and stream.error) and stream.join():
                return stream, False
            stream = self._streams[key] = LiveStream(key, loop)
            return stream, True

    def forget(self, stream: LiveStream) -> None:
        """It has ended: whoever asks from now on finds what is stored, or begins a new one."""
        with self._changing:
            if self._streams.get(stream.key) is stream:
                del self._streams[stream.key]

    def __len__(self) -> int:
        return len(self._streams)
