"""Refresh-ahead: entries are loaded anew before they end, so that no caller ever waits for one."""

import asyncio
import heapq
import itertools
import random
from typing import Final

from apicache.warm_calls import WarmCalls
from apicache_scenarios.format.loading import ScenarioFile
from apicache_scenarios.format.model import Case, RefreshAhead
from apicache_scenarios.warming.spending import BudgetExceededError
from apicache_scenarios.warming.warmer import Warmer

_LOOK: Final = 0.5
"""Seconds between looks whether something new is to be kept fresh."""
_AFTER_FAILURE: Final = 5.0
"""Seconds after which an entry that could not be refreshed is tried again."""


class Refresher:
    """Keeps what a warmer has warmed fresh, until it is cancelled or the budget is used up."""

    def __init__(self, warmer: Warmer, files: list[ScenarioFile]) -> None:
        self._warmer = warmer
        self._settings = {file.path: file.warm.refresh_ahead or RefreshAhead() for file in files}
        self._waiting: list[tuple[float, int, Case]] = []
        self._numbers = itertools.count()
        self._under_way = 0
        self.refreshed = 0

    async def run(self, calls: WarmCalls) -> None:
        """Refresh each case when its time comes, as many at once as the warmer has room for."""
        gate = asyncio.Semaphore(self._warmer.concurrency)
        async with asyncio.TaskGroup() as loads:
            while self._warmer.stopped is None:
                self._take_in()
                if not self._waiting and not self._under_way:  # nothing is left that could become due
                    return
                now = asyncio.get_running_loop().time()
                due = self._waiting[0][0] if self._waiting else now + _LOOK
                if due > now:
                    await asyncio.sleep(min(due - now, _LOOK))
                    continue
                case = heapq.heappop(self._waiting)[2]
                await gate.acquire()
                self._under_way += 1
                loads.create_task(self._refresh(case, calls, gate))

    async def _refresh(self, case: Case, calls: WarmCalls, gate: asyncio.Semaphore) -> None:
        try:
            status = await self._warmer.warm(case, calls, reload=True)
        except BudgetExceededError as exceeded:
            self._warmer.stopped = exceeded.told
        else:
            if status == "failed":
                self._push(asyncio.get_running_loop().time() + _AFTER_FAILURE, case)
            else:
                self.refreshed += 1
        finally:
            self._under_way -= 1
            gate.release()

    def _take_in(self) -> None:
        now = asyncio.get_running_loop().time()
        taken, self._warmer.due = self._warmer.due, []
        for ends, case in taken:
            settings = self._settings[case.path]
            left = max(0.0, ends - now)
            share = settings.when_ttl_below + settings.jitter * (2 * random.random() - 1)  # noqa: S311 - no secret
            at = ends - left * min(1.0, max(0.0, share))
            self._push(at, case)

    def _push(self, at: float, case: Case) -> None:
        heapq.heappush(self._waiting, (at, next(self._numbers), case))
