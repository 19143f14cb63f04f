"""What `apicache scan` prints in place of a report: an explanation of a place, the comparison with grep."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from apicache_codemods.comparing import COMMAND, Comparison
from apicache_codemods.explaining import ExplainedCall
from apicache_codemods.report_words import counted, endpoint

LISTED = 10
_STYLES = {"call site": "green", "wrapper call": "cyan", "no call site": "yellow"}


def print_explanation(console: Console, calls: Sequence[ExplainedCall]) -> None:
    """Print what is known of each call, a fact a line."""
    for call in calls:
        title = Text.assemble(
            (f"{call.path}:{call.line}", "bold"), f"  {call.call}  ", (call.verdict, _STYLES[call.verdict])
        )
        _say(console, title)
        width = max((len(step.what) for step in call.steps), default=0)
        for step in call.steps:
            _say(console, Text.assemble((f"    {step.what:<{width}}  ", "dim"), step.said))


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print what the search finds and what it does not."""
    lines, false, missed = counted(comparison.hits, "line"), comparison.false, comparison.missed
    _say(console, Text.assemble(("$ " + COMMAND, "bold")))
    _say(console, Text(f"prints {lines}; scan finds {counted(comparison.sites, 'call site')}"))
    kinds = Counter(hit.kind for hit in false)
    said = ", ".join(f"{kind} {number:,}" for kind, number in sorted(kinds.items()))
    _say(console, Text(f"false hits: {len(false):,} of {lines} belong to no call site{f' ({said})' if said else ''}"))
    for hit in false[:LISTED]:
        _say(console, Text(f"    {hit.path}:{hit.line}: {hit.text.strip()}"))
    _print_more(console, len(false))
    _say(console, Text(f"misses: no line is of {len(missed):,} of {counted(comparison.sites, 'call site')}"))
    for site in missed[:LISTED]:
        _say(console, Text(f"    {site.path}:{site.line}: {site.call} ({endpoint(site)})"))
    _print_more(console, len(missed))


def _print_more(console: Console, number: int) -> None:
    if number > LISTED:
        _say(console, Text(f"    and {number - LISTED:,} more"))


def _say(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)
