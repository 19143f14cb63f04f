"""The plan as JSON: what `MigrationPlan.document` gives, with the runs of the tests under `verification`."""

import json

import msgspec

from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.migration_formats import MigrationContext


def render(migration: MigrationPlan, context: MigrationContext) -> str:
    """The report as one JSON document."""
    runs = [msgspec.to_builtins(run) for run in context.runs]
    document = {**migration.document(), "applied": context.applied, "verification": runs or None}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
