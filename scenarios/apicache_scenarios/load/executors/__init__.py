"""Load shapes, one file each: the file's name, with hyphens, is the executor's name.

A file defines `create(shape) -> Executor`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache_scenarios.format.model import Stage

if TYPE_CHECKING:
    import numpy as np


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One block's requests."""

    keys: Iterable[int]
    """Which case each asks for; as many as there are `due` in an open loop."""
    due: Sequence[int] = ()
    """Intended sends, nanoseconds from the block's start, ascending; none in a closed loop."""
    seconds: float | None = None
    """When a closed loop begins no more requests; None: when the keys have ended."""


class Issuer(Protocol):
    """Makes requests and records them; neither of both that issue raises for a request that failed."""

    now: Callable[[], int]
    """Nanoseconds, the clock of intended sends."""

    async def issue(self, key: int) -> None:
        """Make a request now."""

    async def issue_due(self, key: int, due: int) -> None:
        """Make a request that was due at that time."""

    def drop(self) -> None:
        """Count a request that was due and could not be sent."""


class Executor(Protocol):
    """One load shape."""

    def arrivals(self) -> "np.ndarray | None":
        """Intended sends, nanoseconds from the stage's start, computed ahead; None for a closed loop."""

    async def run(self, part: Part, issuer: Issuer) -> None:
        """Issue a block's requests; returns when all have been answered."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor is created from: a stage, and this process's share of it."""

    stage: Stage
    start_rate: float = 0.0
    """Requests a second at the end of the stage before."""
    process: int = 0
    processes: int = 1

    def share(self, total: int) -> int:
        """This process's part of a number, so that all processes' parts add up to it."""
        return total // self.processes + (self.process < total % self.processes)


def executor_names() -> list[str]:
    """The names of all executors, from the folder's file names."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def executor(shape: Shape) -> Executor:
    """The executor of a stage; raises InputError for an unknown name or a stage that lacks what it needs."""
    name = shape.stage.executor
    if name not in executor_names():
        raise InputError(f"unknown executor {name!r}; {did_you_mean(name, executor_names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    created: Executor = module.create(shape)
    return created
