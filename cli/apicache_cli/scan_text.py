"""What `apicache scan` prints as text: groups with their sources first, then what else was found, then what to do."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from apicache_codemods.excerpts import Excerpt
from apicache_codemods.model import CallSite, DuplicateGroup, Finding, NearDuplicate, ScanReport, SkippedFile
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
    totals,
)

LISTED_GROUPS = 50
LISTED_SITES = 200
LISTED_IN_GROUP = 12
LISTED_FINDINGS = 10
LISTED_NEAR = 10
LISTED_FILES = 50
"""Longer lists end with how many more there are; JSON has everything."""
WIDEST = 10_000
"""Columns a table may take where no terminal sets the width."""
STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_report(console: Console, report: ScanReport, context: ReportContext) -> None:
    """Print a scan's result; without a terminal as wide as it needs to be, so that no path is cut."""
    _print_groups(console, report, context)
    others = [site for site in report.call_sites if site.group is None]
    if others:
        _print_table(console, _sites(others[:LISTED_SITES]))
        _print_more(console, len(others) - LISTED_SITES)
        console.print()
    _print_near(console, report.near_duplicates)
    _print_findings(console, report.findings, context)
    files = skipped(report, context.paths)
    if files:
        _print_table(console, _skipped(files[:LISTED_FILES]))
        _print_more(console, len(files) - LISTED_FILES)
    _print_summary(console, report, context)


def _print_groups(console: Console, report: ScanReport, context: ReportContext) -> None:
    if not report.duplicate_groups:
        return
    _heading(console, "duplicate groups")
    for group in report.duplicate_groups[:LISTED_GROUPS]:
        for line in _group(group, report, context):
            _say(console, line)
        console.print()
    _print_more(console, len(report.duplicate_groups) - LISTED_GROUPS)


def _group(group: DuplicateGroup, report: ScanReport, context: ReportContext) -> Iterator[Text]:
    sites = sites_by_place(report)
    operation = f", operation {group.operation}" if group.operation else ""
    named = Text.assemble((group.id, "bold"), "  ", (group.endpoint, "bold"))
    yield named.append(f"  {counted(len(group.sites), 'call')}{operation}")
    yield Text(f"    {estimated(group.estimate)}")
    for number, place in enumerate(group.sites[:LISTED_IN_GROUP]):
        site = sites.get(place)
        inside = f" in {site.function}" if site is not None and site.function else ""
        cached = " (cached)" if site is not None and site.cached else ""
        yield Text(f"    {place[0]}:{place[1]}{cached}{inside}")
        if number == 0:
            end_line = site.end_line if site is not None else place[1]
            yield from _source(context.sources.excerpt(*place, end_line))
    if len(group.sites) > LISTED_IN_GROUP:
        yield Text(f"    and {len(group.sites) - LISTED_IN_GROUP:,} more")


def _source(excerpt: Excerpt) -> Iterator[Text]:
    width = len(str(excerpt.line + len(excerpt.lines)))
    for number, line in enumerate(excerpt.lines, start=excerpt.line):
        yield Text.assemble((f"      {number:>{width}} | ", "dim"), line)
    if excerpt.more:
        yield Text(f"      {'':>{width}} | and {counted(excerpt.more, 'more line')}", "dim")


def _print_near(console: Console, near: Sequence[NearDuplicate]) -> None:
    if not near:
        return
    _heading(console, "near-duplicates: alike, not proven to be the same")
    for each in near[:LISTED_NEAR]:
        known = ", ".join(each.endpoints) or "endpoint not known"
        _say(console, Text.assemble((each.id, "bold"), f"  {known}"))
        _say(console, Text(f"    {each.differs}"))
        for path, line in each.sites[:LISTED_IN_GROUP]:
            _say(console, Text(f"    {path}:{line}"))
        if len(each.sites) > LISTED_IN_GROUP:
            _say(console, Text(f"    and {len(each.sites) - LISTED_IN_GROUP:,} more"))
    _print_more(console, len(near) - LISTED_NEAR)
    console.print()


def _print_findings(console: Console, findings: Sequence[Finding], context: ReportContext) -> None:
    new = [finding for finding in findings if finding.new]
    if not new:
        return
    _heading(console, "new findings" if context.baseline is not None else "findings")
    for code, of_rule in by_rule(new).items():
        severity = of_rule[0].severity
        title = rule_title(code, context.rules)
        _say(console, Text.assemble((title, "bold"), "  ", (counted(len(of_rule), severity), STYLES[severity])))
        if code == DUPLICATE_CALL and context.baseline is None:
            _say(console, Text("    the calls of the duplicate groups"))
        else:
            for finding in of_rule[:LISTED_FINDINGS]:
                _say(console, Text(f"    {finding.path}:{finding.line}: {finding.message}"))
            _print_more(console, len(of_rule) - LISTED_FINDINGS, "    ")
        for fix in dict.fromkeys(finding.fix for finding in of_rule[:LISTED_FINDINGS] if finding.fix):
            _say(console, Text(f"    do: {fix}"))
    console.print()


def _print_summary(console: Console, report: ScanReport, context: ReportContext) -> None:
    _say(console, Text(f"{totals(report)}; {reading(report)}"))
    shown = adopted(report)
    if shown:
        _say(console, Text(shown))
    if report.findings or report.summary.suppressed:
        _say(console, Text(_findings_line(report, context)))
    step = next_step(report, context.paths)
    _say(console, Text.from_markup(f"{escape(step.before)}[bold]{escape(step.command)}[/bold]{escape(step.after)}"))


def _findings_line(report: ScanReport, context: ReportContext) -> str:
    new = [finding for finding in report.findings if finding.new]
    parts = [f"findings: {severities(new)}" if new else "no new findings" if report.findings else "no findings"]
    if context.baseline is not None:
        parts.append(f"{len(report.findings) - len(new):,} in the baseline")
    if report.summary.suppressed:
        parts.append(f"{report.summary.suppressed:,} ignored by comments")
    return ", ".join(parts)


def _heading(console: Console, text: str) -> None:
    console.print(Text(text, "bold underline"), soft_wrap=True)


def _say(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _print_more(console: Console, more: int, indent: str = "") -> None:
    if more > 0:
        _say(console, Text(f"{indent}and {more:,} more; --format json lists all"))


def _print_table(console: Console, table: Table) -> None:
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
        console.width = max(console.width, natural)
    console.print(table)


def _sites(sites: Sequence[CallSite]) -> Table:
    table = _table("other call sites", "where", "call", "endpoint", "operation")
    for site in sites:
        where = f"{site.path}:{site.line}{' (cached)' if site.cached else ''}"
        table.add_row(*map(Text, (where, site.call, endpoint(site), site.operation or "-")))
    return table


def _skipped(files: Sequence[SkippedFile]) -> Table:
    table = _table("skipped files", "file", "reason")
    for file in files:
        table.add_row(Text(file.path), Text(file.reason))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
