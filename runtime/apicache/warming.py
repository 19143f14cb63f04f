"""Warming: every call of a list made once, ahead of the traffic that will repeat it."""

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from apicache.engine import Engine, batched_load
from apicache.errors import InputError
from apicache.planning import Plan
from apicache.thread_loads import InThreads, in_pool

_WAVE: Final = 200
"""Calls of batched operations that begin together: with thousands, single tier operations exceed their time limits."""

Status = Literal["warmed", "fresh", "failed"]


class WarmOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call; `position` is its entry's place in the list, from 0, `seconds` is wall time."""

    position: int
    operation: str
    key: str | None
    status: Status
    seconds: float
    error: str | None = None


OnOutcome = Callable[[WarmOutcome], None]


async def warm(
    engine: Engine,
    plans: Sequence[Plan | WarmOutcome],
    concurrency: int,
    on_outcome: OnOutcome | None,
) -> list[WarmOutcome]:
    """Make the planned calls, at most `concurrency` at a time; outcomes in the plans' order, some of them given.

    Calls of batched operations, which have bounds of their own, begin without waiting for that. A failing call is an
    outcome, not an exception. Cancelling stops the calls under way; those that had finished were reported through
    `on_outcome`.
    """
    if concurrency < 1:
        raise InputError(f"concurrency {concurrency} is not at least 1")
    outcomes = [plan if isinstance(plan, WarmOutcome) else None for plan in plans]
    if on_outcome is not None:
        for outcome in filter(None, outcomes):
            on_outcome(outcome)
    planned = [(position, plan) for position, plan in enumerate(plans) if isinstance(plan, Plan)]
    batched = [(position, plan) for position, plan in planned if batched_load(plan) is not None]
    single = [(position, plan) for position, plan in planned if batched_load(plan) is None]
    queue = iter(single)
    # One for whatever is under way: a load may wait for a batch that would otherwise wait for the load's thread.
    threads = concurrent.futures.ThreadPoolExecutor(concurrency + len(batched), thread_name_prefix="apicache-warm")
    run = functools.partial(in_pool, threads)

    async def work(queue: Iterable[tuple[int, Plan]]) -> None:
        for position, plan in queue:
            prepare(plan, run)
            plan.is_kept_at_once = True
            outcome = outcomes[position] = await _warm_one(engine, position, plan)
            if on_outcome is not None:
                on_outcome(outcome)

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency, len(single))):
                workers.create_task(work(queue))
            for begin in range(0, len(batched), _WAVE):
                wave = batched[begin : begin + _WAVE]
                await asyncio.wait([workers.create_task(work((call,))) for call in wave])
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return [outcome for outcome in outcomes if outcome is not None]


def prepare(plan: Plan, run: Callable[[Callable[[], Any]], Any]) -> None:
    """Make a plan one of warming: nobody reads its answer, sync loads are made by `run`."""
    plan.policy = msgspec.structs.replace(plan.policy, returns=None)  # nobody reads what is decoded
    plan.is_warming = True
    if not plan.is_async:
        batched = batched_load(plan)
        threads = InThreads(run, plan)
        plan.load = functools.partial(threads, plan.load) if batched is None else batched.run_by(threads)
        plan.is_blocking = False  # any more


async def _warm_one(engine: Engine, position: int, plan: Plan) -> WarmOutcome:
    started = engine.clock.monotonic()
    status: Status = "failed"
    error: str | None = None
    try:
        answered = await engine.answer(plan)
    except Exception as raised:  # noqa: BLE001 - one call's failure is its own outcome, whatever it raised
        error = f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
    else:
        if answered.source == "bypass":
            error = answered.refusal or "the cache is off"
        elif answered.refusal is not None:
            error = answered.refusal
        else:
            status = "warmed" if answered.source == "load" else "fresh"
    return WarmOutcome(
        position=position,
        operation=plan.label,
        key=None if plan.key is None else plan.key.hex(),
        status=status,
        seconds=engine.clock.monotonic() - started,
        error=error,
    )


def refused(position: int, entry: object, error: InputError) -> WarmOutcome:
    """The outcome of an entry that no call can be made of."""
    name = entry.get("operation") if isinstance(entry, Mapping) else None
    return WarmOutcome(
        position=position,
        operation=name if isinstance(name, str) else "",
        key=None,
        status="failed",
        seconds=0.0,
        error=f"InputError: {error}",
    )
