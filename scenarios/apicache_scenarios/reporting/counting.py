"""Blocks of requests as arrays."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import Block
from apicache_scenarios.reporting.bootstrap import Counted

if TYPE_CHECKING:
    import numpy as np


def shared_values(blocks: Iterable[Block]) -> "np.ndarray":
    """All latencies (ns) that blocks have counts of, ascending."""
    import numpy as np  # noqa: PLC0415 - for comparisons only

    found = {value for block in blocks for value, _ in _latencies(block)}
    return np.array(sorted(found), dtype=np.int64)


def counted(blocks: Sequence[Block], values: "np.ndarray") -> Counted:
    """The blocks' counts at the given latencies, and their other counters; upstream calls by the arm's own count."""
    import numpy as np  # noqa: PLC0415 - as above

    counts = np.zeros((len(blocks), len(values)))
    for row, block in enumerate(blocks):
        pairs = _latencies(block)
        if pairs:
            latencies, numbers = zip(*pairs, strict=True)
            np.add.at(counts[row], np.searchsorted(values, latencies), numbers)
    errors = np.array([_failed(block) for block in blocks], dtype=np.float64)
    return Counted(
        values=values,
        counts=counts,
        requests=counts.sum(axis=1) + errors,
        hits=np.array([_hits(block) for block in blocks], dtype=np.float64),
        calls=np.array([block.upstream_calls for block in blocks], dtype=np.float64),
        errors=errors,
        seconds=np.array([block.seconds for block in blocks], dtype=np.float64),
    )


def _latencies(block: Block) -> list[tuple[int, int]]:
    return [pair for series in block.series for pair in Histogram.decoded(series.latency).counts()]


def _hits(block: Block) -> int:
    return sum(len(Histogram.decoded(each.latency)) for each in block.series if each.outcome == "hit")


def _failed(block: Block) -> int:
    return sum(count for classes in block.errors.values() for count in classes.values())
