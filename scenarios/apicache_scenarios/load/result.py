"""What a benchmark measured, as values: blocks as they ran, and what they add up to.

`BenchResult` is what `--save` writes and reports, comparisons and exports read. Times are milliseconds where a name
ends in `_ms`, else seconds; histograms are encoded by `recording.Histogram.encoded` and hold nanoseconds. A figure
without samples is None, never zero.
"""

import base64
import sys
import zlib
from array import array
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

SCHEMA: Final = 1
"""Of the saved file and of `--format json`. Fields may be added under it; removing or changing one raises it."""

Outcome = Literal["hit", "miss", "coalesced"]
"""Answered from the cache; called the upstream; waited for another request's call."""
OUTCOMES: Final[tuple[Outcome, ...]] = ("hit", "miss", "coalesced")
Pass = Literal["cold", "warm"]
"""Measured from an empty cache; measured on a cache that had been filled, by an earlier pass, a warm-up or before."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The answered requests of one operation with one outcome in one block."""

    operation: str
    outcome: Outcome
    latency: str
    """From the intended send; in a closed loop from the send."""
    service_time: str | None = None
    """From the actual send; None in a closed loop, where it is the latency."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of one arm; arms take turns (ABBA), so that blocks of one `round` saw the same machine.

    The requests of a round have the same keys in all arms, as far as each arm came.
    """

    number: int
    """Its place in the order in which blocks ran, from 0."""
    round: int
    """Which blocks belong together, from 0."""
    arm: str
    pass_: Pass = msgspec.field(name="pass")
    stage: int
    """Of the plan's stages, from 0."""
    started: float
    """Seconds from the run's start."""
    seconds: float
    """How long it was under load."""
    planned: int | None = None
    """Requests that were due; None in a closed loop that ends by time."""
    series: tuple[Series, ...] = ()
    errors: dict[str, dict[str, int]] = {}
    """Failed requests by operation and class: `HTTP 500`, `ConnectionRefusedError`. Not in the histograms."""
    dropped: int = 0
    """Requests that were due while `max_in_flight` were under way: never sent, in no histogram."""
    withheld: int = 0
    """Requests that were not made because the arm's `max_calls` were."""
    lag: str | None = None
    """Actual minus intended send, the generator's own delay; None in a closed loop."""
    upstream_calls: int = 0
    """Calls that went to the upstream, by the arm's own count."""
    keys: str | None = None
    """The cases that were asked for, in order of sending (`unpacked`); of the first arm that uses a cache only."""
    sent: str | None = None
    """When each of `keys` was sent, microseconds from the run's start (`unpacked`)."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What blocks add up to.

    `requests` ended, `errors` of them without an answer; percentiles and `throughput_rps` are of answered requests.
    """

    requests: int
    hit_rate: float
    throughput_rps: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    mean_ms: float | None
    errors: int
    error_classes: dict[str, int]
    hits: int
    misses: int
    coalesced: int
    hit_p50_ms: float | None
    hit_p95_ms: float | None
    hit_p99_ms: float | None
    miss_p50_ms: float | None
    service_p50_ms: float | None
    service_p95_ms: float | None
    service_p99_ms: float | None
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    dropped: int
    withheld: int
    upstream_calls: int
    seconds: float
    """Wall time under load."""


class ArmResult(Figures, frozen=True, kw_only=True):
    """One arm. Its own figures are those of its first pass (of the cold one, where there is one)."""

    uses_cache: bool
    plan_arm: str
    """The name of the plan's arm that it is; with compared tiers several are one."""
    tiers: tuple[str, ...] = ()
    """The tiers of its cache, nearest first; none for one that goes past it."""
    max_calls: int | None = None
    thinned_to: float = 1.0
    """The share of the due requests that `max_calls` left; evenly picked."""
    passes: dict[str, Figures]
    operations: dict[str, Figures]
    """Of the same pass as the arm's own figures."""
    cache: dict[str, Any] = {}
    """`at_start`: empty, filled or none, and what the cache held and did; `entries_at_start`, `entry_bytes` (mean)."""


class Validity(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the generator kept up: past a limit the figures describe the generator and not the system under load."""

    valid: bool
    reasons: tuple[str, ...] = ()
    max_lag_p99_ms: float
    max_dropped_share: float


class ThresholdResult(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold; without samples `measured` is None and it fails."""

    written: str
    place: str
    """`path:line`."""
    arm: str | None
    measured: float | None
    """Seconds for times, 0 to 1 for shares."""
    holds: bool
    aborted: bool = False
    """True when the run was ended because of it."""


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    `api_call_reduction` is 1 - calls per request (cached) / calls per request (direct). `speedup_p50` is the direct
    arm's p50 over that of the first arm with a cache; `speedup_hit_p50` over its hits' alone, of the warm pass where
    there is one. None where there is no such arm or no sample.
    """

    schema: int = SCHEMA
    arms: dict[str, ArmResult]
    """In the plan's order."""
    api_call_reduction: float | None
    speedup_p50: float | None
    speedup_hit_p50: float | None
    calls_counted_by: Literal["upstream", "client"]
    interrupted: bool
    aborted: bool = False
    """By a threshold."""
    validity: Validity
    thresholds: tuple[ThresholdResult, ...] = ()
    environment: dict[str, Any]
    """Versions, machine, load average, seed, keys, stages, population, processes: what a second run needs."""
    cost_per_call: dict[str, float] = {}
    """US dollars one upstream call of an operation cost on average, where the cache knows."""
    blocks: tuple[Block, ...] = ()
    """Every measured block, in the order they ran; warm-up is in none. Several processes' are merged."""

    @property
    def errors(self) -> int:
        """Requests without an answer, all arms and passes together."""
        return sum(figures.errors for arm in self.arms.values() for figures in arm.passes.values())

    @property
    def missed(self) -> tuple[ThresholdResult, ...]:
        """The thresholds that do not hold."""
        return tuple(each for each in self.thresholds if not each.holds)


def save(result: BenchResult) -> bytes:
    """The file's contents: JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def load(contents: bytes) -> BenchResult:
    """The result that a file holds; raises msgspec.DecodeError for anything else, or for another schema."""
    result = msgspec.json.decode(contents, type=BenchResult)
    if result.schema != SCHEMA:
        raise msgspec.ValidationError(f"schema {result.schema} is not {SCHEMA}")
    return result


def packed(numbers: Iterable[int]) -> str:
    """Integers as text: 64-bit little-endian, deflated, in base64."""
    buffer = numbers if isinstance(numbers, array) and numbers.typecode == "q" else array("q", numbers)
    return base64.b64encode(zlib.compress(_little_endian(buffer).tobytes(), 6)).decode("ascii")


def unpacked(text: str) -> "array[int]":
    """The integers that `packed` wrote."""
    buffer = array("q")
    buffer.frombytes(zlib.decompress(base64.b64decode(text)))
    return _little_endian(buffer)


def _little_endian(buffer: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        return buffer
    swapped = array("q", buffer)
    swapped.byteswap()
    return swapped
