"""constant-vus: a fixed number of virtual users, each of which sends its next request when the last was answered.

A closed loop: a slow answer delays the requests behind it, so queueing that independent callers would meet is not seen.
https://grafana.com/docs/k6/latest/using-k6/scenarios/executors/constant-vus/
"""

import asyncio
from collections.abc import Iterable, Iterator

from apicache_scenarios.executors import Executor, Issue, Load


class ConstantVUs:
    """`vus` users who share one sequence of keys."""

    def __init__(self, vus: int) -> None:
        self._vus = vus

    async def run(self, keys: Iterable[int], issue: Issue) -> None:
        """Issue one request per key; returns when all have been answered."""
        remaining = iter(keys)
        async with asyncio.TaskGroup() as users:
            for _ in range(self._vus):
                users.create_task(self._user(remaining, issue))

    @staticmethod
    async def _user(remaining: Iterator[int], issue: Issue) -> None:
        for key in remaining:
            await issue(key)
            # A cache hit never suspends: without this, one user would take all hits while answers of others wait.
            await asyncio.sleep(0)


def create(load: Load) -> Executor:
    """As many users as requests may be in flight."""
    return ConstantVUs(load.concurrency)
