"""Findings: what the selected rules say about a scan, in the order of places, without what comments ignore."""

from collections.abc import Sequence

import msgspec

from apicache_codemods.fingerprints import fingerprints
from apicache_codemods.model import Finding
from apicache_codemods.rule import Context, Hit, Rule
from apicache_codemods.suppressions import is_ignored


class Findings(msgspec.Struct, frozen=True):
    """What remains, and how many a comment ignores."""

    shown: tuple[Finding, ...]
    suppressed: int


def findings(rules: Sequence[Rule], context: Context) -> Findings:
    """Run the rules."""
    hits = [(rule, hit) for rule in rules for hit in rule.check(context)]
    hits.sort(key=lambda each: _place(*each))
    marks = fingerprints((rule.code, hit) for rule, hit in hits)
    shown = [
        _finding(rule, hit, mark)
        for (rule, hit), mark in zip(hits, marks, strict=True)
        if not is_ignored(rule.code, hit.module.lines, hit.node.lineno, hit.node.end_lineno or hit.node.lineno)
    ]
    return Findings(tuple(shown), len(hits) - len(shown))


def _place(rule: Rule, hit: Hit) -> tuple[str, int, int, str]:
    return hit.module.path, hit.node.lineno, hit.node.col_offset, rule.code


def _finding(rule: Rule, hit: Hit, mark: str) -> Finding:
    node = hit.node
    end_line = node.end_lineno or node.lineno
    return Finding(
        rule=rule.code,
        path=hit.module.path,
        line=node.lineno,
        message=hit.message,
        severity=rule.severity,
        column=hit.module.column(node.lineno, node.col_offset),
        end_line=end_line,
        end_column=hit.module.column(end_line, node.end_col_offset or 0),
        fix=hit.fix or rule.documentation.fix,
        fingerprint=mark,
    )
