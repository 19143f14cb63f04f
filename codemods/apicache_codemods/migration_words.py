"""What every report of a migration says in the same words."""

from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.report_words import counted
from apicache_codemods.rewriting.suite import SuiteRun
from apicache_codemods.rewriting.verdicts import SiteDecision

_PHASES = {
    "before": "before the change",
    "bypassed": "after it, the cache off",
    "cold cache": "after it, with an empty cache",
}


def closing(migration: MigrationPlan, *, applied: bool) -> str:
    """What the migration comes to, in one sentence."""
    sites = counted(len(migration.sites), "call site")
    if not migration.sites:
        return "no call sites found; apicache scan lists the libraries it knows"
    if not migration.changes:
        return f"nothing to change at {sites}"
    done = f"{len(migration.rewritten):,} of {sites} in {counted(len(migration.changes), 'file')}"
    return f"rewrote {done}" if applied else f"would rewrite {done}; apply with --write"


def decided(site: SiteDecision) -> str:
    """What became of a site, in two words."""
    return f"{site.decision} ({site.style or site.safety})"


def place(site: SiteDecision) -> str:
    """Where a site is, as editors open it."""
    return f"{site.path}:{site.line}"


def run_words(run: SuiteRun) -> str:
    """One run of the tests, in one line."""
    sites = f", {counted(run.sites, 'rewritten call')}" if run.phase != "before" else ""
    return (
        f"tests {_PHASES[run.phase]}{sites}: {'passed' if run.passed else 'failed'} ({run.ending}, {run.seconds:.1f} s)"
    )
