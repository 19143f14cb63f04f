"""Fingerprints of findings: the same when lines move, code is reformatted or a file is renamed."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable

from apicache_codemods.rule import Hit

_LENGTH = 16


def fingerprints(hits: Iterable[tuple[str, Hit]]) -> list[str]:
    """One for each hit with its rule's code, in order: 16 hex digits.

    Over the rule, the expression's text without its layout, the function's name, and how many like it came before, so
    that a second equal call is another finding.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for code, hit in hits:
        content = (code, _text(hit), hit.function or "")
        parts = (*content, str(seen[content]))
        seen[content] += 1
        found.append(hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:_LENGTH])
    return found


def _text(hit: Hit) -> str:
    try:
        return ast.unparse(hit.node)
    except RecursionError:  # an expression of some thousand terms
        return " ".join("\n".join(hit.module.lines[hit.node.lineno - 1 : hit.node.end_lineno]).split())
