"""All that a report of one run shows: what was measured, and what follows from it."""

import msgspec

from apicache_scenarios.load.result import BenchResult
from apicache_scenarios.reporting.costs import CostModel, Pricing, cost_model
from apicache_scenarios.reporting.miss_ratio import MissRatio, miss_ratio_of


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `version` is apicache's; `miss_ratio` is None where no key was recorded."""

    version: str
    result: BenchResult
    cost: CostModel
    miss_ratio: MissRatio | None = None


def report_of(result: BenchResult, version: str, pricing: Pricing | None = None) -> Report:
    """The report of a run; prices beside those that the run knows, and the rate to project, are in `pricing`."""
    return Report(
        version=version,
        result=result,
        cost=cost_model(result, pricing or Pricing()),
        miss_ratio=miss_ratio_of(result),
    )
