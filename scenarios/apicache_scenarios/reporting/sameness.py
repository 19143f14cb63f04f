"""Whether two runs can be compared: what they share, and what tells them apart."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from apicache_scenarios.load.result import BenchResult

_MACHINE: Final = ("cpu", "cpu_count", "platform", "python")
_SETTINGS: Final = (
    "seed",
    "keys",
    "population",
    "executor",
    "loop",
    "warmup_seconds",
    "blocks",
    "processes",
    "stages",
    "requests",
    "concurrency",
    "latency_ms",
    "upstream",
    "file",
)
_NAMES: Final = {"cpu_count": "number of CPUs", "latency_ms": "latency of the upstream", "warmup_seconds": "warm-up"}


class Sameness(msgspec.Struct, frozen=True, kw_only=True):
    """Why figures of two runs are not comparable, as sentences without a full stop; none where they are."""

    unusable: tuple[str, ...] = ()
    """Of either run: nothing is comparable."""
    settings: tuple[str, ...] = ()
    """Other work was done: nothing is comparable."""
    machine: tuple[str, ...] = ()
    """Times and throughput are not comparable; hit rates and numbers of calls are."""
    notes: tuple[str, ...] = ()
    """What a reader may want to know, and no verdict goes by."""

    @property
    def of_counts(self) -> tuple[str, ...]:
        """What forbids comparing hit rates and numbers of calls."""
        return self.unusable + self.settings

    @property
    def of_times(self) -> tuple[str, ...]:
        """What forbids comparing times."""
        return self.of_counts + self.machine


def sameness(before: BenchResult, after: BenchResult) -> Sameness:
    """How far two runs are of the same work on the same machine."""
    ours, theirs = before.environment, after.environment
    unusable = [f"run {name} {reason}" for name, run in (("A", before), ("B", after)) for reason in _unusable(run)]
    return Sameness(
        unusable=tuple(unusable),
        settings=tuple(f"other {each}" for each in _differing(_SETTINGS, ours, theirs)),
        machine=tuple(f"other machine, {each}" for each in _differing(_MACHINE, ours, theirs)),
        notes=tuple(_notes(ours, theirs)),
    )


def _unusable(run: BenchResult) -> Iterator[str]:
    if not run.blocks:
        yield "has no blocks; save it with --save, not with --format json"
    if run.interrupted:
        yield "was interrupted"
    if run.aborted:
        yield "was aborted by a threshold"
    if not run.validity.valid:
        yield f"is invalid: {'; '.join(run.validity.reasons)}"


def _differing(names: tuple[str, ...], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for name in names:
        one, other = ours.get(name), theirs.get(name)
        if one != other:
            yield f"{_NAMES.get(name, name)}: {_told(one)} and {_told(other)}"


def _notes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for name, run in (("A", ours), ("B", theirs)):
        load, processors = run.get("load_average"), run.get("cpu_count")
        if load and processors and load[0] > processors:
            yield f"Run {name} began on a busy machine: load average {load[0]:g} on {processors} CPUs."
    versions, others = ours.get("versions", {}), theirs.get("versions", {})
    for name in sorted(versions.keys() | others.keys()):
        if versions.get(name) != others.get(name):
            yield f"{name}: {_told(versions.get(name))} in A, {_told(others.get(name))} in B."


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
