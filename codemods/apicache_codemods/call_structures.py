"""The structure of a call whose endpoint is not known: what two such calls must share to be worth comparing."""

import ast
from collections.abc import Hashable, Mapping, Sequence

from apicache_codemods.analysis import ResolvedSite
from apicache_codemods.endpoints import means_something
from apicache_codemods.model import CallSite

_TELLING = frozenset({"params", "json", "data", "content", "files", "body", "query"})
"""Keywords whose names say something about the request; a timeout says nothing."""
_FEWEST_NAMES = 2


def structures(sites: Sequence[ResolvedSite]) -> Mapping[int, Hashable]:
    """By index, the structure of each site whose endpoint is not known and whose structure is no everyday one."""
    found = {}
    for index, resolved in enumerate(sites):
        site = resolved.site
        if site.kind != "db" and (site.endpoint is None or not means_something(site.endpoint)):
            structure = _structure(site, resolved.node)
            if structure is not None:
                found[index] = structure
    return found


def _structure(site: CallSite, call: ast.Call) -> Hashable | None:
    """Library, method, called expression, keywords, the names sent, and how the URL is written.

    None for what is too common to tell: a plain name as URL with nothing, or little that is known, sent along.
    """
    if any(keyword.arg is None for keyword in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    keywords = sorted(keyword.arg for keyword in call.keywords if keyword.arg is not None)
    names = [name for name in (*site.query, *site.payload) if name != "*"]
    written = tuple(ast.unparse(argument) for argument in call.args)
    speaking = any("." in each or "(" in each for each in written)
    telling = len(names) >= _FEWEST_NAMES and _TELLING.intersection(keywords)
    if not telling and not (speaking and names):
        return None
    return site.library, site.method, site.call, tuple(keywords), site.query, site.payload, written
