"""SARIF 2.1.0, for code scanning services: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from apicache_codemods.files import EMPTY
from apicache_codemods.model import CallSite, Finding, ScanReport
from apicache_codemods.report_formats import ReportContext
from apicache_codemods.report_words import DUPLICATE_CALL, group_of, help_text, sites_by_place
from apicache_codemods.rule import Rule

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "SRCROOT"
_FINGERPRINT = "apicache/v1"
_OUTSIDE = "../"
_MOST_RELATED = 20
"""Sites named with each member of a group: all of a large one would grow with its square."""


def render(report: ScanReport, context: ReportContext) -> str:
    """The findings as one SARIF log with one run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report, context)]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _run(report: ScanReport, context: ReportContext) -> dict[str, Any]:
    indices = {code: index for index, code in enumerate(context.rules)}
    writer = _Results(report, context, indices)
    driver = {"name": "apicache", "semanticVersion": context.version, "rules": [*map(_rule, context.rules.values())]}
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": "apicache/scan/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that was scanned from."}}},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": list(_skipped(report, context))}],
        "results": [writer.result(finding) for finding in report.findings],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    text = help_text(rule)
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": " ".join(rule.documentation.why.split())},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": rule.severity},
    }


def _skipped(report: ScanReport, context: ReportContext) -> Iterator[dict[str, Any]]:
    for file in report.skipped_files:
        if file.reason != EMPTY:
            yield {
                "level": "note",
                "message": {"text": f"not read: {file.reason}"},
                "locations": [{"physicalLocation": {"artifactLocation": _artifact(file.path, context)}}],
            }


def _artifact(path: str, context: ReportContext) -> dict[str, str]:
    """Where a file is: below the root, or by an absolute URI, as `..` is not allowed in a relative one."""
    if path.startswith((_OUTSIDE, "/")):
        return {"uri": (context.sources.root / path).resolve().as_uri()}
    return {"uri": quote(path, errors="surrogateescape"), "uriBaseId": _ROOT}


class _Results:
    """Findings as results, with what else is known of the place."""

    def __init__(self, report: ScanReport, context: ReportContext, indices: Mapping[str, int]) -> None:
        self._context = context
        self._indices = indices
        self._sites = sites_by_place(report)
        self._groups = group_of(report)

    def result(self, finding: Finding) -> dict[str, Any]:
        place = (finding.path, finding.line)
        found: dict[str, Any] = {
            "ruleId": finding.rule,
            **({"ruleIndex": self._indices[finding.rule]} if finding.rule in self._indices else {}),
            "level": finding.severity,
            "message": {"text": f"{finding.message}. {finding.fix}" if finding.fix else finding.message},
            "locations": [{"physicalLocation": self._physical(finding)}],
        }
        site = self._sites.get(place)
        if site is not None and site.function is not None:
            found["locations"][0]["logicalLocations"] = [{"fullyQualifiedName": site.function, "kind": "function"}]
        related = list(self._related(finding))
        if related:
            found["relatedLocations"] = related
        if finding.fingerprint:
            found["partialFingerprints"] = {_FINGERPRINT: finding.fingerprint}
        return found | self._baseline(finding)

    def _baseline(self, finding: Finding) -> dict[str, Any]:
        if self._context.baseline is None:
            return {}
        if finding.new:
            return {"baselineState": "new", "suppressions": []}
        accepted = {"kind": "external", "status": "accepted", "justification": f"held by {self._context.baseline}"}
        return {"baselineState": "unchanged", "suppressions": [accepted]}

    def _related(self, finding: Finding) -> Iterator[dict[str, Any]]:
        """The other call sites of a duplicate's group."""
        place = (finding.path, finding.line)
        group = self._groups.get(place) if finding.rule == DUPLICATE_CALL else None
        others = [each for each in group.sites if each != place] if group is not None else []
        for number, site in enumerate(filter(None, map(self._sites.get, others[:_MOST_RELATED])), start=1):
            yield {
                "id": number,
                "message": {"text": f"{site.call} calls {site.endpoint} too (group {site.group})"},
                "physicalLocation": self._physical(site),
            }

    def _physical(self, at: Finding | CallSite) -> dict[str, Any]:
        region: dict[str, Any] = {"startLine": at.line}
        if at.end_line:
            region |= {"startColumn": at.column + 1, "endLine": at.end_line, "endColumn": at.end_column + 1}
        return {"artifactLocation": _artifact(at.path, self._context), "region": region}
