"""One table for spreadsheets and data frames: a row for each value, with its section, arm, pass and operation.

Sections: run, figures (an arm's pass, or an operation of its first pass), block, threshold, cost, miss_ratio.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.result import Figures
from apicache_scenarios.reporting.report import Report
from apicache_scenarios.reporting.words import columns

HEADINGS: Final = ("section", "arm", "pass", "operation", "at", "metric", "value")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula. https://owasp.org/www-community/attacks/CSV_Injection"""
Line = tuple[Any, ...]


def render(report: Report) -> str:
    """The table, with CRLF line ends (RFC 4180); a value that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    for part in (_run, _figures, _blocks, _thresholds, _cost, _miss_ratio):
        writer.writerows([_cell(value) for value in line] for line in part(report))
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _run(report: Report) -> Iterator[Line]:
    result = report.result
    for name in ("api_call_reduction", "speedup_p50", "speedup_hit_p50", "calls_counted_by", "interrupted", "aborted"):
        yield "run", "", "", "", "", name, getattr(result, name)
    yield "run", "", "", "", "", "valid", result.validity.valid
    for name, value in result.environment.items():
        if isinstance(value, str | int | float):
            yield "run", "", "", "", "", name, value


def _figures(report: Report) -> Iterator[Line]:
    for column in columns(report.result):
        yield from _each(column.figures, column.arm, column.pass_, "")
    for name, arm in report.result.arms.items():
        first = next(iter(arm.passes), "")
        for operation, figures in arm.operations.items():
            yield from _each(figures, name, first, operation)


def _each(figures: Figures, arm: str, pass_: str, operation: str) -> Iterator[Line]:
    for field in msgspec.structs.fields(Figures):
        value = getattr(figures, field.name)
        if not isinstance(value, dict):
            yield "figures", arm, pass_, operation, "", field.name, value
    for name, count in figures.error_classes.items():
        yield "figures", arm, pass_, operation, "", f"errors: {name}", count


def _blocks(report: Report) -> Iterator[Line]:
    """`at` is the block's start, seconds from the run's."""
    for block in report.result.blocks:
        figures = Total([block]).figures()
        for name in ("requests", "hit_rate", "throughput_rps", "p50_ms", "p95_ms", "p99_ms", "errors"):
            yield "block", block.arm, block.pass_, "", round(block.started, 6), name, getattr(figures, name)


def _thresholds(report: Report) -> Iterator[Line]:
    """`at` is where it is written; its value is what was measured, and whether it holds."""
    for each in report.result.thresholds:
        yield "threshold", each.arm or "", "", "", each.place, each.written, each.measured
        yield "threshold", each.arm or "", "", "", each.place, f"holds: {each.written}", each.holds


def _cost(report: Report) -> Iterator[Line]:
    cost = report.cost
    arm = cost.arm or ""
    for each in cost.operations:
        for name in ("price", "requests", "calls", "spent", "saved"):
            yield "cost", arm, "", each.operation, "", name, getattr(each, name)
    yield "cost", arm, "", "", "", "spent", cost.spent
    yield "cost", arm, "", "", "", "saved", cost.saved
    if cost.per_month is not None:
        for name, value in msgspec.structs.asdict(cost.per_month).items():
            yield "cost", arm, "", "", "month", name, value
    for assumption in cost.assumptions:
        yield "cost", arm, "", "", "", "assumption", assumption


def _miss_ratio(report: Report) -> Iterator[Line]:
    """`at` is the number of entries; the metric's name has the ttl in seconds, where there is one."""
    found = report.miss_ratio
    if found is None:
        return
    for point in found.points:
        yield "miss_ratio", found.arm, "", "", point.entries, "hit_rate", point.hit_rate
    for each in found.by_ttl:
        for point in each.points:
            yield "miss_ratio", found.arm, "", "", point.entries, f"hit_rate, ttl {each.ttl:.6g}", point.hit_rate
    for sentence in found.sentences:
        yield "miss_ratio", found.arm, "", "", "", "in words", sentence
