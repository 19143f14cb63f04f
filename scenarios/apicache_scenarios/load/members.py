"""Who takes a run's turns: a session in this process, or in a process of its own."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from apicache.errors import ApicacheError, InputError
from apicache_scenarios.load.embedded import EmbeddedSource
from apicache_scenarios.load.plan import RunPlan, Turn
from apicache_scenarios.load.recorder import Recorder
from apicache_scenarios.load.result import Block
from apicache_scenarios.load.scenario_cases import ScenarioSource
from apicache_scenarios.load.session import Ends, Session
from apicache_scenarios.load.workload import Share

AnySource = EmbeddedSource | ScenarioSource
LINE_LIMIT: Final = 2**28
"""Bytes of a message between processes: a block's histograms and trace."""
_STOP_SECONDS: Final = 10.0


class WorkerError(ApicacheError):
    """A worker process ended before its turns did."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is told first."""

    plan: RunPlan
    source: AnySource
    share: Share
    origin: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What it is told then; without a turn: to stop the one that runs, or to end."""

    kind: str
    turn: Turn | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers: that it is ready, a block, or how it all ended; `error` is bad input."""

    block: Block | None = None
    ends: Ends | None = None
    error: str | None = None


def encode(message: msgspec.Struct) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message, enc_hook=str) + b"\n"


def decode(line: bytes, kind: Any) -> Any:
    """The message of a line."""
    return msgspec.json.decode(line, type=kind, dec_hook=_path)


def _path(expected: type, given: Any) -> Any:
    if expected is Path:
        return Path(given)
    raise NotImplementedError(expected)


class Member(Protocol):
    """One of those who take turns together."""

    async def warm_up(self) -> None:
        """Get ready: nothing of it is measured."""

    async def run(self, turn: Turn) -> Block:
        """Take a turn; when that is cancelled, `stop` gives what was measured."""

    async def stop(self) -> Block | None:
        """End the turn that runs; its block as far as it has come."""

    def live(self) -> Recorder | None:
        """What is being recorded, where it can be seen."""

    async def end(self) -> Ends:
        """What is known when all turns are over."""

    async def aclose(self) -> None:
        """Release what is held."""


class Here:
    """A session in this process."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def warm_up(self) -> None:
        """As Member's."""
        await self._session.warm_up()

    async def run(self, turn: Turn) -> Block:
        """As Member's."""
        return await self._session.run(turn)

    async def stop(self) -> Block | None:
        """As Member's; the turn has ended by its cancellation."""
        with contextlib.suppress(LookupError):
            return self._session.partial()
        return None

    def live(self) -> Recorder | None:
        """As Member's."""
        return self._session.recorder

    async def end(self) -> Ends:
        """As Member's."""
        return self._session.ends()

    async def aclose(self) -> None:
        """As Member's."""
        await self._session.aclose()


class Worker:
    """A session in a process of its own, that is told its turns through a pipe and ends with it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, task: Task) -> "Worker":
        """A process that opens the task's source; `warm_up` waits for it."""
        # -P: a module in the working directory must not shadow its imports.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "apicache_scenarios.load.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's, which asks for what was measured
        )
        worker = cls(process)
        await worker._tell(task)
        return worker

    async def warm_up(self) -> None:
        """As Member's; raises InputError with what its source refused."""
        await self._answer()

    async def run(self, turn: Turn) -> Block:
        """As Member's."""
        await self._tell(Order(kind="turn", turn=turn))
        return await self._block()

    async def stop(self) -> Block | None:
        """As Member's."""
        await self._tell(Order(kind="stop"))
        return await self._block()

    def live(self) -> None:
        """None: it is not seen from here."""
        return

    async def end(self) -> Ends:
        """As Member's."""
        await self._tell(Order(kind="end"))
        ends = (await self._answer()).ends
        if ends is None:
            raise WorkerError("a worker process gave no account of its end")
        return ends

    async def aclose(self) -> None:
        """Close its pipe, which ends it; it is killed when it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _block(self) -> Block:
        block = (await self._answer()).block
        if block is None:
            raise WorkerError("a worker process gave no block for its turn")
        return block

    async def _tell(self, message: msgspec.Struct) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(ConnectionError):  # its answer will be missing
                stdin.write(encode(message))
                await stdin.drain()

    async def _answer(self) -> Report:
        line = await self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise WorkerError(f"a worker process ended with exit code {await self._process.wait()} before its turns")
        report: Report = decode(line, Report)
        if report.error is not None:
            raise InputError(report.error)
        return report


def merged_ends(all_ends: Sequence[Ends]) -> Ends:
    """What several ended with: counts are added; where caches share a store, its size is that of any."""
    caches: dict[str, dict[str, Any]] = {}
    for ends in all_ends:
        for arm, state in ends.caches.items():
            caches[arm] = _added(caches[arm], state) if arm in caches else state
    return Ends(caches=caches, costs={name: cost for ends in all_ends for name, cost in ends.costs.items()})


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    if "entries_stored" not in one:
        return dict(one)
    tiers = {**one["hits_by_tier"]}
    for name, count in other["hits_by_tier"].items():
        tiers[name] = tiers.get(name, 0) + count
    return {
        **one,
        "at_start": "filled" if "filled" in (one["at_start"], other["at_start"]) else "empty",
        "entries_at_start": max(one["entries_at_start"], other["entries_at_start"]),
        "entries_stored": one["entries_stored"] + other["entries_stored"],
        "coalesced": one["coalesced"] + other["coalesced"],
        "disk_bytes": max(one["disk_bytes"], other["disk_bytes"]),
        "hits_by_tier": tiers,
    }
