"""Formats of a migration's report: one file in `migration_reports/` each, with `render(migration, context) -> str`."""

import msgspec

from apicache_codemods import migration_reports
from apicache_codemods.formats import Formats
from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.rewriting.suite import SuiteRun


class MigrationContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says beside the plan: whether it was written, and how the tests ran."""

    version: str
    applied: bool
    runs: tuple[SuiteRun, ...] = ()


_formats = Formats(migration_reports)
known = _formats.known
check = _formats.check


def render(name: str, migration: MigrationPlan, context: MigrationContext) -> str:
    """The report in a format, ending with a line feed. Raises InputError for an unknown one."""
    return _formats.render(name, migration, context)
