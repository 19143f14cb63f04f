"""scan: which calls of external APIs a project makes, which of them are duplicates, and what the rules say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from apicache_codemods.analysis import Analysis, Progress, analyse
from apicache_codemods.call_structures import structures
from apicache_codemods.declared import Declared
from apicache_codemods.findings import findings
from apicache_codemods.groups import duplicate_groups
from apicache_codemods.model import Adoption, CallSite, ScanReport, ScanSummary
from apicache_codemods.near_duplicates import near_duplicates
from apicache_codemods.rule import Context, selected

FailOn = Literal["any", "new", "never"]


class ScanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan is asked for beyond paths; `configuration.scan_options(root)` reads it from the project's files.

    `select` and `ignore` are rule codes or prefixes of codes (`AC001`, `AC`, `AC00`); an empty `select` means every
    rule, `ignore` wins. `exclude` are globs over absolute paths and over those relative to the root. `baseline` and
    `fail_on` are for the caller: scan neither reads the baseline file nor decides on an exit code. `declared` are the
    user's own clients and wrappers.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    baseline: Path | None = None
    fail_on: FailOn = "never"
    declared: Declared = Declared()


_DEFAULTS = ScanOptions()


def scan(
    paths: Sequence[Path], root: Path, options: ScanOptions = _DEFAULTS, on_progress: Progress | None = None
) -> ScanReport:
    """Scan the Python files below `paths`; the report's paths are relative to `root`.

    `on_progress` is called with (files done, files in all). Raises InputError for a path that does not exist and for a
    rule code that nobody knows.
    """
    selected(options.select, options.ignore)
    return report(analyse(paths, root, on_progress, exclude=options.exclude, declared=options.declared), options)


def report(analysis: Analysis, options: ScanOptions = _DEFAULTS) -> ScanReport:
    """The plain values of an analysis, as `scan --format json` prints them."""
    sites = tuple(resolved.site for resolved in analysis.sites)
    groups = duplicate_groups(sites)
    found = findings(selected(options.select, options.ignore), Context(analysis, groups))
    return ScanReport(
        call_sites=sites,
        wrapper_calls=analysis.wrapper_calls,
        duplicate_groups=groups,
        findings=found.shown,
        skipped_files=analysis.skipped,
        summary=ScanSummary(
            files=analysis.files,
            lines=analysis.lines,
            call_sites=len(sites),
            duplicate_groups=len(groups),
            seconds=analysis.seconds,
            suppressed=found.suppressed,
        ),
        near_duplicates=near_duplicates(sites, structures(analysis.sites)),
        adoption=_adoption(sites),
    )


def _adoption(sites: Sequence[CallSite]) -> Adoption:
    cacheable = [site for site in sites if site.cacheable or site.cached]
    return Adoption(cacheable=len(cacheable), cached=sum(site.cached for site in cacheable))
