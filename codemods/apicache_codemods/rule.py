"""What a rule is, how rules are found, and which of them a scan runs.

A rule is one file in `rules/` that assigns `RULE`; the file's name is its code in lower case. Nothing else lists it.
"""

import ast
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import msgspec

from apicache.errors import InputError
from apicache_codemods import rules
from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.model import DuplicateGroup, Severity
from apicache_codemods.project import Module
from apicache_codemods.requests_made import Functions

Example: TypeAlias = str | Mapping[str, str]
"""A source text, or texts by file name. In one of `invalid`, `# here` ends each line that a finding has to begin on."""


class Documentation(msgspec.Struct, frozen=True):
    """What a reader needs: why it matters, code that has the finding, the same code without, and what to do."""

    why: str
    bad: str
    good: str
    fix: str


class Hit(msgspec.Struct, frozen=True):
    """A rule's result at an expression of a module; `function` is the qualified name of the function around it.

    `fix` is what to do next when it is not the rule's own sentence.
    """

    module: Module
    node: ast.expr
    function: str | None
    message: str
    fix: str | None = None


class Context:
    """What a rule may look at: everything that the scan resolved."""

    def __init__(self, analysis: Analysis, groups: Sequence[DuplicateGroup]) -> None:
        self.analysis = analysis
        self.groups = groups
        self.functions = Functions(analysis)

    @property
    def sites(self) -> Sequence[ResolvedSite]:
        """The call sites, in the order of paths and places."""
        return self.analysis.sites

    def module(self, site: ResolvedSite) -> Module:
        """The module that a call site stands in."""
        return self.analysis.modules[site.site.path]

    def at(self, site: ResolvedSite, message: str, fix: str | None = None) -> Hit:
        """A hit at a call site."""
        return Hit(self.module(site), site.node, site.site.function, message, fix)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule; its examples are checked by the suite, one test for all rules. `summary` says what it finds."""

    code: str
    name: str
    summary: str
    severity: Severity
    documentation: Documentation
    check: Callable[[Context], Iterable[Hit]]
    valid: tuple[Example, ...]
    invalid: tuple[Example, ...]


@cache
def load_rules() -> Mapping[str, Rule]:
    """Every rule by its code, in the order of codes."""
    names = sorted(module.name for module in pkgutil.iter_modules(rules.__path__))
    return {name.upper(): importlib.import_module(f"{rules.__name__}.{name}").RULE for name in names}


def selected(select: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """The rules that `select` names, by code or prefix, without those that `ignore` names; without `select`, all.

    Raises InputError for what names no rule.
    """
    chosen = _named(select) if select else set(load_rules())
    chosen -= _named(ignore)
    return tuple(rule for code, rule in load_rules().items() if code in chosen)


def _named(prefixes: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for prefix in prefixes:
        wanted = prefix.strip().upper()
        codes = {code for code in load_rules() if wanted and code.startswith(wanted)}
        if not codes:
            raise InputError(
                f"no rule is called {prefix!r}; known: {', '.join(load_rules())}, or the beginning of a code"
            )
        found |= codes
    return found
