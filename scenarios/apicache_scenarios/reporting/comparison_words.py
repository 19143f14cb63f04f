"""A comparison in words: for a terminal, and for a pull request."""

from collections.abc import Iterator, Sequence
from typing import Final

from apicache_scenarios.reporting.comparison import Compared, Comparison
from apicache_scenarios.reporting.words import duration, percent

_MARK: Final = "<!-- apicache bench compare -->"
_HEADINGS: Final = ("arm", "metric", "A", "B", "change", "interval", "verdict")
_NAMES: Final = {
    "hit_rate": "hit rate",
    "calls_per_request": "calls per request",
    "errors.rate": "error rate",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "throughput_rps": "requests a second",
}


def as_text(found: Comparison) -> str:
    """Aligned columns, then why some are not comparable, then the sum."""
    lines = [_HEADINGS, *(_cells(each) for each in found.metrics)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, "", *_told(found)]) + "\n"


def as_markdown(found: Comparison) -> str:
    """GitHub's flavour of Markdown."""
    lines = [_HEADINGS, ("---", "---", "---:", "---:", "---:", "---:", "---"), *map(_cells, found.metrics)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
    told = "\n".join(f"- {line}" for line in _told(found))
    return f"{_MARK}\n\n## apicache bench compare\n\n{table}\n\n{told}\n"


def _cells(each: Compared) -> Sequence[str]:
    return (
        f"{each.arm}, {each.pass_}",
        _NAMES.get(each.metric, each.metric),
        _value(each.metric, each.before),
        _value(each.metric, each.after),
        _change(each, each.change),
        "-" if each.change is None else f"{_change(each, each.low)} to {_change(each, each.high)}",
        each.verdict,
    )


def _value(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    if metric.endswith("_ms"):
        return duration(value)
    if metric == "throughput_rps":
        return f"{value:,.1f}"
    return f"{value:.4f}" if metric == "calls_per_request" else percent(value)


def _change(each: Compared, value: float | None) -> str:
    if value is None:
        return "-"
    if each.metric == "calls_per_request":
        return f"{value:+.4f}"
    return f"{value:+.1%}" if each.relative else f"{100 * value:+.2f} points"


def _told(found: Comparison) -> Iterator[str]:
    reasons: dict[tuple[str, ...], list[str]] = {}
    for each in found.metrics:
        if each.reasons:
            reasons.setdefault(each.reasons, []).append(f"{each.arm}, {each.pass_}, {_NAMES.get(each.metric)}")
    for why, names in reasons.items():
        what = names[0] if len(names) == 1 else f"{len(names)} metrics"
        yield f"Not comparable, {what}: {'; '.join(why)}."
    yield from found.notes
    yield f"Intervals hold with {found.confidence:.0%} confidence, by a bootstrap over blocks."
    counts = {name: sum(each.verdict == name for each in found.metrics) for name in ("better", "worse")}
    unshown = sum(each.verdict == "no difference shown" for each in found.metrics)
    yield f"{counts['better']} better, {counts['worse']} worse, {unshown} without a difference shown."
