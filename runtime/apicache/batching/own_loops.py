"""Event loops of our own, in which sync code waits for many calls at once without anybody noticing a loop."""

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
_own: Final[weakref.WeakSet[asyncio.AbstractEventLoop]] = weakref.WeakSet()


@contextlib.contextmanager
def no_loop() -> Iterator[None]:
    """As if no event loop ran in this thread: sync code may run one, and frameworks refuse to block where one runs."""
    running = asyncio._get_running_loop()  # noqa: SLF001 - both are documented, for event loops' implementers
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(running)  # noqa: SLF001


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The coroutine's result, in a loop of its own in this thread; one that runs here stands still meanwhile."""
    with no_loop(), asyncio.Runner(loop_factory=_open) as runner:  # with a factory, it leaves the thread's loop alone
        return runner.run(coroutine)


def unnoticed(work: Callable[[], _T]) -> _T:
    """What sync work returns that one of these loops' tasks does."""
    if asyncio._get_running_loop() not in _own:  # noqa: SLF001 - as above
        return work()
    with no_loop():
        return work()


def _open() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    _own.add(loop)
    return loop
