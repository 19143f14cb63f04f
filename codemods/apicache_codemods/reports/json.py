"""The documented contract: every value of the scan; keys are added under `schema` 1, never removed or changed."""

import json

import msgspec

from apicache_codemods.model import ScanReport
from apicache_codemods.report_formats import ReportContext


def render(report: ScanReport, _: ReportContext) -> str:
    """The report as one JSON document."""
    return json.dumps(msgspec.to_builtins(report), indent=2, ensure_ascii=False) + "\n"
