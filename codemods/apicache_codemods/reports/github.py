"""GitHub's workflow commands: each finding becomes an annotation at its line.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions. GitHub shows ten of each level a
step, so the worst and the new come first; findings of the baseline are not annotated.
"""

from apicache_codemods.model import Finding, ScanReport
from apicache_codemods.report_formats import ReportContext
from apicache_codemods.report_words import by_rule, counted, rule_title, severities, totals

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(report: ScanReport, context: ReportContext) -> str:
    """A line for each new finding, then one for the log that says how many there are."""
    new = [finding for finding in report.findings if finding.new]
    lines = [_annotation(finding, context) for findings in by_rule(new).values() for finding in findings]
    known = len(report.findings) - len(new)
    held = f"; {counted(known, 'finding')} in the baseline" if known else ""
    return "\n".join([*lines, f"apicache scan: {totals(report)}; {severities(new)}{held}"]) + "\n"


def _annotation(finding: Finding, context: ReportContext) -> str:
    properties = {"file": finding.path, "line": str(finding.line)}
    if finding.end_line > finding.line:
        properties["endLine"] = str(finding.end_line)  # columns are refused where the lines differ
    elif finding.end_line:
        properties |= {"col": str(finding.column + 1), "endColumn": str(finding.end_column + 1)}
    properties["title"] = rule_title(finding.rule, context.rules)
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = f"{finding.message}. {finding.fix}" if finding.fix else finding.message
    return f"::{_COMMANDS[finding.severity]} {written}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
