"""Warming while a web application starts, and writing what waits when it stops: an ASGI lifespan, for any framework."""

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import Any, Final, Literal, get_args

from apicache.cache import UnifiedAPICache
from apicache.errors import InputError, did_you_mean
from apicache.scrubbing import scrubbed, told
from apicache.warming import WarmOutcome

_log = logging.getLogger("apicache")

Entries = Iterable[Mapping[str, Any]]
"""Calls: `{"operation": ..., **parameters}`."""
EntriesSource = Entries | Callable[[], Entries | Awaitable[Entries]]
"""Entries, or what gives them when the application starts; a function runs in a thread, an async one on the loop."""
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
When = Literal["background", "before-serving"]

_TOLD_MAX: Final = 5
"""Failed entries that one line of the log names."""
_REASONS_MAX: Final = 50
"""Those whose reason is logged, on a line each."""


def warming(
    entries: EntriesSource,
    *,
    cache: UnifiedAPICache | None = None,
    lifespan: Lifespan | None = None,
    when: When = "background",
    concurrency: int = 8,
) -> Lifespan:
    """A lifespan that warms the cache (else the process-wide one), within the application's own `lifespan`, if any.

    The own one starts first and ends last: calls may need what it opens. `when` is `background` (the application
    serves at once) or `before-serving`. What fails is logged, its texts scrubbed, and never stops the start. When the
    application stops, warming under way ends, refreshes are waited for, what waits is written, and the cache is closed.
    Raises InputError for what holds no entries.
    """
    if when not in get_args(When):
        raise InputError(f"when={when!r} is no time to warm; {did_you_mean(str(when), get_args(When))}")
    find = entries if callable(entries) else functools.partial(list, _checked(entries))

    @contextlib.asynccontextmanager
    async def warmed(application: Any) -> AsyncIterator[Any]:
        chosen = UnifiedAPICache() if cache is None else cache
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, chosen.close)
            state = None if lifespan is None else await stack.enter_async_context(lifespan(application))
            task = asyncio.create_task(_warm(chosen, find, concurrency), name="apicache-warming")
            stack.push_async_callback(_end, task, chosen)
            if when == "before-serving":
                await asyncio.wait([task])
            yield state

    return warmed


def _checked(entries: object) -> list[Any]:
    if isinstance(entries, str | bytes | PathLike):
        raise InputError(
            f"warming was given {entries!r}, and takes entries; read a scenarios file with "
            "lambda: [each.call() for each in "
            "apicache_scenarios.format.loading.load_scenarios([path], api_cache.callable_operations)]"
        )
    if isinstance(entries, Mapping) or not isinstance(entries, Iterable):
        raise InputError(
            f"warming was given a {type(entries).__name__}, and takes entries; give [{{'operation': ..., ...}}, ...]"
        )
    return list(entries)


async def _warm(cache: UnifiedAPICache, find: Callable[[], Any], concurrency: int) -> None:
    try:
        found = await find() if inspect.iscoroutinefunction(find) else await asyncio.to_thread(find)
        if inspect.isawaitable(found):
            found = await found
        outcomes = await cache.warm_cache(_checked(found), concurrency=concurrency, return_exceptions=True)
    except InputError as error:
        _log.error("the cache was not warmed: %s", error)
    except Exception as error:  # noqa: BLE001 - whatever the application's entries raise, it is to start
        _log.error("the cache was not warmed: %s", told(error))
        # A traceback shows what is not scrubbed: for those who look into it only.
        _log.debug("why the cache was not warmed", exc_info=error)
    else:
        _report(outcomes)


def _report(outcomes: Sequence[WarmOutcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    warmed = sum(outcome.status == "warmed" for outcome in outcomes)
    fresh = len(outcomes) - len(failed) - warmed
    if not failed:
        _log.info("the cache was warmed: %d entries loaded, %d were fresh", warmed, fresh)
        return
    kinds = ", ".join(
        f"{outcome.position} ({outcome.operation}: {(outcome.error or '').partition(': ')[0]})"
        for outcome in failed[:_TOLD_MAX]
    )
    more = f" and {len(failed) - _TOLD_MAX} more" if len(failed) > _TOLD_MAX else ""
    _log.warning(
        "the cache was %s: %d entries loaded, %d were fresh, %d failed: %s%s",
        "warmed in part" if warmed + fresh else "not warmed",
        warmed,
        fresh,
        len(failed),
        kinds,
        more,
    )
    for outcome in failed[:_REASONS_MAX]:
        _log.warning("entry %d (%s) failed: %s", outcome.position, outcome.operation, scrubbed(outcome.error or ""))


async def _end(task: "asyncio.Task[None]", cache: UnifiedAPICache) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not await asyncio.to_thread(cache.flush):
        _log.warning("the application stopped before all refreshes had ended and been written")
