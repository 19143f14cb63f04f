"""One HTML page that needs nothing else: no script, no request; light and dark, from a phone's width up."""

from collections.abc import Iterable, Iterator
from html import escape

from apicache_codemods.migrate import MigrationPlan
from apicache_codemods.migration_formats import MigrationContext
from apicache_codemods.migration_words import closing, decided, place, run_words
from apicache_codemods.rewriting.patch import patch
from apicache_codemods.rewriting.site_view import SiteView, views
from apicache_codemods.rewriting.verdicts import SiteDecision

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f4f5f7; --text: #1b1f24; --faint: #57606a;
  --line: #d4d8de; --accent: #0b57d0; --gone: #b3261e; --new: #1a6b2f; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --raised: #1e2329; --text: #e6e9ec; --faint: #a3acb6;
  --line: #373e47; --accent: #8ab4f8; --gone: #ff8a80; --new: #7fd18f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; } p { margin: .25rem 0; } .faint { color: var(--faint); }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre { margin: .5rem 0; padding: .75rem; overflow-x: auto; background: var(--ground); border: 1px solid var(--line);
  border-radius: .375rem; } pre span { display: block; min-height: 1lh; }
.gone { color: var(--gone); } .new { color: var(--new); } .at { color: var(--faint); }
article { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem;
  margin: .75rem 0; }
details { margin-top: .5rem; } summary { cursor: pointer; color: var(--accent); }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th { text-align: left; color: var(--faint); font-weight: 600; } th, td { padding: .375rem .75rem .375rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; }
@media (max-width: 40rem) { thead { display: none; } tr, td { display: block; border: 0; padding: .125rem 0; }
  td::before { content: attr(data-label) ": "; color: var(--faint); } }
@media print { body { max-width: none; } article { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CLASSES = {"+": "new", "-": "gone", "@": "at"}


def render(migration: MigrationPlan, context: MigrationContext) -> str:
    """The report as a page."""
    title = closing(migration, applied=context.applied)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            f"<title>apicache migrate: {escape(title)}</title>",
            f"<style>{_STYLE}</style></head>",
            f"<body><header><h1>apicache migrate</h1><p>{escape(title)}</p></header>",
            "<main>",
            *_summary(migration),
            *_verification(context),
            *_rewritten(migration),
            *_left(migration),
            *_skipped(migration),
            *_files(migration),
            "</main>",
            f'<footer><p class="faint">apicache {escape(context.version)}</p></footer>',
            "</body>",
            "</html>\n",
        ]
    )


def _summary(migration: MigrationPlan) -> Iterator[str]:
    rows = [
        (escape(f"{row.decision} ({row.style or row.safety})"), row.code, escape(row.meaning), f"{row.sites:,}")
        for row in migration.summary()
    ]
    if rows:
        yield from _table(("decision", "code", "meaning", "sites"), rows)


def _verification(context: MigrationContext) -> Iterator[str]:
    if context.runs:
        yield "<h2>Verification</h2><ul>"
        yield from (f"<li>{escape(run_words(run))}</li>" for run in context.runs)
        yield "</ul>"


def _rewritten(migration: MigrationPlan) -> Iterator[str]:
    if migration.rewritten:
        yield "<h2>Rewritten</h2>"
    seen = views(migration.rewritten, migration.changes)
    for site in migration.rewritten:
        yield "<article>"
        yield f"<h3><code>{escape(place(site))}</code></h3>{_facts(site)}"
        view = seen.get(site, SiteView(()))
        yield _diff(view.lines)
        if view.definition:
            yield f"<details><summary>the operation, in {escape(view.defined_in)}</summary>"
            yield f"<pre tabindex=0>{escape(chr(10).join(view.definition))}</pre></details>"
        yield "</article>"


def _facts(site: SiteDecision) -> str:
    known = f"<code>{escape(site.endpoint)}</code> " if site.endpoint else ""
    return f"<p>{known}{escape(decided(site))}</p><p class=faint>{escape(f'{site.code} {site.reason}')}</p>"


def _left(migration: MigrationPlan) -> Iterator[str]:
    sites = [site for site in migration.sites if site.decision == "skipped"]
    if sites:
        yield f"<h2>Left as they are ({len(sites):,})</h2>"
        rows = (
            (f"<code>{escape(place(site))}</code>", escape(site.safety), site.code, escape(site.reason))
            for site in sites
        )
        yield from _table(("where", "safety", "code", "reason"), rows)


def _skipped(migration: MigrationPlan) -> Iterator[str]:
    files = [file for file in migration.skipped_files if file.reason != "empty"]
    if files:
        yield "<h2>Files not read</h2>"
        yield from _table(
            ("file", "reason"), ((f"<code>{escape(file.path)}</code>", escape(file.reason)) for file in files)
        )


def _files(migration: MigrationPlan) -> Iterator[str]:
    if migration.changes:
        yield "<h2>Files</h2>"
    for change in migration.changes:
        lines = patch([change]).decode(errors="replace").split("\n")[2:-1]
        yield f"<details><summary>{escape(change.path)} ({change.kind})</summary>{_diff(lines)}</details>"


def _diff(lines: Iterable[str]) -> str:
    marked = (f'<span class="{_CLASSES.get(line[:1], "")}">{escape(line)}</span>' for line in lines)
    return f"<pre tabindex=0>{''.join(marked)}</pre>"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table; each cell carries its heading for narrow screens, where rows become blocks."""
    yield f"<table><thead><tr>{''.join(f'<th>{escape(heading)}</th>' for heading in headings)}</tr></thead><tbody>"
    for row in rows:
        cells = zip(headings, row, strict=True)
        yield f"<tr>{''.join(f'<td data-label={heading}>{cell}</td>' for heading, cell in cells)}</tr>"
    yield "</tbody></table>"
