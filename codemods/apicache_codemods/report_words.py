"""What all reports say in the same words: counts, places, savings, what to do next."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from apicache_codemods.detector import load_detectors
from apicache_codemods.files import EMPTY
from apicache_codemods.model import (
    CallSite,
    DuplicateGroup,
    Estimate,
    Finding,
    ScanReport,
    Severity,
    SkippedFile,
    open_groups,
)
from apicache_codemods.rule import Rule

LEVELS: tuple[Severity, ...] = ("error", "warning", "note")
"""Severities, the worst first."""
DUPLICATE_CALL = "AC001"
"""The rule whose findings are the members of the duplicate groups."""
_CODE = re.compile("`([^`]+)`")


class NextStep(msgspec.Struct, frozen=True):
    """What to do next: `before`, a command to type (empty when there is none), `after`."""

    before: str
    command: str
    after: str


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 call site`, `2,000 call sites`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def totals(report: ScanReport) -> str:
    """The counts of what was found."""
    summary = report.summary
    wrappers = [counted(len(report.wrapper_calls), "wrapper call")] if report.wrapper_calls else []
    groups = counted(summary.duplicate_groups, "duplicate group")
    return ", ".join([counted(summary.call_sites, "call site"), groups, *wrappers])


def reading(report: ScanReport) -> str:
    """What was read, and in what time."""
    summary = report.summary
    return f"{counted(summary.files, 'file')} with {counted(summary.lines, 'line')} read in {summary.seconds:.1f} s"


def next_step(report: ScanReport, paths: Sequence[str]) -> NextStep:
    """What to do about what was found."""
    command = f"apicache migrate {shlex.join(paths)}"
    if open_groups(report):
        return NextStep("next: ", command, " shows how each would become one cached call")
    if not all(site.cached for site in report.call_sites):
        found = "no further duplicates" if report.duplicate_groups else "no duplicates"
        return NextStep(f"{found}; ", command, " shows which calls can be cached as they are")
    if report.call_sites:
        return NextStep("every call found is answered by apicache", "", "")
    return NextStep(f"known libraries: {', '.join(load_detectors())}", "", "")


def saving(estimate: Estimate) -> str:
    """What caching a group would save at most, without the basis; empty when that is nothing."""
    if not estimate.calls:
        return ""
    calls = f"up to {estimate.calls:,.0f} calls"
    return f"{calls} and ${estimate.usd:,.2f}" if estimate.usd is not None else calls


def estimated(estimate: Estimate) -> str:
    """What caching a group would save at most, and on what basis."""
    saved = saving(estimate)
    return f"caching saves {saved} in 1,000 runs: {estimate.basis}" if saved else f"no estimate: {estimate.basis}"


def adopted(report: ScanReport) -> str:
    """How much of what can be cached is; empty when nothing can."""
    cacheable, cached = report.adoption.cacheable, report.adoption.cached
    if not cacheable:
        return ""
    return f"{cached:,} of {counted(cacheable, 'cacheable call')} answered by apicache ({cached / cacheable:.0%})"


def endpoint(site: CallSite) -> str:
    """What is known of a site's endpoint, alternatives included."""
    known = site.endpoint or (f"{site.method} (URL not known)" if site.method else "(not known)")
    return " or ".join((known, *site.alternatives))


def sites_by_place(report: ScanReport) -> dict[tuple[str, int], CallSite]:
    """The call sites by path and line; the first of several on one line."""
    found: dict[tuple[str, int], CallSite] = {}
    for site in report.call_sites:
        found.setdefault((site.path, site.line), site)
    return found


def group_of(report: ScanReport) -> dict[tuple[str, int], DuplicateGroup]:
    """The duplicate group that holds a place."""
    return {place: group for group in report.duplicate_groups for place in group.sites}


def by_rule(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings by their rule, the worst first."""
    ranked = sorted(findings, key=lambda each: (LEVELS.index(each.severity), each.rule))
    found: dict[str, list[Finding]] = {}
    for finding in ranked:
        found.setdefault(finding.rule, []).append(finding)
    return found


def rule_title(code: str, rules: Mapping[str, Rule]) -> str:
    """A rule's code with its name, as far as it is known."""
    return f"{code} {rules[code].name}" if code in rules else code


def help_text(rule: Rule) -> str:
    """A rule's documentation as Markdown."""
    written = rule.documentation
    parts = [
        written.why.strip(),
        "Instead of:",
        _fenced(written.bad),
        "write:",
        _fenced(written.good),
        written.fix.strip(),
    ]
    return "\n\n".join(parts)


def _fenced(code: str) -> str:
    return f"```python\n{code.strip()}\n```"


def spans(text: str) -> Iterator[tuple[str, bool]]:
    """A sentence's pieces, each with whether it stands in backticks."""
    for index, piece in enumerate(_CODE.split(text)):
        if piece:
            yield piece, bool(index % 2)


def severities(findings: Sequence[Finding]) -> str:
    """How many findings there are of each severity: `2 warnings, 1 note`; `no findings`."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(counted(counts[level], level) for level in LEVELS if counts[level]) or "no findings"


def skipped(report: ScanReport, paths: Sequence[str]) -> list[SkippedFile]:
    """The files that were not read; an empty `__init__.py` is no news, one that was asked for is."""
    return [file for file in report.skipped_files if file.reason != EMPTY or file.path in paths]
