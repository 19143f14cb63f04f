"""`UnifiedAPICache`: the process-wide cache, and isolated ones for tests and tools."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, final

from apicache.clock import Clock, SystemClock
from apicache.engine import Engine
from apicache.errors import InputError
from apicache.modes import MODES, Mode
from apicache.operations import Operation, OperationTable
from apicache.surface import CallSurface
from apicache.tier import Tier
from apicache.warming import OnOutcome, WarmOutcome, warm

if TYPE_CHECKING:
    from pathlib import Path


def _defaults() -> ModuleType:
    """Settings and tiers, imported with the first call: 6 ms that `import apicache` does not cost."""
    from apicache import defaults  # noqa: PLC0415

    return defaults


@final
class UnifiedAPICache(CallSurface):
    """One cache for all of a process's external API calls.

    `UnifiedAPICache()` is always the same, process-wide instance; its tiers and mode are set up on first use.
    `UnifiedAPICache.create(...)` makes an isolated one.
    """

    _process_wide: ClassVar["UnifiedAPICache | None"] = None
    _building: ClassVar[threading.Lock] = threading.Lock()

    def __new__(cls) -> "UnifiedAPICache":
        """The process-wide instance."""
        with cls._building:
            if cls._process_wide is None:
                cls._process_wide = cls._new(
                    lambda: _defaults().project_tiers(), lambda: _defaults().mode(), SystemClock()
                )
            return cls._process_wide

    @classmethod
    def create(
        cls,
        *,
        tiers: Sequence[Tier] | None = None,
        directory: "Path | str | None" = None,
        clock: Clock | None = None,
        mode: Mode = "on",
    ) -> "UnifiedAPICache":
        """An isolated cache.

        It has the given tiers, from nearest to farthest; or memory and a disk tier in `directory`; or memory alone.
        Raises InputError when both `tiers` and `directory` are given, or for a mode that is not known.
        """
        if mode not in MODES:
            raise InputError(f"mode {mode!r} is not known; known: {', '.join(MODES)}")
        if tiers is not None and directory is not None:
            raise InputError("both tiers and directory were given; a directory belongs to the default disk tier")

        def build_tiers() -> Sequence[Tier]:
            if tiers is not None:
                return tiers
            defaults = _defaults()
            built: Sequence[Tier] = defaults.memory_alone() if directory is None else defaults.tiers_in(directory)
            return built

        return cls._new(build_tiers, lambda: mode, clock or SystemClock())

    @classmethod
    def _new(
        cls, build_tiers: Callable[[], Sequence[Tier]], find_mode: Callable[[], Mode], clock: Clock
    ) -> "UnifiedAPICache":
        cache = super().__new__(cls)
        cache._engine = Engine(build_tiers, find_mode, clock)
        cache._operations = OperationTable()
        cache._operation, cache._options = None, {}
        return cache

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The registered operations by name."""
        return self._operations

    @property
    def mode(self) -> Mode:
        """`on`, or `off` when every call goes straight through."""
        return self._engine.mode

    async def warm_cache(
        self,
        entries: Sequence[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        on_outcome: OnOutcome | None = None,
    ) -> list[WarmOutcome]:
        """Make each entry's call (`{"operation": ..., **parameters}`) unless a fresh entry exists.

        Outcomes come in the entries' order, and through `on_outcome` as they happen. Raises InputError, before any
        call, for an unknown operation or parameters that it does not take.
        """
        plans = [self._plan_entry(position, dict(entry)) for position, entry in enumerate(entries)]
        return await warm(self._engine, plans, concurrency, on_outcome)

    def _plan_entry(self, position: int, entry: dict[str, Any]) -> Any:
        if "operation" not in entry:
            raise InputError(f"entry {position} names no operation; write {{'operation': ..., ...}}")
        try:
            return self._plan(None, (), entry)
        except TypeError as error:
            raise InputError(f"entry {position}: {error}") from None

    def get_stats(self) -> dict[str, Any]:
        """What the cache did since it was built.

        `cache_hits`, `cache_misses`, `hit_rate` (0 to 1), `coalesced`, `bypassed`, `stored`, `not_stored`, `errors` (of
        tiers), `tier_hits`, `latency_saved_seconds`, `cost_saved` (US dollars), and per operation under `operations`.
        """
        return {"mode": self.mode, **self._engine.statistics.as_dict()}

    def clear(self) -> None:
        """Forget every entry in every tier."""
        self._engine.tiers.clear()

    def close(self) -> None:
        """Release what the tiers hold open; the next call opens it again."""
        self._engine.tiers.close()
