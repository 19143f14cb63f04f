"""The baseline file: the findings that a project has accepted, by content fingerprint, so that only new ones count.

JSON with one finding a line, sorted by fingerprint, without lines or dates: a change of the code moves nothing in it,
and two branches that add to it seldom meet. `rule` and `path` are there to be read, the fingerprint alone decides.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

from apicache.errors import InputError
from apicache_codemods.model import Finding, ScanReport

SCHEMA = 1


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One finding of a baseline."""

    fingerprint: str
    rule: str = ""
    path: str = ""


class Baseline(msgspec.Struct, frozen=True):
    """The content of a baseline file."""

    schema: int
    findings: tuple[Accepted, ...]


def read_baseline(file: Path) -> Baseline:
    """The baseline in a file. Raises InputError for one that is not there or holds something else."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"no such baseline: {file}; write it with --baseline {file} --update-baseline") from error
    except OSError as error:
        raise InputError(f"the baseline {file} cannot be read: {(error.strerror or str(error)).lower()}") from error
    again = f"write it anew with --baseline {file} --update-baseline"
    try:
        baseline = msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no baseline: {error}; {again}") from error
    if baseline.schema != SCHEMA:
        raise InputError(f"the baseline {file} has schema {baseline.schema}; known is {SCHEMA}; {again}")
    return baseline


def held_against(report: ScanReport, baseline: Baseline) -> ScanReport:
    """The report with the findings that the baseline holds marked as not new."""
    known = {accepted.fingerprint for accepted in baseline.findings}
    findings = tuple(
        msgspec.structs.replace(finding, new=finding.fingerprint not in known) for finding in report.findings
    )
    return msgspec.structs.replace(report, findings=findings)


def baseline_text(findings: Iterable[Finding]) -> str:
    """The baseline file of these findings."""
    accepted = {
        each.fingerprint: {"fingerprint": each.fingerprint, "rule": each.rule, "path": each.path} for each in findings
    }
    rows = ",\n".join(f"    {json.dumps(accepted[fingerprint])}" for fingerprint in sorted(accepted))
    listed = f"[\n{rows}\n  ]" if rows else "[]"
    return f'{{\n  "schema": {SCHEMA},\n  "findings": {listed}\n}}\n'
