"""What workers report, added up: counts are added, percentiles are never averaged."""

from collections.abc import Iterable

import msgspec

from apicache_scenarios.load.assembling import Ran, assembled
from apicache_scenarios.load.environment import captured
from apicache_scenarios.load.members import merged_ends
from apicache_scenarios.load.merging import merged_block
from apicache_scenarios.load.plan import RunPlan
from apicache_scenarios.load.result import BenchResult, Block, Pass
from apicache_scenarios.load.session import Ends
from apicache_scenarios.locust_load.load_file import LoadFile


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker measured since its last report."""

    blocks: tuple[Block, ...]
    ends: Ends


def encoded(blocks: Iterable[Block], ends: Ends) -> str:
    """A worker's report as text: the histograms in it are encoded."""
    return msgspec.json.encode(WorkerReport(blocks=tuple(blocks), ends=ends), enc_hook=str).decode()


class Collector:
    """Of one run, at the master."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, str], list[Block]] = {}
        self._ends: dict[str, Ends] = {}
        self.finished: set[str] = set()
        """Workers that have reported for the last time."""

    def add(self, worker: str, report: str, *, is_last: bool = False) -> None:
        """A worker's report; a worker that has finished is not listened to."""
        if worker in self.finished:
            return
        told = msgspec.json.decode(report, type=WorkerReport)
        for block in told.blocks:
            self._blocks.setdefault((block.round, block.arm), []).append(block)
        self._ends[worker] = told.ends
        if is_last:
            self.finished.add(worker)

    def result(self, plan: RunPlan, file: LoadFile, *, is_whole: bool = True) -> BenchResult:
        """All workers' reports as one run; not whole where a worker's last report is missing."""
        merged = [merged_block(parts) for _, parts in sorted(self._blocks.items())]
        warm = any(block.pass_ == "warm" for block in merged)  # noqa: S105 - no secret
        pass_: Pass = "warm" if warm else "cold"
        blocks = [msgspec.structs.replace(block, number=n, pass_=pass_) for n, block in enumerate(merged)]
        loop = "closed" if file.rate_per_user is None else "open"
        environment = {
            **captured(plan, max(1, len(self._ends))),
            "file": file.scenarios.name,
            "executor": "locust",
            "loop": loop,
            "blocks": len({block.round for block in blocks}),
        }
        return assembled(
            Ran(
                plan=msgspec.structs.replace(plan, legs=()),
                blocks=tuple(blocks),
                ends=merged_ends(list(self._ends.values())),
                environment=environment,
                interrupted=not is_whole,
            )
        )
