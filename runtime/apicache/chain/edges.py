"""The two thin edges of an attempt: what its steps ask for is sent, or waited for, async or not."""

import asyncio
import time
from collections.abc import Generator
from typing import Any

import msgspec

from apicache.chain.senders import Sender
from apicache.chain.streams import Begin, Pieces, begin, begin_sync
from apicache.provider import Request, Response


class Send(msgspec.Struct, frozen=True):
    """Send a request; gives its Response, or raises ProviderError."""

    provider: str
    request: Request
    seconds: float


class Pause(msgspec.Struct, frozen=True):
    """Wait before an attempt."""

    seconds: float


Steps = Generator[Send | Begin | Pause, Any, Any]


async def run(steps: Steps, sender: Sender) -> Any:
    """What the steps come to."""
    try:
        step = next(steps)
        while True:
            try:
                result: Response | Pieces | None = None
                if isinstance(step, Send):
                    result = await sender.send(step.provider, step.request, step.seconds)
                elif isinstance(step, Begin):
                    result = await begin(sender, step)
                else:
                    await asyncio.sleep(step.seconds)
            except BaseException as error:  # noqa: BLE001 - the steps decide
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as ended:
        return ended.value


def run_sync(steps: Steps, sender: Sender) -> Any:
    """As `run`, for sync code."""
    try:
        step = next(steps)
        while True:
            try:
                result: Response | Pieces | None = None
                if isinstance(step, Send):
                    result = sender.send_sync(step.provider, step.request, step.seconds)
                elif isinstance(step, Begin):
                    result = begin_sync(sender, step)
                else:
                    time.sleep(step.seconds)
            except BaseException as error:  # noqa: BLE001 - as above
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as ended:
        return ended.value
