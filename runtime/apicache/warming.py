"""Warming: every call of a list made once, ahead of the traffic that will repeat it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from apicache.engine import Engine
from apicache.errors import InputError
from apicache.planning import Plan

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
    plans: Sequence[Plan],
    concurrency: int,
    on_outcome: OnOutcome | None,
) -> list[WarmOutcome]:
    """Make the planned calls, at most `concurrency` at a time; outcomes in the plans' order.

    A failing call is an outcome, not an exception. Cancelling stops the calls under way; those that had finished were
    reported through `on_outcome`.
    """
    if concurrency < 1:
        raise InputError(f"concurrency {concurrency} is not at least 1")
    outcomes: list[WarmOutcome | None] = [None] * len(plans)
    queue = iter(enumerate(plans))

    async def work(queue: Iterable[tuple[int, Plan]]) -> None:
        for position, plan in queue:
            outcome = outcomes[position] = await _warm_one(engine, position, plan)
            if on_outcome is not None:
                on_outcome(outcome)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(plans))):
            workers.create_task(work(queue))
    return [outcome for outcome in outcomes if outcome is not None]


async def _warm_one(engine: Engine, position: int, plan: Plan) -> WarmOutcome:
    started = engine.clock.monotonic()
    status: Status = "failed"
    error: str | None = None
    try:
        answered = await engine.answer(plan)
    except Exception as raised:  # noqa: BLE001 - one call's failure is its own outcome, whatever it raised
        error = f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
    else:
        if answered.source == "load":
            status, error = ("warmed", None) if answered.refusal is None else ("failed", answered.refusal)
        elif answered.source == "bypass":
            error = answered.refusal or "the cache is off"
        else:
            status = "fresh"
    return WarmOutcome(
        position=position,
        operation=plan.label,
        key=plan.key,
        status=status,
        seconds=engine.clock.monotonic() - started,
        error=error,
    )
