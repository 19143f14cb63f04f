"""The open loop: intended sends are computed ahead, and a late answer holds back no request.

Latency is counted from the intended send, so a stall shows in every request that was due in it ("coordinated omission":
Gil Tene, "How NOT to Measure Latency", 2013; wrk2).
"""

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

    from apicache_scenarios.load.executors import Issuer, Part, Shape

_NANOSECONDS: Final = 1_000_000_000


def rising(start: float, end: float, seconds: float) -> "np.ndarray":
    """Sends, in nanoseconds, at a rate that goes evenly from `start` to `end` a second; the first at 0.

    Request k is due when the area under the rate is k: start * t + (end - start) * t**2 / (2 * seconds) = k.
    """
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    count = int(np.ceil((start + end) / 2 * seconds - 1e-9))
    area = np.arange(count, dtype=np.float64)
    slope = (end - start) / seconds if seconds else 0.0
    if slope == 0:
        due = area / start if start else area
    else:
        # The root without the cancellation of (-start + sqrt(...)) / slope at small slopes.
        root = np.sqrt(np.maximum(0.0, start * start + 2 * slope * area))
        denominator = start + root
        due = np.divide(2 * area, denominator, out=np.zeros_like(area), where=denominator > 0)
    return (due * _NANOSECONDS).astype(np.int64)


class OpenLoop:
    """Sends each request when it is due; one that is due while `max_in_flight` are under way is dropped and counted."""

    def __init__(self, due: "np.ndarray", shape: "Shape") -> None:
        self._due = due
        limit = shape.stage.max_in_flight
        self._max_in_flight = None if limit is None else max(1, shape.share(limit))

    def arrivals(self) -> "np.ndarray":
        """Of all processes: each takes its share of them."""
        return self._due

    async def run(self, part: "Part", issuer: "Issuer") -> None:
        """Send a block's requests; returns when all have been answered."""
        start, limit = issuer.now(), self._max_in_flight
        under_way: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as requests:
            for key, offset in zip(part.keys, part.due, strict=False):
                due = start + offset
                await asyncio.sleep(max(0, due - issuer.now()) / _NANOSECONDS)
                if limit is not None and len(under_way) >= limit:
                    issuer.drop()
                    continue
                task = requests.create_task(issuer.issue_due(key, due))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
