"""Markdown for a pull request's comment or a job's summary: the table and the thresholds in sight, the rest folded.

The first line is a comment by which a bot finds its earlier report again.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from apicache_scenarios.load.result import BenchResult
from apicache_scenarios.reporting.miss_ratio import MissRatio
from apicache_scenarios.reporting.report import Report
from apicache_scenarios.reporting.words import (
    columns,
    cost_lines,
    dollars,
    duration,
    headline,
    measured,
    notes,
    percent,
    rows,
    size,
    warnings,
)

_MARK: Final = "<!-- apicache bench -->"
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~<>&#])")
_CURVE_ROWS: Final = 10


def render(report: Report) -> str:
    """The report as GitHub's flavour of Markdown."""
    result = report.result
    shown = columns(result)
    blocks = [
        _MARK,
        "## apicache bench",
        *(f"> **{_escaped(told)}**" for told in warnings(result)),
        "; ".join(f"**{figure}** {_escaped(what)}" for figure, what in headline(result)),
        _table(["", *(column.heading for column in shown)], [[row.label, *row.cells] for row in rows(shown)]),
        *_operations(result),
        *_thresholds(result),
        *_cost(report),
        *_miss_ratio(report.miss_ratio),
        _folded("How it was measured", _list([*notes(result), f"apicache {report.version}"])),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _operations(result: BenchResult) -> Iterator[str]:
    found = [(name, arm, each) for arm, of in result.arms.items() for name, each in of.operations.items()]
    if len({name for name, _, _ in found}) > 1:
        yield "### Operations"
        yield _table(
            ["operation", "arm", "requests", "hit rate", "p50", "p95", "p99", "errors"],
            [
                [
                    name,
                    arm,
                    f"{each.requests:,}",
                    percent(each.hit_rate),
                    duration(each.p50_ms),
                    duration(each.p95_ms),
                    duration(each.p99_ms),
                    f"{each.errors:,}",
                ]
                for name, arm, each in sorted(found, key=lambda item: item[:2])
            ],
            words=2,
        )


def _thresholds(result: BenchResult) -> Iterator[str]:
    if result.thresholds:
        yield "### Thresholds"
        yield _table(
            ["", "threshold", "arm", "measured", "where"],
            [
                ["holds" if each.holds else "**missed**", each.written, each.arm or "all", measured(each), each.place]
                for each in result.thresholds
            ],
            words=5,
            plain=1,
        )


def _cost(report: Report) -> Iterator[str]:
    cost = report.cost
    yield "### Cost"
    lines = list(cost_lines(cost))
    if lines:
        yield _escaped(" ".join(lines))
    priced = [each for each in cost.operations if each.price is not None]
    if len(priced) > 1:
        yield _table(
            ["operation", "price of a call", "calls", "spent", "saved"],
            [
                [each.operation, dollars(each.price), f"{each.calls:,}", dollars(each.spent), dollars(each.saved)]
                for each in priced
            ],
        )
    yield _list(cost.assumptions)


def _miss_ratio(found: MissRatio | None) -> Iterator[str]:
    if found is None:
        return
    yield "### Cache size"
    yield _escaped(" ".join(found.sentences))
    step = max(1, len(found.points) // _CURVE_ROWS)
    points = found.points[::-1][::step][::-1]
    sized = found.entry_bytes is not None
    lines = [[f"{each.entries:,}", *([size(each.bytes)] if sized else []), percent(each.hit_rate)] for each in points]
    head = ["entries", *(["memory"] if sized else []), "hit rate"]
    yield _folded(
        f"Hit rate against cache size: {found.requests:,} requests for {found.distinct:,} keys, LRU",
        _table(head, lines, words=0),
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1, plain: int = 0) -> str:
    """A table whose first `words` columns are text; cells of the first `plain` columns are Markdown already."""
    rules = ["---" if number < words else "---:" for number in range(len(head))]
    body = [[cell if place < plain else _escaped(cell) for place, cell in enumerate(line)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([_escaped(each) for each in head], rules, *body))


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>\n\n{content}\n\n</details>"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
