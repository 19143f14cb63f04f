"""Formats of a migration's report: one file in `migration_reports/` each, with `render(migration, context) -> str`."""

import importlib
import pkgutil
from collections.abc import Sequence

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache_codemods import migration_reports
from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.rewriting.suite import SuiteRun


class MigrationContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says beside the plan: whether it was written, and how the tests ran."""

    version: str
    applied: bool
    runs: tuple[SuiteRun, ...] = ()


def known() -> tuple[str, ...]:
    """The names of the formats, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(migration_reports.__path__)))


def check(name: str, others: Sequence[str] = ()) -> None:
    """Raise InputError for a format that is neither known nor among `others`."""
    formats = (*others, *known())
    if name not in formats:
        raise InputError(
            f"unknown format {name!r}; {did_you_mean(name, formats)} Give --format with one of: {', '.join(formats)}"
        )


def render(name: str, migration: MigrationPlan, context: MigrationContext) -> str:
    """The report in a format, ending with a line feed. Raises InputError for an unknown one."""
    check(name)
    rendered: str = importlib.import_module(f"{migration_reports.__name__}.{name}").render(migration, context)
    return rendered
