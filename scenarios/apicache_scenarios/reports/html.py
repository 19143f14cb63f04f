"""One HTML page that needs nothing else: no script, no request; light and dark, from a phone's width up."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from apicache_scenarios.load.result import BenchResult
from apicache_scenarios.reporting.charts import STYLE, drawn
from apicache_scenarios.reporting.pictures import distribution, sizes, timeline
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

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f4f5f7; --text: #1b1f24; --faint: #57606a;
  --line: #d4d8de; --accent: #0b57d0; --bad: #b3261e; --good: #1a6b34;
  --s0: #0b57d0; --s1: #b45309; --s2: #1a7f37; --s3: #8250df; --s4: #bf3989; --s5: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --raised: #1e2329; --text: #e6e9ec; --faint: #a3acb6;
  --line: #373e47; --accent: #8ab4f8; --bad: #ff8a80; --good: #7ee2a8;
  --s0: #8ab4f8; --s1: #f2b45c; --s2: #7ee2a8; --s3: #d2a8ff; --s4: #ff9bce; --s5: #a3acb6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; } .faint { color: var(--faint); } .bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); font-weight: 600; } code { font: .875rem/1.5 ui-monospace, monospace; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.figures div { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.figures b { display: block; font-size: 1.5rem; line-height: 1.3; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1.25rem 1.5rem; }
figure { margin: 0; max-width: 30rem; } figcaption { font-weight: 600; margin-bottom: .25rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9375rem; min-width: 100%; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  overflow-wrap: normal; white-space: nowrap; }
td:first-child, th, .text td { white-space: normal; }
th { color: var(--faint); font-weight: 600; } th:first-child, td:first-child, .text td, .text th { text-align: left; }
ul { margin: .5rem 0; padding-left: 1.25rem; } details { margin-top: .75rem; }
summary { cursor: pointer; color: var(--accent); }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def render(report: Report) -> str:
    """The report as a page."""
    result = report.result
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            "<title>apicache bench</title>",
            f"<style>{_STYLE}{STYLE}</style></head>",
            "<body>",
            *_head(result),
            "<main>",
            *_thresholds(result),
            *_charts(report),
            *_figures(result),
            *_operations(result),
            *_cost(report),
            *_cache_size(report),
            *_notes(result),
            "</main>",
            f'<footer><p class="faint">apicache {escape(report.version)}</p></footer>',
            "</body>",
            "</html>\n",
        ]
    )


def _head(result: BenchResult) -> Iterator[str]:
    environment = result.environment
    source = environment.get("file", environment.get("upstream", ""))
    yield "<header><h1>apicache bench</h1>"
    yield f'<p class="faint">{escape(str(source))}; {escape(str(environment.get("started_at", "")))}</p>'
    yield from (f'<p class="bad">{escape(told)}</p>' for told in warnings(result))
    yield '<div class="figures">'
    yield from (f"<div><b>{escape(figure)}</b> {escape(what)}</div>" for figure, what in headline(result))
    yield "</div></header>"


def _thresholds(result: BenchResult) -> Iterator[str]:
    if not result.thresholds:
        return
    yield "<h2>Thresholds</h2>"
    yield from _table(
        ("", "threshold", "arm", "measured", "where"),
        (
            (
                '<span class="good">holds</span>' if each.holds else '<span class="bad">missed</span>',
                f"<code>{escape(each.written)}</code>",
                escape(each.arm or "all"),
                escape(measured(each)),
                f"<code>{escape(each.place)}</code>",
            )
            for each in result.thresholds
        ),
        "text",
    )


def _charts(report: Report) -> Iterator[str]:
    shape = distribution(report.result)
    curve = [] if report.miss_ratio is None else [sizes(report.miss_ratio)]
    yield '<h2>Charts</h2><div class="charts">'
    yield from map(drawn, [*([] if shape is None else [shape]), *curve, *timeline(report.result)])
    yield "</div>"


def _figures(result: BenchResult) -> Iterator[str]:
    shown = columns(result)
    yield "<h2>Figures</h2>"
    yield from _table(
        ("", *(escape(column.heading) for column in shown)),
        ((escape(row.label), *map(escape, row.cells)) for row in rows(shown)),
    )


def _operations(result: BenchResult) -> Iterator[str]:
    found = [(name, arm, each) for arm, of in result.arms.items() for name, each in of.operations.items()]
    if len({name for name, _, _ in found}) < 2:  # noqa: PLR2004 - one operation is the whole arm
        return
    yield "<h2>Operations</h2>"
    yield from _table(
        ("operation", "arm", "requests", "hit rate", "p50", "p95", "p99", "errors"),
        (
            (
                f"<code>{escape(name)}</code>",
                escape(arm),
                f"{each.requests:,}",
                percent(each.hit_rate),
                *map(duration, (each.p50_ms, each.p95_ms, each.p99_ms)),
                f"{each.errors:,}",
            )
            for name, arm, each in sorted(found, key=lambda item: item[:2])
        ),
    )


def _cost(report: Report) -> Iterator[str]:
    cost = report.cost
    yield "<h2>Cost</h2>"
    yield from (f"<p>{escape(line)}</p>" for line in cost_lines(cost))
    priced = [each for each in cost.operations if each.price is not None]
    if len(priced) > 1:
        yield from _table(
            ("operation", "price of a call", "calls", "spent", "saved"),
            (
                (
                    f"<code>{escape(each.operation)}</code>",
                    dollars(each.price),
                    f"{each.calls:,}",
                    dollars(each.spent),
                    dollars(each.saved),
                )
                for each in priced
            ),
        )
    yield from _list(cost.assumptions)


def _cache_size(report: Report) -> Iterator[str]:
    found = report.miss_ratio
    if found is None:
        return
    yield "<h2>Cache size</h2>"
    yield from (f"<p>{escape(sentence)}</p>" for sentence in found.sentences)
    yield "<details><summary>the curve in figures</summary>"
    yield f'<p class="faint">{found.requests:,} requests of arm {escape(found.arm)} for {found.distinct:,} keys.</p>'
    yield from _table(
        ("entries", "memory", "hit rate"),
        ((f"{each.entries:,}", size(each.bytes), percent(each.hit_rate)) for each in found.points),
    )
    yield "</details>"


def _notes(result: BenchResult) -> Iterator[str]:
    yield "<h2>How it was measured</h2>"
    yield from _list(notes(result))


def _list(lines: Iterable[str]) -> Iterator[str]:
    yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]], style: str = "") -> Iterator[str]:
    """A table that scrolls sideways by itself where a page is narrow; headings and cells are HTML."""
    yield f'<div class="wide" tabindex="0"><table class="{style}"><thead><tr>'
    yield "".join(f"<th>{heading}</th>" for heading in headings)
    yield "</tr></thead><tbody>"
    for line in lines:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>"
    yield "</tbody></table></div>"
