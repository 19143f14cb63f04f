"""Sync loads of async callers, made in threads so that the event loop can go on.

A thread sees its caller's context variables, but not what its caller's thread alone has.
"""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from apicache.planning import Plan

_NOT_THERE: Final = object()


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


class InThreads:
    """Makes a call's loads in threads by `run`, but in the event loop's where it would be another's call there.

    Whose answer it is may be known in the caller's thread only: what another thread loads would be stored as its.
    """

    __slots__ = ("_plan", "_run")

    def __init__(self, run: Callable[[Callable[[], Any]], Awaitable[Any]], plan: Plan) -> None:
        self._run, self._plan = run, plan

    async def __call__(self, load: Callable[[], Any]) -> Any:
        """What the load returns; raises what it raises."""
        made = await self._run(functools.partial(self._there, load))
        return await _awaited(told(load)) if made is _NOT_THERE else made

    def _there(self, load: Callable[[], Any]) -> Any:
        return load() if self._plan.is_same_here() else _NOT_THERE

    def _alike(self) -> tuple[Any, ...]:
        policy = self._plan.policy
        return (self._run, *(id(each) if callable(each) else None for each in (policy.scope, policy.key)))

    def __eq__(self, other: object) -> bool:
        """Whether calls may be in one batch: the same functions tell whose they are."""
        return isinstance(other, InThreads) and self._alike() == other._alike()

    def __hash__(self) -> int:
        """By what makes two of them equal."""
        return hash(self._alike())


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
