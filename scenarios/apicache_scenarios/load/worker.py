"""`python -m apicache_scenarios.load.worker`: takes turns of a run that another process leads, told through pipes.

A line of JSON each way: a Task first, then Orders; a Report for each. It ends with the pipe.
"""

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

from apicache.errors import InputError
from apicache_scenarios.load.members import LINE_LIMIT, Here, Order, Report, Task, decode, encode
from apicache_scenarios.load.session import Session

if TYPE_CHECKING:
    from apicache_scenarios.load.workload import Workload

_STDOUT, _STDERR = 1, 2
_REFUSED: Final = 2


class _Pipe:
    """The leader's end of the pipes. The application may print: what it prints goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(_STDOUT), "wb")
        os.dup2(_STDERR, _STDOUT)
        self._orders = asyncio.StreamReader(limit=LINE_LIMIT)

    async def open(self) -> None:
        """Begin to read."""
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self._orders), sys.stdin)

    async def line(self) -> bytes:
        """The next line; empty when the leader has gone."""
        return await self._orders.readline()

    def report(self, report: Report) -> None:
        """Answer."""
        self._out.write(encode(report))
        self._out.flush()


async def serve() -> int:
    """Take turns until told to end."""
    pipe = _Pipe()
    await pipe.open()
    line = await pipe.line()
    if not line:
        return 0
    task: Task = decode(line, Task)
    try:
        workload: Workload = task.source.open(task.plan.arms, task.share)
    except InputError as error:
        pipe.report(Report(error=str(error)))
        return _REFUSED
    try:
        member = Here(Session(task.plan, workload, task.share, origin=task.origin))
        await member.warm_up()
        pipe.report(Report())
        await _take_turns(pipe, member)
        await member.aclose()
    finally:
        workload.close()
    return 0


async def _take_turns(pipe: _Pipe, member: Here) -> None:
    order = asyncio.create_task(pipe.line())
    while line := await order:
        given: Order = decode(line, Order)
        order = asyncio.create_task(pipe.line())
        if given.kind == "end":
            pipe.report(Report(ends=await member.end()))
        elif given.kind == "stop":  # the turn had ended by itself
            pipe.report(Report(block=await member.stop()))
        elif given.turn is not None:
            turn = asyncio.create_task(member.run(given.turn))
            await asyncio.wait({turn, order}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():  # told to stop, or left alone
                turn.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await turn
                if not order.result():
                    return
                order = asyncio.create_task(pipe.line())
            pipe.report(Report(block=await member.stop()))


if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
