"""Report formats: one file in `reports/` each, with a function `render(report) -> str`; nothing lists them."""

import importlib
import pkgutil
from collections.abc import Sequence

from apicache.errors import InputError, did_you_mean
from apicache_scenarios import reports
from apicache_scenarios.reporting.report import Report


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


def render(name: str, report: Report) -> str:
    """The report in a format, ending with a line feed. Raises InputError for an unknown one."""
    check(name)
    rendered: str = importlib.import_module(f"{reports.__name__}.{name}").render(report)
    return rendered
