"""What a run puts under load: arms that make cases' calls."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from apicache_scenarios.load.arms import Arm
from apicache_scenarios.load.plan import ArmPlan


class Share(msgspec.Struct, frozen=True):
    """Which of the processes this is."""

    process: int = 0
    processes: int = 1

    def of(self, total: int) -> int:
        """This process's part of a number; all processes' parts add up to it."""
        return total // self.processes + (self.process < total % self.processes)


class Workload(Protocol):
    """Open: its caches are there, its arms can call."""

    @property
    def arms(self) -> Mapping[str, Arm]:
        """The arms by name."""

    @property
    def groups(self) -> Sequence[tuple[float, Sequence[int]]]:
        """Cases that share a weight of the mix: (weight, their numbers)."""

    async def warm_up(self) -> None:
        """Open connections and the like: what is paid once, and in no figure."""

    def costs(self) -> Mapping[str, float]:
        """US dollars of a call, by operation, where the caches know."""

    async def aclose(self) -> None:
        """Close the arms."""

    def close(self) -> None:
        """Close the caches, and leave the application as it was."""


class Source(Protocol):
    """Where a workload comes from, as a value that another process can open too."""

    def open(self, arms: Sequence[ArmPlan], share: Share) -> Workload:
        """The workload, ready to be called in this process."""
