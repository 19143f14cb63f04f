"""Load shapes, one file each: the file's name, with hyphens, is the executor's name.

A file defines `create(load) -> Executor`.
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from apicache.errors import InputError, did_you_mean

Issue = Callable[[int], Awaitable[None]]
"""Makes one request for a key and records it; it never raises for a request that failed."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much load: `concurrency` is the number of requests in flight at most."""

    concurrency: int


class Executor(Protocol):
    """One load shape."""

    async def run(self, keys: Iterable[int], issue: Issue) -> None:
        """Issue one request per key; returns when all have been answered."""


def executor_names() -> list[str]:
    """The names of all executors, from the folder's file names."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def executor(name: str, load: Load) -> Executor:
    """The executor of that name, set to that load; raises InputError for an unknown name."""
    if name not in executor_names():
        raise InputError(f"unknown executor {name!r}; {did_you_mean(name, executor_names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    created: Executor = module.create(load)
    return created
