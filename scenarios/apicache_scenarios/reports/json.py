"""The documented contract: every figure of the run; keys are added under `schema` 1, never removed or changed.

Histograms and keys of single blocks are in the file that `--save` writes, which `apicache bench compare` reads.
"""

import json

import msgspec

from apicache_scenarios.reporting.report import Report


def render(report: Report) -> str:
    """The report as one JSON document."""
    document = msgspec.to_builtins(report.result)
    del document["blocks"]
    document["version"] = report.version
    document["cost"] = msgspec.to_builtins(report.cost)
    document["miss_ratio"] = msgspec.to_builtins(report.miss_ratio)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
