"""constant-vus: a fixed number of virtual users, each of which sends its next request when the last was answered.

A closed loop: a slow answer delays the requests behind it, so queueing that independent callers would meet is not seen.
https://grafana.com/docs/k6/latest/using-k6/scenarios/executors/constant-vus/
"""

import asyncio
from collections.abc import Iterator

from apicache.errors import InputError
from apicache_scenarios.load.executors import Issuer, Part, Shape


class ConstantVUs:
    """`vus` users who share one sequence of keys."""

    def __init__(self, vus: int) -> None:
        self._vus = vus

    def arrivals(self) -> None:
        """None: the answers decide when the next requests are sent."""
        return

    async def run(self, part: Part, issuer: Issuer) -> None:
        """Issue requests until the keys or the time have ended; returns when all have been answered."""
        remaining = iter(part.keys)
        end = None if part.seconds is None else issuer.now() + int(part.seconds * 1e9)
        async with asyncio.TaskGroup() as users:
            for _ in range(self._vus):
                users.create_task(self._user(remaining, issuer, end))

    @staticmethod
    async def _user(remaining: Iterator[int], issuer: Issuer, end: int | None) -> None:
        while end is None or issuer.now() < end:
            key = next(remaining, None)
            if key is None:
                return
            await issuer.issue(key)
            # A cache hit never suspends: without this, one user would take all hits while answers of others wait.
            await asyncio.sleep(0)


def create(shape: Shape) -> ConstantVUs:
    """As many users as the stage says, one without."""
    vus = shape.share(shape.stage.vus or 1)
    if vus < 1:
        raise InputError(
            f"{shape.stage.vus or 1} vus are fewer than {shape.processes} processes; give as many at least"
        )
    return ConstantVUs(vus)
