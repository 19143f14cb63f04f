"""Markdown for a pull request's comment: short tables in sight, the rest folded.

The first line is a comment by which a bot finds its earlier report again. GitHub refuses comments of more than 65,536
characters: the lists end early.
"""

import html
import re
from collections.abc import Iterator, Sequence

from apicache_codemods.model import DuplicateGroup, Finding, NearDuplicate, ScanReport
from apicache_codemods.report_formats import ReportContext
from apicache_codemods.report_words import (
    DUPLICATE_CALL,
    adopted,
    by_rule,
    counted,
    estimated,
    next_step,
    reading,
    rule_title,
    saving,
    severities,
    sites_by_place,
    skipped,
    spans,
    totals,
)

_MARK = "<!-- apicache scan -->"
_GROUPS = 25
_PLACES = 15
_FINDINGS = 40
_FILES = 20
_FIXES = 3
_SPECIAL = re.compile(r"([\\`*_\[\]|~<>&])")
_TICKS = re.compile("`+")
_PIPE = "\\|"


def render(report: ScanReport, context: ReportContext) -> str:
    """The report as GitHub's flavour of Markdown."""
    new = [finding for finding in report.findings if finding.new]
    blocks = [
        _MARK,
        "## apicache scan",
        _summary(report, new),
        *_groups(report),
        *_findings(new, context),
        *_near(report.near_duplicates),
        *_skipped(report, context),
        _next(report, context),
    ]
    return "\n\n".join(blocks) + "\n"


def _summary(report: ScanReport, new: Sequence[Finding]) -> str:
    known = len(report.findings) - len(new)
    held = f" ({known:,} more in the baseline)" if known else ""
    lines = [f"**{totals(report)}**; {severities(new)}{held}", _escaped(adopted(report)), reading(report)]
    return "  \n".join(line for line in lines if line)


def _groups(report: ScanReport) -> Iterator[str]:
    if not report.duplicate_groups:
        return
    rows = ["| group | endpoint | calls | caching saves | first call |", "| --- | --- | ---: | --- | --- |"]
    rows += [_row(group) for group in report.duplicate_groups[:_GROUPS]]
    yield "### Duplicate groups"
    yield "\n".join(rows)
    yield from _more(len(report.duplicate_groups) - _GROUPS)
    yield _folded(
        "Where, and how the savings are estimated",
        "\n".join(_places(group, report) for group in report.duplicate_groups[:_GROUPS]),
    )


def _row(group: DuplicateGroup) -> str:
    path, line = group.sites[0]
    cells = (group.id, _code(group.endpoint), str(len(group.sites)), saving(group.estimate), _code(f"{path}:{line}"))
    return f"| {' | '.join(cell.replace('|', _PIPE) for cell in cells)} |"


def _places(group: DuplicateGroup, report: ScanReport) -> str:
    sites = sites_by_place(report)
    lines = [f"- **{group.id}** {_code(group.endpoint)}", f"  - {_prose(estimated(group.estimate))}"]
    for path, line in group.sites[:_PLACES]:
        site = sites.get((path, line))
        said = f" {_code(site.call)}{' (cached)' if site.cached else ''}" if site is not None else ""
        lines.append(f"  - {_code(f'{path}:{line}')}{said}")
    if len(group.sites) > _PLACES:
        lines.append(f"  - and {len(group.sites) - _PLACES:,} more")
    return "\n".join(lines)


def _findings(new: Sequence[Finding], context: ReportContext) -> Iterator[str]:
    if not new:
        return
    yield "### Findings"
    left = _FINDINGS
    for code, findings in by_rule(new).items():
        shown = [] if code == DUPLICATE_CALL and context.baseline is None else findings[:left]
        lines = [f"- {_code(f'{each.path}:{each.line}')} {_prose(each.message)}" for each in shown]
        left -= len(lines)
        if not shown and code == DUPLICATE_CALL:
            lines = ["- the calls of the duplicate groups"]
        elif len(findings) > len(shown):
            lines.append(f"- and {len(findings) - len(shown):,} more")
        fixes = dict.fromkeys(each.fix for each in findings if each.fix)
        yield f"**{_escaped(rule_title(code, context.rules))}** ({counted(len(findings), findings[0].severity)})"
        yield "\n".join(lines)
        yield from map(_prose, [*fixes][:_FIXES])


def _near(near: Sequence[NearDuplicate]) -> Iterator[str]:
    if not near:
        return
    lines = []
    for each in near[:_GROUPS]:
        places = ", ".join(_code(f"{path}:{line}") for path, line in each.sites[:_PLACES])
        known = ", ".join(map(_code, each.endpoints)) or "endpoint not known"
        lines.append(f"- **{each.id}** {known}: {_prose(each.differs)} ({places})")
    if len(near) > _GROUPS:
        lines.append(f"- and {len(near) - _GROUPS:,} more")
    yield _folded(f"Near-duplicates ({len(near):,}): alike, not proven to be the same", "\n".join(lines))


def _skipped(report: ScanReport, context: ReportContext) -> Iterator[str]:
    files = skipped(report, context.paths)
    if files:
        lines = [f"- {_code(file.path)} {_escaped(file.reason)}" for file in files[:_FILES]]
        lines += [f"- and {len(files) - _FILES:,} more"] if len(files) > _FILES else []
        yield _folded(f"Files not read ({len(files):,})", "\n".join(lines))


def _next(report: ScanReport, context: ReportContext) -> str:
    step = next_step(report, context.paths)
    command = _code(step.command) if step.command else ""
    return f"{_escaped(step.before)}{command}{_escaped(step.after)}"


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"and {number:,} more"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>\n\n{content}\n\n</details>"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))


def _prose(text: str) -> str:
    """A sentence in which backticks mark code."""
    return "".join(_code(piece) if is_code else _escaped(piece) for piece, is_code in spans(" ".join(text.split())))


def _code(text: str) -> str:
    """A code span that holds any text: https://github.github.com/gfm/#code-spans."""
    flat = " ".join(text.split())
    longest = max((len(ticks) for ticks in _TICKS.findall(flat)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest else ""
    return f"{fence}{padding}{flat}{padding}{fence}"
