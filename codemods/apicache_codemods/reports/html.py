"""One HTML page that needs nothing else: no script, no request; light and dark, from a phone's width up."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from apicache_codemods.model import CallSite, DuplicateGroup, Finding, NearDuplicate, ScanReport, WrapperCall
from apicache_codemods.report_formats import ReportContext
from apicache_codemods.report_words import (
    DUPLICATE_CALL,
    adopted,
    by_rule,
    counted,
    endpoint,
    estimated,
    next_step,
    reading,
    rule_title,
    severities,
    sites_by_place,
    skipped,
    spans,
    totals,
)

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f4f5f7; --text: #1b1f24; --faint: #57606a;
  --line: #d4d8de; --accent: #0b57d0; --error: #b3261e; --warning: #8a5300; --note: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --raised: #1e2329; --text: #e6e9ec; --faint: #a3acb6;
  --line: #373e47; --accent: #8ab4f8; --error: #ff8a80; --warning: #f2b45c; --note: #a3acb6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; } p { margin: .25rem 0; } .faint { color: var(--faint); }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre { margin: .5rem 0; padding: .75rem; overflow-x: auto; background: var(--ground); border: 1px solid var(--line);
  border-radius: .375rem; }
pre i { display: inline-block; min-width: 3ch; margin-right: 1.5ch; text-align: right; color: var(--faint);
  font-style: normal; user-select: none; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.figures div, article { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; }
.figures div { padding: .75rem 1rem; } .figures b { display: block; font-size: 1.5rem; line-height: 1.3; }
article { padding: 1rem; margin: .75rem 0; }
details { margin-top: .5rem; } summary { cursor: pointer; color: var(--accent); }
ul { margin: .5rem 0; padding-left: 1.25rem; } li { margin: .25rem 0; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th { text-align: left; color: var(--faint); font-weight: 600; } th, td { padding: .375rem .75rem .375rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; }
.level { font-weight: 600; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
.mark { font-size: .8125rem; border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem;
  color: var(--faint); }
@media (max-width: 40rem) { thead { display: none; } tr { display: block; padding: .5rem 0;
  border-bottom: 1px solid var(--line); } td { display: block; border: 0; padding: .125rem 0; }
  td::before { content: attr(data-label) ": "; color: var(--faint); } }
@media print { body { max-width: none; } article { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_OPEN_GROUPS = 3
"""The first groups show their sources at once; the others when they are unfolded."""
_OPEN_FINDINGS = 12
"""Longer lists of findings are folded."""


def render(report: ScanReport, context: ReportContext) -> str:
    """The report as a page."""
    page = _Page(report, context)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            f"<title>apicache scan: {escape(totals(report))}</title>",
            f"<style>{_STYLE}</style></head>",
            "<body>",
            *page.head(),
            "<main>",
            *page.groups(),
            *page.findings(),
            *page.near(),
            *page.other_sites(),
            *page.wrapper_calls(),
            *page.skipped(),
            "</main>",
            f'<footer><p class="faint">apicache {escape(context.version)}</p></footer>',
            "</body>",
            "</html>\n",
        ]
    )


class _Page:
    def __init__(self, report: ScanReport, context: ReportContext) -> None:
        self._report = report
        self._context = context
        self._sites = sites_by_place(report)

    def head(self) -> Iterator[str]:
        report = self._report
        new = sum(finding.new for finding in report.findings)
        figures = [
            (report.summary.call_sites, "call sites"),
            (report.summary.duplicate_groups, "duplicate groups"),
            (len(report.wrapper_calls), "wrapper calls"),
            (new, "new findings" if self._context.baseline is not None else "findings"),
        ]
        step = next_step(report, self._context.paths)
        command = f"<code>{escape(step.command)}</code>" if step.command else ""
        shown = adopted(report)
        yield "<header><h1>apicache scan</h1>"
        where = "" if self._context.paths == (".",) else f"{' '.join(self._context.paths)}: "
        yield f'<p class="faint">{escape(where + reading(report))}</p>'
        yield '<div class="figures">'
        yield from (f"<div><b>{number:,}</b> {escape(what)}</div>" for number, what in figures)
        yield "</div>"
        yield f"<p>{escape(shown)}</p>" if shown else ""
        yield f"<p>{escape(step.before)}{command}{escape(step.after)}</p></header>"

    def groups(self) -> Iterator[str]:
        if self._report.duplicate_groups:
            yield "<h2>Duplicate groups</h2>"
        for number, group in enumerate(self._report.duplicate_groups):
            yield "<article>"
            yield f"<h3>{escape(group.id)} <code>{escape(group.endpoint)}</code></h3>"
            operation = f"; operation <code>{escape(group.operation)}</code>" if group.operation else ""
            yield f"<p>{counted(len(group.sites), 'call')}{operation}</p>"
            yield f'<p class="faint">{_prose(estimated(group.estimate))}</p>'
            yield from self._places(group, unfolded=number < _OPEN_GROUPS)
            yield "</article>"

    def _places(self, group: DuplicateGroup, *, unfolded: bool) -> Iterator[str]:
        yield f"<details{' open' if unfolded else ''}><summary>where ({len(group.sites):,})</summary>"
        for path, line in group.sites:
            site = self._sites.get((path, line))
            mark = ' <span class="mark">cached</span>' if site is not None and site.cached else ""
            inside = f' <span class="faint">in {escape(site.function)}</span>' if site and site.function else ""
            yield f"<p>{_place(path, line)}{inside}{mark}</p>"
            yield self._excerpt(path, line, site.end_line if site is not None else line)
        yield "</details>"

    def _excerpt(self, path: str, line: int, end_line: int) -> str:
        excerpt = self._context.sources.excerpt(path, line, end_line)
        if not excerpt.lines:
            return ""
        numbered = [f"<i>{number}</i>{escape(text)}" for number, text in enumerate(excerpt.lines, start=line)]
        more = [f"<i></i>and {counted(excerpt.more, 'more line')}"] if excerpt.more else []
        return f"<pre tabindex=0>{chr(10).join(numbered + more)}</pre>"

    def findings(self) -> Iterator[str]:
        if self._report.findings:
            yield "<h2>Findings</h2>"
            yield f'<p class="faint">{escape(severities(self._report.findings))}</p>'
        for code, findings in by_rule(self._report.findings).items():
            level = findings[0].severity
            title = escape(rule_title(code, self._context.rules))
            yield f'<article><h3>{title} <span class="level {level}">{counted(len(findings), level)}</span></h3>'
            fixes = dict.fromkeys(finding.fix for finding in findings if finding.fix)
            yield f"<p>{_prose(next(iter(fixes)))}</p>" if len(fixes) == 1 else ""
            yield from self._documentation(code)
            unfolded = len(findings) <= _OPEN_FINDINGS and code != DUPLICATE_CALL
            yield f"<details{' open' if unfolded else ''}><summary>where ({len(findings):,})</summary><ul>"
            yield from (_finding(finding, shows_fix=len(fixes) > 1) for finding in findings)
            yield "</ul></details></article>"

    def _documentation(self, code: str) -> Iterator[str]:
        rule = self._context.rules.get(code)
        if rule is not None:
            written = rule.documentation
            yield f"<details><summary>what it means</summary><p>{_prose(written.why)}</p>"
            yield f"<p>Instead of</p><pre tabindex=0>{escape(written.bad.strip())}</pre>"
            yield f"<p>write</p><pre tabindex=0>{escape(written.good.strip())}</pre></details>"

    def near(self) -> Iterator[str]:
        near = self._report.near_duplicates
        if near:
            yield "<h2>Near-duplicates</h2>"
            yield '<p class="faint">Alike, and not proven to be the same.</p>'
            yield from map(_near, near)

    def other_sites(self) -> Iterator[str]:
        others = [site for site in self._report.call_sites if site.group is None]
        if others:
            yield "<h2>Other call sites</h2>"
            yield from _table(("where", "call", "endpoint", "operation"), map(_site_row, others))

    def wrapper_calls(self) -> Iterator[str]:
        calls = self._report.wrapper_calls
        if calls:
            yield f"<details><summary><b>Wrapper calls ({len(calls):,})</b></summary>"
            yield from _table(("where", "through", "endpoint", "group"), map(_wrapper_row, calls))
            yield "</details>"

    def skipped(self) -> Iterator[str]:
        files = skipped(self._report, self._context.paths)
        if files:
            rows = ((_code(file.path), escape(file.reason)) for file in files)
            yield f"<details><summary><b>Files not read ({len(files):,})</b></summary>"
            yield from _table(("file", "reason"), rows)
            yield "</details>"


def _finding(finding: Finding, *, shows_fix: bool) -> str:
    held = "" if finding.new else ' <span class="mark">in the baseline</span>'
    fix = f'<br><span class="faint">{_prose(finding.fix)}</span>' if shows_fix else ""
    return f"<li>{_place(finding.path, finding.line)}{held}<br>{_prose(finding.message)}{fix}</li>"


def _near(near: NearDuplicate) -> str:
    known = ", ".join(map(_code, near.endpoints)) or "endpoint not known"
    places = "".join(f"<li>{_place(path, line)}</li>" for path, line in near.sites)
    return f"<article><h3>{escape(near.id)} {known}</h3><p>{_prose(near.differs)}</p><ul>{places}</ul></article>"


def _site_row(site: CallSite) -> Sequence[str]:
    mark = ' <span class="mark">cached</span>' if site.cached else ""
    place = f"{_place(site.path, site.line)}{mark}"
    return place, _code(site.call), _code(endpoint(site)), _code(site.operation) if site.operation else "-"


def _wrapper_row(call: WrapperCall) -> Sequence[str]:
    known = _code(call.endpoint) if call.endpoint else "(not known)"
    return _place(call.path, call.line), _code(call.via), known, escape(call.group or "-")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; each cell carries its heading for narrow screens, where rows become blocks."""
    yield f"<table><thead><tr>{''.join(f'<th>{escape(heading)}</th>' for heading in headings)}</tr></thead><tbody>"
    for row in rows:
        cells = zip(headings, row, strict=True)
        yield f"<tr>{''.join(f'<td data-label={heading}>{cell}</td>' for heading, cell in cells)}</tr>"
    yield "</tbody></table>"


def _place(path: str, line: int) -> str:
    return _code(f"{path}:{line}")


def _prose(text: str) -> str:
    """A sentence in which backticks mark code."""
    return "".join(_code(piece) if is_code else escape(piece) for piece, is_code in spans(text))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
