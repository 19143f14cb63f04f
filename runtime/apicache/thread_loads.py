"""Sync loads of async callers, made in threads so that the event loop can go on."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any


async def in_own_thread(load: Callable[[], Any]) -> Any:
    """What a sync load returns, made in a thread of its own, which sees the caller's context variables.

    Of its own: in a pool that is full of such loads, those that they call in turn would never begin. Who is cancelled
    leaves it to go on by itself.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Any] = loop.create_future()

    def tell(made: "concurrent.futures.Future[Any]") -> None:
        if waiting.cancelled():
            return
        error = made.exception()
        if error is None:
            waiting.set_result(made.result())
        else:
            waiting.set_exception(error)

    def work() -> None:
        made: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            made.set_result(told(load))
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            made.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits there any more
            loop.call_soon_threadsafe(tell, made)

    run = contextvars.copy_context().run
    try:
        threading.Thread(target=run, args=(work,), name="apicache-load", daemon=True).start()
    except RuntimeError:  # no more threads, or the interpreter is ending
        return await _awaited(told(load))
    return await _awaited(await waiting)


async def in_pool(threads: concurrent.futures.Executor, load: Callable[[], Any]) -> Any:
    """As `in_own_thread`, in one of these threads."""
    run = contextvars.copy_context().run
    return await _awaited(await asyncio.get_running_loop().run_in_executor(threads, run, told, load))


def told(load: Callable[[], Any]) -> Any:
    """What the load returns; raises what it raises, but RuntimeError for a StopIteration, as Python 3.12 does.

    No future can have that one: whoever waits would wait for ever.
    """
    try:
        return load()
    except StopIteration as error:
        raise RuntimeError("the call raised StopIteration") from error


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
