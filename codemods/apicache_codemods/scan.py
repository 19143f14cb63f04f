"""scan: which calls of external APIs a project makes, and which of them are duplicates."""

from collections.abc import Sequence
from pathlib import Path

from apicache_codemods.analysis import Analysis, Progress, analyse
from apicache_codemods.groups import duplicate_groups, findings
from apicache_codemods.model import ScanReport, ScanSummary


def scan(paths: Sequence[Path], root: Path, on_progress: Progress | None = None) -> ScanReport:
    """Scan the Python files below `paths`; the report's paths are relative to `root`.

    `on_progress` is called with (files done, files in all). Raises InputError for a path that does not exist.
    """
    return report(analyse(paths, root, on_progress))


def report(analysis: Analysis) -> ScanReport:
    """The plain values of an analysis, as `scan --format json` prints them."""
    sites = tuple(resolved.site for resolved in analysis.sites)
    groups = duplicate_groups(sites)
    return ScanReport(
        call_sites=sites,
        wrapper_calls=analysis.wrapper_calls,
        duplicate_groups=groups,
        findings=findings(groups),
        skipped_files=analysis.skipped,
        summary=ScanSummary(
            files=analysis.files,
            lines=analysis.lines,
            call_sites=len(sites),
            duplicate_groups=len(groups),
            seconds=analysis.seconds,
        ),
    )
