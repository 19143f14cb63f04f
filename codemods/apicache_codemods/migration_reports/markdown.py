"""Markdown for a pull request: what was rewritten and why, and for each call left alone the reason.

GitHub refuses texts of more than 65,536 characters: lists end early, and a diff too long is left out.
"""

import html
import re
from collections.abc import Iterator

from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.migration_formats import MigrationContext
from apicache_codemods.migration_words import closing, decided, place, run_words
from apicache_codemods.rewriting.verdicts import SiteDecision

_MARK = "<!-- apicache migrate -->"
_SITES = 60
_LONGEST_PATCH = 30_000
_SPECIAL = re.compile(r"([\\`*_\[\]|~<>&])")
_TICKS = re.compile("`+")


def render(migration: MigrationPlan, context: MigrationContext) -> str:
    """The report as GitHub's flavour of Markdown."""
    blocks = [
        _MARK,
        "## apicache migrate",
        f"**{_escaped(closing(migration, applied=context.applied))}**",
        *_summary(migration),
        *_verification(context),
        *_sites("Rewritten", list(migration.rewritten)),
        *_sites("Left as they are", [site for site in migration.sites if site.decision == "skipped"]),
        *_skipped(migration),
        *_patch(migration),
    ]
    return "\n\n".join(blocks) + "\n"


def _summary(migration: MigrationPlan) -> Iterator[str]:
    rows = [
        f"| {row.decision} ({row.style or row.safety}) | {row.code} | {_escaped(row.meaning)} | {row.sites:,} |"
        for row in migration.summary()
    ]
    if rows:
        yield "\n".join(["| decision | code | meaning | sites |", "| --- | --- | --- | ---: |", *rows])


def _verification(context: MigrationContext) -> Iterator[str]:
    if context.runs:
        yield "### Verification"
        yield "\n".join(f"- {_escaped(run_words(run))}" for run in context.runs)


def _sites(title: str, sites: list[SiteDecision]) -> Iterator[str]:
    if not sites:
        return
    lines = []
    for site in sites[:_SITES]:
        known = f" {_code(site.endpoint)}" if site.endpoint else ""
        said = f"{site.code} {decided(site)}: {site.reason}"
        lines.append(f"- {_code(place(site))}{known}  \n  {_escaped(said)}")
    if len(sites) > _SITES:
        lines.append(f"- and {len(sites) - _SITES:,} more")
    yield _folded(f"{title} ({len(sites):,})", "\n".join(lines))


def _skipped(migration: MigrationPlan) -> Iterator[str]:
    files = [file for file in migration.skipped_files if file.reason != "empty"]
    if files:
        lines = [f"- {_code(file.path)} {_escaped(file.reason)}" for file in files[:_SITES]]
        lines += [f"- and {len(files) - _SITES:,} more"] if len(files) > _SITES else []
        yield _folded(f"Files not read ({len(files):,})", "\n".join(lines))


def _patch(migration: MigrationPlan) -> Iterator[str]:
    text = migration.patch().decode(errors="replace")
    if not text:
        return
    if len(text) > _LONGEST_PATCH:
        yield "The diff is too long for a comment: `apicache migrate` prints it."
        return
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield _folded("Diff", f"{fence}diff\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}")


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>\n\n{content}\n\n</details>"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A code span that holds any text: https://github.github.com/gfm/#code-spans."""
    flat = " ".join(text.split())
    longest = max((len(ticks) for ticks in _TICKS.findall(flat)), default=0)
    fence, padding = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{padding}{flat}{padding}{fence}"
