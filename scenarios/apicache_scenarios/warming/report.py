"""What became of a warming run, as plain values: the documented JSON."""

from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec

Status = Literal["warmed", "fresh", "failed", "uncertain"]


class WarmedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case: `warmed` was called and stored, `fresh` stood in the cache already.

    `uncertain`: its call had begun when an earlier run was ended, and may have been paid for; it was not made again.
    `key` is None for a call that has none; `path` and `line` say where the scenario is written; `cost` is in US
    dollars, `attempts` how often it was called.
    """

    operation: str
    key: str | None
    status: Status
    seconds: float
    error: str | None
    name: str | None
    path: str
    line: int
    cost: float = 0.0
    attempts: int = 0


class WarmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a run; `not_run` is what an interrupt or the budget left undone, `seconds` wall time.

    `calls` were made, `cost` is what they did cost in US dollars, `failures` counts the failed by class. `stopped`
    says why the run ended before its end; `resumed` whether it went on with an earlier one.
    """

    scenarios: int
    warmed: int
    fresh: int
    failed: int
    uncertain: int
    not_run: int
    seconds: float
    calls: int
    cost: float
    failures: dict[str, int]
    stopped: str | None
    over_budget: bool
    """Whether the budget was used up, and was to count as a failure then."""
    interrupted: bool
    resumed: bool
    refreshed: int = 0


class WarmReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run did, in the order it was done; `schema` is the number of the documented JSON contract."""

    schema: int = 2
    entries: list[WarmedEntry]
    summary: WarmSummary


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do: `calls` would be made, `fresh` are answered already, `uncertain` not made again.

    US dollars: `ceiling` is what those calls can cost at most, `expected` what such calls have cost so far; None where
    nothing is known of any. `unknown` counts calls by operation of which nothing is known. `within_budget` says whether
    the ceiling fits; `seconds` is how long the declared rates make it take at least.
    """

    schema: int = 1
    scenarios: int
    calls: int
    fresh: int
    uncertain: int
    ceiling: float | None
    expected: float | None
    unknown: dict[str, int]
    within_budget: bool
    seconds: float
    saved_per_hit: float | None
    """What a hit on one of them would save, on average: what such calls have cost so far."""


OnEntry = Callable[[WarmedEntry], None]
"""Called with each case as it ends."""


class Tally:
    """Counts entries as they end, and keeps those that are asked for."""

    def __init__(self, *, keep: Callable[[WarmedEntry, int], bool]) -> None:
        self.entries: list[WarmedEntry] = []
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._keep = keep

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.counts.total()

    def add(self, entry: WarmedEntry, failure: str | None = None) -> None:
        """Count one; `failure` is a failed one's class."""
        self.counts[entry.status] += 1
        if failure is not None:
            self.failures[failure] += 1
        if self._keep(entry, len(self.entries)):
            self.entries.append(entry)
