"""Many calls at once for sync code: the async edge's way, in an event loop of its own."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from apicache.batching import own_loops
from apicache.batching.collectors import BatchedLoad
from apicache.core import route_of
from apicache.engine import Engine
from apicache.far_hits import Missed
from apicache.flow import Answer
from apicache.planning import Plan
from apicache.thread_loads import InThreads, in_pool

_Threads = concurrent.futures.ThreadPoolExecutor


def answer_many_sync(
    engine: Engine, calls: Sequence[Plan | Missed], concurrency: int, wave: int | None
) -> list[Answer | BaseException]:
    """As the engine's `answer_many`. Loads run in this thread, or with a `concurrency` of more than 1 in threads."""
    plans = [call.plan() if isinstance(call, Missed) else call for call in calls]
    by_any = {position: plan for position, plan in enumerate(plans) if _is_asked_alone(plan)}
    others = {position: plan for position, plan in enumerate(plans) if position not in by_any}
    with contextlib.ExitStack() as stack:
        threads = None
        if concurrency > 1:
            threads = _Threads(min(concurrency, len(plans)), thread_name_prefix="apicache-many")
            stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        for plan in others.values():
            _load_for_sync_code(plan, threads)
        asked = tuple(by_any.values())  # they have a sync way
        answered = _in_turn(engine, asked) if threads is None else _spread(engine, threads, asked)
        answers = dict(zip(by_any, answered, strict=True))
        if others:
            found = own_loops.run(engine.answer_many(tuple(others.values()), concurrency, wave))
            answers |= dict(zip(others, found, strict=True))
    return [answers[position] for position in range(len(plans))]


def _is_asked_alone(plan: Plan) -> bool:
    """Whether it is answered by one of several providers, in sync code; a batch of theirs goes the async way."""
    return plan.instead is not None and not isinstance(plan.load, BatchedLoad)


def _load_for_sync_code(plan: Plan, threads: _Threads | None) -> None:
    if plan.instead is not None:
        return
    if plan.is_async:
        plan.load = functools.partial(_refuse, plan.label)
    elif not isinstance(plan.load, BatchedLoad):
        load = functools.partial(_checked, plan.label, plan.load)
        plan.load = load if threads is None else functools.partial(_there, plan, threads, load)


def _checked(label: str, load: Callable[[], Any]) -> Any:
    result = own_loops.unnoticed(load)
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result):
        _refuse(label)
    return result


def _there(plan: Plan, threads: _Threads, load: Callable[[], Any]) -> Any:
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - documented; None without one
        return load()  # a refresh has a thread of its own
    return InThreads(functools.partial(in_pool, threads), plan)(load)


def _refuse(label: str) -> NoReturn:
    raise TypeError(f"{label} is async; write `await cached_api_calls(...)` instead of cached_api_calls_sync")


def _answered(engine: Engine, plan: Plan) -> Answer | BaseException:
    try:
        return engine.answer_sync(plan)
    except Exception as error:  # noqa: BLE001 - its place is the caller's to raise
        return error


def _in_turn(engine: Engine, plans: Sequence[Plan]) -> list[Answer | BaseException]:
    return [_answered(engine, plan) for plan in plans]


def _spread(engine: Engine, threads: _Threads, plans: Sequence[Plan]) -> list[Answer | BaseException]:
    for plan in plans:
        route_of(plan, engine.switch)  # finds the key, here: whose answer it is may be known in this thread only
    doing = [threads.submit(contextvars.copy_context().run, _answered_there, engine, plan) for plan in plans]
    found = [each.result() for each in doing]
    return [_answered(engine, plan) if answer is None else answer for answer, plan in zip(found, plans, strict=True)]


def _answered_there(engine: Engine, plan: Plan) -> Answer | BaseException | None:
    return _answered(engine, plan) if plan.is_same_here() else None
