"""Report formats: one file in `reports/` each, with a function `render(report, context) -> str`; nothing lists them."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache_codemods import reports
from apicache_codemods.excerpts import Sources
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


def known() -> tuple[str, ...]:
    """The names of the formats, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(reports.__path__)))


def check(name: str, others: Sequence[str] = ()) -> None:
    """Raise InputError for a format that is neither known nor among `others`."""
    formats = (*others, *known())
    if name not in formats:
        raise InputError(
            f"unknown format {name!r}; {did_you_mean(name, formats)} Give --format with one of: {', '.join(formats)}"
        )


def render(name: str, report: ScanReport, context: ReportContext) -> str:
    """The report in a format, ending with a line feed. Raises InputError for an unknown one."""
    check(name)
    rendered: str = importlib.import_module(f"{reports.__name__}.{name}").render(report, context)
    return rendered
