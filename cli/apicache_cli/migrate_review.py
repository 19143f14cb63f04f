"""`apicache migrate --interactive`: each rewritten call is shown and agreed to, or not."""

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from apicache.errors import InputError
from apicache_cli import output
from apicache_cli.migrate_text import print_site
from apicache_codemods.migrate import Preparation
from apicache_codemods.rewriting.site_view import SiteView, views
from apicache_codemods.rewriting.verdicts import Place, SiteDecision, Verdict

_LEFT_OUT = Verdict("M201", "safe", "left out on request")
_HELP = "y: rewrite it; n: leave it; a: rewrite it and all that follow; q: leave it and all that follow, and end"
_ANSWERS = {"y": "y", "yes": "y", "n": "n", "no": "n", "a": "a", "all": "a", "q": "q", "quit": "q"}


def review(preparation: Preparation) -> Mapping[Place, Verdict]:
    """The sites that the user leaves out, having been asked at each.

    Where leaving one out changes what becomes of another (an operation needs two calls), that one is shown again.
    Raises InputError when the answers end before the sites do.
    """
    console = output.stderr()
    left_out: dict[Place, Verdict] = {}
    agreed: dict[Place, SiteView] = {}
    while True:
        migration = preparation.plan(left_out)
        seen = views(migration.rewritten, migration.changes)
        waiting = [site for site in migration.rewritten if agreed.get(site.place) != seen.get(site)]
        if not waiting:
            return left_out
        if not _ask_each(console, waiting, seen, agreed, left_out):
            return _ended(preparation, agreed, left_out)
        if not left_out:
            return left_out


def _ask_each(
    console: Console,
    waiting: Sequence[SiteDecision],
    seen: Mapping[SiteDecision, SiteView],
    agreed: dict[Place, SiteView],
    left_out: dict[Place, Verdict],
) -> bool:
    """Ask until one is left out or all are agreed to; False when the user has had enough."""
    for number, site in enumerate(waiting, start=1):
        again = " again: your answers changed it" if site.place in agreed else ""
        console.print(Text(f"\n[{number} of {len(waiting)}]{again}", "bold"), soft_wrap=True)
        print_site(console, site, seen.get(site))
        answer = _ask(console)
        if answer == "q":
            return False
        if answer == "n":
            left_out[site.place] = _LEFT_OUT
            return True
        for each in waiting[number - 1 :] if answer == "a" else [site]:
            agreed[each.place] = seen[each]
        if answer == "a":
            return True
    return True


def _ended(
    preparation: Preparation, agreed: Mapping[Place, SiteView], left_out: dict[Place, Verdict]
) -> Mapping[Place, Verdict]:
    """Leave out whatever was not agreed to in the form that it has then."""
    while True:
        migration = preparation.plan(left_out)
        seen = views(migration.rewritten, migration.changes)
        others = [site.place for site in migration.rewritten if agreed.get(site.place) != seen.get(site)]
        if not others:
            return left_out
        left_out |= dict.fromkeys(others, _LEFT_OUT)


def _ask(console: Console) -> str:
    while True:
        console.print(Text("rewrite this call? [y]es, [n]o, [a]ll, [q]uit: ", "bold"), end="", soft_wrap=True)
        line = sys.stdin.readline()
        if not line:
            raise InputError("the answers ended before the last call was asked about; nothing was written")
        answer = _ANSWERS.get(line.strip().lower())
        if answer is not None:
            return answer
        console.print(Text(_HELP), soft_wrap=True)
