"""Starting a coroutine at once, in a task of its own, without paying for a task unless it has to wait.

A coroutine's first stretch runs right away, but under the identity and the context of the task that will go on with
it: libraries that note the current task (asyncio.timeout, anyio's cancel scopes) find one and the same throughout. A
coroutine that ends in its first stretch (a loader that does not wait) never becomes a task's step.
"""

import asyncio
import contextvars
import threading
import weakref
from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

# https://docs.python.org/3/library/asyncio-extending.html names these functions for third-party tasks.


class Worker(Coroutine[Any, Any, None]):
    """The coroutine of a task that waits for another coroutine's later stretches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._idle: asyncio.Future[None] = loop.create_future()
        self._step: Callable[..., Any] | None = None
        self._steered: Coroutine[Any, Any, None] | None = None
        self._waiting_for: Any = None
        # Created last: the task may be asked for its first step at any time from here on.
        self.task: asyncio.Task[None] = asyncio.Task(self, loop=loop)
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - idle: nothing is lost with it
        _unregister_task(self.task)  # idle, it is nobody's business

    def begin(
        self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context, current: "asyncio.Task[Any]"
    ) -> Any:
        """Run a coroutine's first stretch as if in this task, in the middle of `current`; gives what it waits for.

        Raises what the stretch raises: StopIteration with the result of a coroutine that has ended.
        """
        loop, task = self.loop, self.task
        _leave_task(loop, current)
        _enter_task(loop, task)
        try:
            return context.run(coroutine.send, None)
        finally:
            _leave_task(loop, task)
            _enter_task(loop, current)

    def take_over(self, steered: Coroutine[Any, Any, None], context: contextvars.Context, waiting_for: Any) -> None:
        """Go on with a coroutine that has begun to wait."""
        _register_task(self.task)
        self._steered, self._step = steered, context.run
        self._waiting_for = _BARE_YIELD if waiting_for is None else waiting_for
        if not self._idle.done():
            self._idle.set_result(None)

    def send(self, value: Any) -> Any:
        """What the task is to wait for next."""
        if self._step is None:
            self._idle._asyncio_future_blocking = True  # noqa: SLF001 - what `await` does
            return self._idle
        waiting_for, self._waiting_for = self._waiting_for, None
        if waiting_for is not None:
            return None if waiting_for is _BARE_YIELD else waiting_for
        return self._step(self._steered.send, value)  # type: ignore[union-attr]

    def throw(self, *raised: Any) -> Any:
        """As `send`, with an exception in the value's place."""
        if self._step is None:
            raise raised[0]
        waiting_for, self._waiting_for = self._waiting_for, None
        if _takes(waiting_for, raised[0]):
            return waiting_for
        return self._step(self._steered.throw, *raised)  # type: ignore[union-attr]

    def close(self) -> None:
        """As the coroutine's own."""
        if self._steered is not None:
            self._steered.close()

    def __await__(self) -> Generator[Any, Any, None]:
        """The base class asks for it; a task steps through `send` and `throw`."""
        raise TypeError("a worker is stepped by its task")


class Begun:
    """A coroutine whose first stretch was run by hand, to be awaited from there on."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = _BARE_YIELD if waiting_for is None else waiting_for

    def __await__(self) -> "Begun":
        return self

    def __iter__(self) -> "Begun":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """What it waits for next; at first, what it waits for already."""
        waiting_for, self._waiting_for = self._waiting_for, None
        if waiting_for is not None:
            return None if waiting_for is _BARE_YIELD else waiting_for
        return self._coroutine.send(value)

    def throw(self, *raised: Any) -> Any:
        """As a coroutine's own."""
        waiting_for, self._waiting_for = self._waiting_for, None
        if _takes(waiting_for, raised[0]):
            return waiting_for
        return self._coroutine.throw(*raised)

    def close(self) -> None:
        """As a coroutine's own."""
        self._coroutine.close()


_BARE_YIELD: Final = object()


def _takes(waiting_for: Any, raised: Any) -> bool:
    """Whether what a coroutine waits for takes a cancellation, whose end then tells the coroutine.

    As `asyncio.Task.cancel` has it: the task has not been told yet what it waits for, and cannot cancel that itself.
    """
    cancel = getattr(waiting_for, "cancel", None)
    return cancel is not None and isinstance(raised, asyncio.CancelledError) and bool(cancel(*raised.args[:1]))


class _Spares(threading.local):
    """Idle workers of the event loop that last ran in this thread."""

    def __init__(self) -> None:
        self.loop: Callable[[], object] = lambda: None
        self.workers: list[Worker] = []

    def of(self, loop: asyncio.AbstractEventLoop) -> list[Worker]:
        if self.loop() is not loop:
            self.loop, self.workers = weakref.ref(loop), []
        return self.workers


_spares = _Spares()


def _borrow(loop: asyncio.AbstractEventLoop) -> Worker:
    """An idle worker of the running loop."""
    spares = _spares.of(loop)
    return spares.pop() if spares else Worker(loop)


def _give_back(worker: Worker) -> None:
    """Keep a worker whose coroutine has ended in its first stretch for the next one."""
    if not worker.task.cancelling():
        _spares.of(worker.loop).append(worker)


def start(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: contextvars.Context
) -> "asyncio.Task[None] | None":
    """Run a coroutine's first stretch now; the task that goes on with it, or None when it has ended already.

    `loop` is the running one. Raises what the first stretch raises.
    """
    current = asyncio.current_task(loop)
    if current is None:  # stepped by hand, by something that is no task
        return loop.create_task(coroutine, context=context)
    worker = _borrow(loop)
    try:
        waiting_for = worker.begin(coroutine, context, current)
    except BaseException as ended:
        _give_back(worker)
        if type(ended) is StopIteration:
            return None
        raise
    worker.take_over(coroutine, context, waiting_for)
    return worker.task
