"""The miss-ratio curve of a run: how its hit rate depends on the size of the cache, and on how long entries live.

From the keys that the run itself recorded. Sizes are numbers of entries; bytes are entries times the mean entry.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from apicache_scenarios.load.result import ArmResult, BenchResult, Block, unpacked
from apicache_scenarios.prediction.miss_ratio import MissRatioCurve, MissRatios, doubled
from apicache_scenarios.reporting.words import duration, size

POINTS: Final = 48
_TTL_POINTS: Final = 16
_TTL_DIVISORS: Final = (64, 16, 4)
"""Parts of the trace's span that entries live in the curves for a ttl."""
_MOST: Final = 500_000
"""Requests that a curve is worked out from: the first so many."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A size of the cache and the share of requests that it answers."""

    entries: int
    bytes: int | None
    hit_rate: float


class OfTTL(msgspec.Struct, frozen=True, kw_only=True):
    """The curve where entries live `ttl` seconds."""

    ttl: float
    hit_rate: float
    """At the size that the cache had."""
    points: tuple[Point, ...]


class MissRatio(msgspec.Struct, frozen=True, kw_only=True):
    """What an LRU cache of each size would have answered; a lower bound for the memory tier, which resists scans.

    `held` is how many entries the cache held at the end. Coalesced requests count as hits.
    """

    arm: str
    requests: int
    distinct: int
    seconds: float
    """Of load, from the first request to the last."""
    entry_bytes: float | None
    held: int
    points: tuple[Point, ...]
    by_ttl: tuple[OfTTL, ...] = ()
    sentences: tuple[str, ...] = ()


class _Trace(NamedTuple):
    keys: list[int]
    times: list[float]


def miss_ratio_of(result: BenchResult) -> MissRatio | None:
    """The curve; None where the run recorded no keys."""
    blocks = sorted((block for block in result.blocks if block.keys and block.sent), key=lambda block: block.number)
    if not blocks:
        return None
    arm = result.arms[blocks[0].arm]
    asked = _first_asked(blocks, result.environment)
    trace = _trace(asked)
    ratios = MissRatios(trace.keys, times=trace.times)
    curve = ratios.curve(points=POINTS)
    entry_bytes = arm.cache.get("entry_bytes")
    held = _held(arm) or curve.distinct
    span = trace.times[-1] - trace.times[0]
    parts = _TTL_DIVISORS if _are_timed(asked) and span > 0 else ()
    by_ttl = tuple(_of_ttl(ratios, span / part, held, entry_bytes) for part in parts)
    return MissRatio(
        arm=blocks[0].arm,
        requests=curve.requests,
        distinct=curve.distinct,
        seconds=span,
        entry_bytes=entry_bytes,
        held=held,
        points=_points(curve, entry_bytes),
        by_ttl=by_ttl,
        sentences=tuple(_sentences(curve, held, entry_bytes, by_ttl)),
    )


def _first_asked(blocks: list[Block], environment: dict[str, Any]) -> list[Block]:
    """Without those that ask for earlier blocks' keys again: the warm pass of a run without a scenario file."""
    cold = [block for block in blocks if block.pass_ == "cold"]  # noqa: S105 - no secret
    return blocks if "file" in environment or not cold else cold


def _trace(blocks: list[Block]) -> _Trace:
    """Keys, and times (seconds) without those in which other arms had their turns."""
    keys: list[int] = []
    times: list[float] = []
    before = 0.0
    for block in blocks:
        sent = [at / 1e6 - block.started for at in unpacked(block.sent or "")]
        keys += unpacked(block.keys or "")
        times += [before + max(0.0, at) for at in sent]
        before += block.seconds
        if len(keys) >= _MOST:
            break
    rising, latest = [], 0.0
    for at in times[:_MOST]:
        latest = max(latest, at)
        rising.append(latest)
    return _Trace(keys[:_MOST], rising)


def _held(arm: ArmResult) -> int:
    tiers = arm.cache.get("tiers", {})
    nearest: dict[str, int] = next(iter(tiers.values()), {})
    return nearest.get("entries", 0)


def _are_timed(blocks: list[Block]) -> bool:
    """In a closed loop time runs as fast as answers come: no ttl can be told from it."""
    return all(block.lag is not None for block in blocks)


def _of_ttl(ratios: MissRatios, ttl: float, held: int, entry_bytes: float | None) -> OfTTL:
    curve = ratios.curve(ttl, points=_TTL_POINTS)
    return OfTTL(ttl=ttl, hit_rate=1 - curve.at(held), points=_points(curve, entry_bytes))


def _points(curve: MissRatioCurve, entry_bytes: float | None) -> tuple[Point, ...]:
    return tuple(
        Point(entries=int(entries), bytes=_bytes(entries, entry_bytes), hit_rate=1 - ratio)
        for entries, ratio in zip(curve.sizes, curve.ratios, strict=True)
    )


def _bytes(entries: float, entry_bytes: float | None) -> int | None:
    return None if entry_bytes is None else round(entries * entry_bytes)


def _sentences(curve: MissRatioCurve, held: int, entry_bytes: float | None, by_ttl: tuple[OfTTL, ...]) -> Iterator[str]:
    if held >= curve.distinct:
        half = max(1, curve.distinct // 2)
        yield (
            f"The cache held all {curve.distinct:,} keys that were asked for{_memory(held, entry_bytes)}: more memory "
            f"brings nothing. From half of that, {doubled(curve, half)}."
        )
    else:
        yield f"The cache held {held:,} of {curve.distinct:,} keys{_memory(held, entry_bytes)}: {doubled(curve, held)}."
    for each in by_ttl:
        yield f"If entries lived {duration(each.ttl * 1000)}: {each.hit_rate:.1%} hits with room for {held:,}."


def _memory(entries: int, entry_bytes: float | None) -> str:
    return "" if entry_bytes is None else f", {size(entries * entry_bytes)}"
