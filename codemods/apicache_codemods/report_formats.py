"""Report formats: one file in `reports/` each, with a function `render(report, context) -> str`; nothing lists them."""

from collections.abc import Mapping

import msgspec

from apicache_codemods import reports
from apicache_codemods.excerpts import Sources
from apicache_codemods.formats import Formats
from apicache_codemods.model import ScanReport
from apicache_codemods.rule import Rule


class ReportContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a report needs beside the scan's result.

    `version` is apicache's, `paths` are as they were given, `rules` those that ran, by their codes, `baseline` the file
    that findings were held against, None without one.
    """

    version: str
    paths: tuple[str, ...]
    sources: Sources
    rules: Mapping[str, Rule] = {}
    baseline: str | None = None


_formats = Formats(reports)
known = _formats.known
check = _formats.check


def render(name: str, report: ScanReport, context: ReportContext) -> str:
    """The report in a format, ending with a line feed. Raises InputError for an unknown one."""
    return _formats.render(name, report, context)
