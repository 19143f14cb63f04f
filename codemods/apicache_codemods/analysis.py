"""The analysis under `scan`: which calls are call sites, with the syntax that proves it.

`scan` turns an `Analysis` into plain values; `migrate` starts from the `Analysis` itself:

    analysis = analyse([Path("src")], root=Path.cwd())
    for resolved in analysis.sites:                  # ordered by path, line, column
        resolved.site                                # the CallSite as reported
        resolved.node                                # its ast.Call; await, if any, is around it
        resolved.frame.scope                         # the scope it stands in: .kind, .qualname, .function, .bindings
        resolved.client                              # ClientRef: holder, expression, constructed, binding
        resolved.payload                             # where the detector says the request's body stands: Argument cards
        module = analysis.modules[resolved.site.path]  # Module: .tree, .source.text, .scope, .lines, .segment(node)
    analysis.text(expression, frame)                 # what a text is worth: constants, also of other modules, followed

Names at a module's top level are `module.scope.bindings` (name -> list of Binding; `binding.source` says how: Imported,
Assigned, Defined, ...). `scopes.lookup(name, frame, position)` gives what a name means at a place. Line and column of
`ast` nodes count UTF-8 bytes; those of a CallSite count characters.
"""

import ast
import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from apicache_codemods.detector import Argument, Catalogue, load_detectors
from apicache_codemods.endpoints import endpoint_of, method_of
from apicache_codemods.files import EMPTY, SourceFile, find_files, read_file
from apicache_codemods.functions import decorators
from apicache_codemods.groups import Grouping, grouping
from apicache_codemods.holders import ClientRef, client_ref
from apicache_codemods.llm_endpoints import llm_operation
from apicache_codemods.matching import Match
from apicache_codemods.model import CallSite, Kind, SkippedFile, WrapperCall
from apicache_codemods.project import Module, Project
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.survey import Found, Survey
from apicache_codemods.values import Text

_CACHING = frozenset({"operation", "cached"})
"""What apicache's decorators are called."""

Progress = Callable[[int, int], None]
"""Called with how many files are done, and of how many."""


class ResolvedSite(msgspec.Struct, frozen=True):
    """A call site with its syntax: the call, where it stands, its client."""

    site: CallSite
    node: ast.Call
    frame: Frame
    client: ClientRef
    payload: tuple[Argument, ...]


class Analysis(msgspec.Struct, frozen=True):
    """What one scan resolved. `modules` are those that were parsed, by the path that reports name."""

    modules: Mapping[str, Module]
    sites: tuple[ResolvedSite, ...]
    wrapper_calls: tuple[WrapperCall, ...]
    skipped: tuple[SkippedFile, ...]
    files: int
    lines: int
    seconds: float
    resolver: Resolver

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth where it stands: literal pieces and holes."""
        return self.resolver.text(expression, frame)


def analyse(paths: Sequence[Path], root: Path, on_progress: Progress | None = None) -> Analysis:
    """Find and resolve every call site in the Python files below `paths`; report them relative to `root`.

    Nothing is imported or run. Files that cannot be read or parsed are in `skipped` and never end the analysis.
    Raises InputError for a path that does not exist.
    """
    started = time.perf_counter()
    with _no_collection():
        listing = find_files(paths, root)
        read = [read_file(absolute, path) for absolute, path in listing.files.items()]
        sources = [each for each in read if isinstance(each, SourceFile)]
        catalogue = Catalogue(load_detectors())
        project = Project(sources, catalogue.by_library)
        survey = Survey(project, catalogue)
        settled = _Settled(len(sources), on_progress)
        survey.run(settled)
        failed = survey.check_others(settled)
        skipped = {*listing.skipped, *(each for each in read if isinstance(each, SkippedFile))}
        skipped |= {*project.failed.values(), *failed}
        sites, wrapper_calls = _reported(survey)
    return Analysis(
        modules={module.path: module for module in survey.modules.values()},
        sites=sites,
        wrapper_calls=wrapper_calls,
        skipped=tuple(sorted(skipped, key=lambda each: (each.path, each.reason))),
        files=len(sources) + sum(isinstance(each, SkippedFile) and each.reason == EMPTY for each in read),
        lines=sum(source.lines for source in sources),
        seconds=time.perf_counter() - started,
        resolver=survey.texts,
    )


class _Settled:
    """Counts the files that are done."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._done = 0
        self._total = total
        self._on_progress = on_progress

    def __call__(self) -> None:
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: searching syntax trees for cycles costs a fifth."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            if not gc.get_freeze_count():
                # To the oldest generation, unsearched: else the next allocation would search all that was made since.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _reported(survey: Survey) -> tuple[tuple[ResolvedSite, ...], tuple[WrapperCall, ...]]:
    """The survey's findings as values, in the order of paths and places, with what is known endpoint by endpoint."""
    found = sorted(survey.found, key=lambda each: _place(each.module, each.call))
    facts = [_facts(each.match) for each in found]
    shared = grouping((fact.endpoint, fact.kind) for fact in facts if fact.endpoint is not None)
    sites = tuple(_site(each, fact, shared, survey.clients) for each, fact in zip(found, facts, strict=True))
    forwarded = sorted(survey.forwarded, key=lambda each: _place(each.module, each.call))
    wrapper_calls = tuple(
        WrapperCall(
            path=each.module.path,
            line=each.call.lineno,
            endpoint=each.endpoint,
            via=each.function.qualname,
            group=shared.groups.get(each.endpoint) if each.endpoint is not None else None,
        )
        for each in forwarded
    )
    return sites, wrapper_calls


def _place(module: Module, call: ast.Call) -> tuple[str, int, int, int]:
    return module.path, call.lineno, call.col_offset, -(call.end_lineno or 0)


class _Facts(msgspec.Struct, frozen=True):
    endpoint: str | None
    kind: Kind


def _facts(match: Match) -> _Facts:
    endpoint = endpoint_of(match.method, match.url)
    known = endpoint is not None and llm_operation(endpoint) is not None
    return _Facts(endpoint, "llm" if known else match.called.detector.kind)


def _site(found: Found, facts: _Facts, shared: Grouping, resolver: Resolver) -> ResolvedSite:
    module, call, frame, match = found.module, found.call, found.frame, found.match
    client = client_ref(call, frame, match, resolver)
    function = frame.scope.function
    end_line = call.end_lineno or call.lineno
    site = CallSite(
        path=module.path,
        line=call.lineno,
        column=module.column(call.lineno, call.col_offset),
        end_line=end_line,
        end_column=module.column(end_line, call.end_col_offset or 0),
        function=function.qualname if function is not None else None,
        library=match.called.library,
        kind=facts.kind,
        call=module.segment(call.func),
        is_async=match.called.is_async,
        method=method_of(match.method),
        endpoint=facts.endpoint,
        client_origin=_origin(client, resolver),
        operation=shared.operations[facts.endpoint] if facts.endpoint is not None else None,
        group=shared.groups.get(facts.endpoint) if facts.endpoint is not None else None,
        cached=function is not None and bool(_CACHING & decorators(function.node)) and "apicache" in module.source.text,
    )
    return ResolvedSite(site, call, frame, client, match.called.request.payload)


def _origin(client: ClientRef, resolver: Resolver) -> str | None:
    if client.holder == "library":
        return client.library
    if client.constructed is None or client.constructed_in is None:
        return None
    source = resolver.project.sources[client.constructed_in.scope.owner]
    return f"{source.path}:{client.constructed.lineno}"
