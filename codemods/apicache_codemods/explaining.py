"""How scan came to what it says about a place: for a call site each fact and its origin, for any other call why not."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from apicache.errors import InputError
from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.callers import Callers
from apicache_codemods.calls import Calls, Candidate
from apicache_codemods.endpoints import means_something
from apicache_codemods.matching import Match, Matcher
from apicache_codemods.model import CallSite
from apicache_codemods.project import Module
from apicache_codemods.resolver import Resolver
from apicache_codemods.unfollowed import WhyNot, shown, steps
from apicache_codemods.values import Text, Unknown

Verdict = Literal["call site", "wrapper call", "no call site"]
_NAMED = 5
_HOLDERS = {
    "library": "a function of the module itself, no client object",
    "global": "a name at the top of the file",
    "imported": "a name imported from another file",
    "local": "a name of the function",
    "closure": "a name of a function around",
    "class": "a name of the class body",
    "parameter": "a parameter",
    "with": "the target of a with statement",
    "attribute": "an attribute",
    "expression": "an expression",
}


class Step(msgspec.Struct, frozen=True):
    """One fact of an explanation: `what` it is about, `said` in words."""

    what: str
    said: str


class ExplainedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call at the place that was asked about."""

    path: str
    line: int
    column: int
    call: str
    verdict: Verdict
    steps: tuple[Step, ...]


def explain(place: str, analysis: Analysis, root: Path) -> tuple[ExplainedCall, ...]:
    """The calls that begin at `place` (`path:line`), or else stand around it, explained; call sites first.

    Raises InputError for a place that is none: no such file among those that were read, or no call on that line.
    """
    path, line = _parsed(place, root)
    module = _module(analysis, path)
    nodes = _calls_at(module, line)
    if not nodes:
        raise InputError(_no_call(analysis, path, line))
    explainer = _Explainer(analysis, module)
    explained = [explainer.call(node) for node in nodes]
    return tuple(sorted(explained, key=lambda each: each.verdict != "call site"))


def _parsed(place: str, root: Path) -> tuple[str, int]:
    path, _, line = place.rpartition(":")
    if not path or not line.isdecimal():
        raise InputError(f"--explain takes path:line, such as app.py:12; {place!r} was given")
    absolute = root / path
    try:
        return absolute.resolve().relative_to(root.resolve()).as_posix(), int(line)
    except ValueError:
        return Path(path).as_posix(), int(line)


def _module(analysis: Analysis, path: str) -> Module:
    if path in analysis.modules:
        return analysis.modules[path]
    for skipped in analysis.skipped:
        if skipped.path == path:
            raise InputError(f"{path} was not read: {skipped.reason}")
    project = analysis.resolver.project
    location = next((found for found, source in project.sources.items() if source.path == path), None)
    module = project.module(location) if location is not None else None
    if module is None:
        raise InputError(
            f"{path} is not among the {analysis.files:,} files that were read; name it, or its folder, too"
        )
    return module


def _calls_at(module: Module, line: int) -> list[ast.Call]:
    """The calls that begin on a line; without any, the innermost one around it."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    beginning = [node for node in calls if line in {node.lineno, node.func.end_lineno}]
    if beginning:
        return sorted(beginning, key=lambda node: (node.col_offset, -(node.end_col_offset or 0)))
    around = [node for node in calls if node.lineno <= line <= (node.end_lineno or node.lineno)]
    return sorted(around, key=lambda node: node.lineno)[-1:]


def _no_call(analysis: Analysis, path: str, line: int) -> str:
    lines = sorted({resolved.site.line for resolved in analysis.sites if resolved.site.path == path})
    named = ", ".join(map(str, lines[: 2 * _NAMED])) + (", ..." if len(lines) > 2 * _NAMED else "")
    known = f"call sites of this file are on lines {named}" if lines else "this file has no call site"
    return f"no call stands on {path}:{line}; {known}"


class _Explainer:
    def __init__(self, analysis: Analysis, module: Module) -> None:
        self._analysis = analysis
        self._module = module
        texts = analysis.resolver
        modules = {each.location: each for each in analysis.modules.values()}
        calls = {location: Calls(each) for location, each in modules.items()}
        callers = Callers(calls, modules, lambda _location, _name: modules)
        clients = Resolver(texts.project, texts.catalogue, texts.project.sources, callers)
        self._matcher = Matcher(clients, texts)
        self._why_not = WhyNot(clients)
        self._sites = {resolved.node: resolved for resolved in analysis.sites if resolved.site.path == module.path}

    def call(self, node: ast.Call) -> ExplainedCall:
        resolved = self._sites.get(node)
        if resolved is not None:
            return self._explained(node, "call site", self._of_site(resolved))
        wrapper = [
            each
            for each in self._analysis.wrapper_calls
            if each.path == self._module.path and each.line == node.lineno and _last(each.via) == _written(node)
        ]
        if wrapper:
            said = [("through", f"{wrapper[0].via}, which makes the request")]
            said += [("endpoint", wrapper[0].endpoint or "not known"), ("group", wrapper[0].group or "none")]
            return self._explained(node, "wrapper call", iter(said))
        return self._explained(node, "no call site", self._of_other(node))

    def _explained(self, node: ast.Call, verdict: Verdict, said: Iterator[tuple[str, str]]) -> ExplainedCall:
        return ExplainedCall(
            path=self._module.path,
            line=node.lineno,
            column=self._module.column(node.lineno, node.col_offset),
            call=shown(node.func),
            verdict=verdict,
            steps=tuple(Step(what, words) for what, words in said),
        )

    def _of_other(self, node: ast.Call) -> Iterator[tuple[str, str]]:
        name = _written(node)
        candidates = Calls(self._module).named({name}, {name}) if name else []
        frame = next((each.frame for each in candidates if each.call is node), None)
        if frame is None:
            yield "why", f"`{shown(node.func)}` is called by no name, which is not followed"
            return
        yield from steps(self._why_not.reasons(node, frame))
        if self._module.path not in self._analysis.modules:
            yield "file", "nothing in it leads to a client library, so it was not searched"

    def _of_site(self, resolved: ResolvedSite) -> Iterator[tuple[str, str]]:
        site = resolved.site
        match = self._match(resolved)
        documentation = match.called.detector.documentation if match is not None else ""
        yield "library", f"{site.library} ({documentation})" if documentation else site.library
        yield "client", self._client(resolved)
        if site.wrapped_by is not None:
            yield "wrapped by", site.wrapped_by
        if match is not None and match.called.base is not None:
            yield "base URL", self._pieces(match.called.base)
        yield "method", site.method or "not known"
        if match is not None and site.sql is None:
            yield "URL", self._pieces(match.url)
        if site.sql is not None:
            yield "SQL", site.sql
        yield "endpoint", " or ".join((site.endpoint or "not known", *site.alternatives))
        yield "group", self._group(site)
        if site.operation is not None:
            yield "operation", site.operation
        if site.cached:
            yield "cached", "apicache answers it already"

    def _match(self, resolved: ResolvedSite) -> Match | None:
        candidate = Candidate(resolved.node, resolved.frame, resolved.site.is_async)
        return self._matcher.match(candidate)

    def _client(self, resolved: ResolvedSite) -> str:
        client = resolved.client
        if client.holder == "library":
            return _HOLDERS["library"]
        origin = resolved.site.client_origin
        made = f", made at {origin}" if origin is not None else ", as an annotation or a base class says"
        return f"`{shown(client.expression)}`, {_HOLDERS[client.holder]}: {client.class_name}{made}"

    def _pieces(self, text: Text) -> str:
        """The literal and the unknown pieces of a text, each with what it is."""
        said = [repr(part) if isinstance(part, str) else _hole(part) for part in text.parts]
        return " + ".join(said) or "empty"

    def _group(self, site: CallSite) -> str:
        if site.group is not None:
            others = [
                f"{each.site.path}:{each.site.line}"
                for each in self._analysis.sites
                if each.site.group == site.group and each.site != site
            ]
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            return f"{site.group}, with {', '.join(others[:_NAMED])}{more}"
        if site.endpoint is None:
            return "none: the endpoint is not known"
        if not means_something(site.endpoint):
            return "none: too little of the endpoint is known to call two of them duplicates"
        return "none: no other call site of this endpoint"


def _hole(part: Unknown) -> str:
    if part.parameter is None:
        return "{not known}"
    function = getattr(part.parameter.scope.node, "name", "a lambda")
    return f"{{parameter {getattr(part.parameter.source, 'name', '')} of {function}}}"


def _written(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _last(qualname: str) -> str:
    return qualname.rpartition(".")[2]
