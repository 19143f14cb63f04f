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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apicache_codemods.calls import Candidate, candidates
from apicache_codemods.detector import Argument, Catalogue, load_detectors
from apicache_codemods.endpoints import endpoint_of, method_of
from apicache_codemods.files import SourceFile, find_files, read_file
from apicache_codemods.groups import grouping
from apicache_codemods.holders import ClientRef, client_ref
from apicache_codemods.llm_endpoints import llm_operation
from apicache_codemods.matching import Match, Matcher
from apicache_codemods.model import CallSite, Kind, SkippedFile, WrapperCall
from apicache_codemods.project import Module, Project
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Text

Progress = Callable[[int, int], None]
"""Called with how many files are done, and of how many."""


@dataclass(frozen=True, slots=True)
class ResolvedSite:
    """A call site with its syntax: the call, where it stands, its client."""

    site: CallSite
    node: ast.Call
    frame: Frame
    client: ClientRef
    payload: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one scan resolved. `modules` are those that were parsed, by the path that reports name."""

    modules: Mapping[str, Module]
    sites: tuple[ResolvedSite, ...]
    wrapper_calls: tuple[WrapperCall, ...]
    skipped: tuple[SkippedFile, ...]
    files: int
    lines: int
    seconds: float
    resolver: Resolver = field(repr=False)

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth where it stands: literal pieces and holes."""
        return self.resolver.text(expression, frame)


def analyse(paths: Sequence[Path], root: Path, on_progress: Progress | None = None) -> Analysis:
    """Find and resolve every call site in the Python files below `paths`; report them relative to `root`.

    Nothing is imported or run. Files that cannot be read or parsed are in `skipped` and never end the analysis.
    Raises InputError for a path that does not exist.
    """
    started = time.perf_counter()
    listing = find_files(paths, root)
    skipped = list(listing.skipped)
    sources: list[SourceFile] = []
    for absolute, path in listing.files.items():
        read = read_file(absolute, path)
        if isinstance(read, SkippedFile):
            skipped.append(read)
        else:
            sources.append(read)
    catalogue = Catalogue(load_detectors())
    project = Project(sources, catalogue.by_library)
    resolver = Resolver(project, catalogue)
    matcher = Matcher(resolver)
    modules: dict[str, Module] = {}
    found: list[tuple[Module, Candidate, Match]] = []
    for done, location in enumerate(project.sources, start=1):
        module = project.module(location)
        if module is not None:
            modules[module.path] = module
            for candidate in candidates(module, catalogue.call_names):
                match = matcher.match(candidate.call, candidate.frame)
                if match is not None:
                    found.append((module, candidate, match))
        if on_progress is not None:
            on_progress(done, len(project.sources))
    skipped.extend(project.failed.values())
    return Analysis(
        modules=modules,
        sites=_resolved(found, resolver),
        wrapper_calls=(),
        skipped=tuple(sorted(skipped, key=lambda each: (each.path, each.reason))),
        files=len(sources),
        lines=sum(source.lines for source in sources),
        seconds=time.perf_counter() - started,
        resolver=resolver,
    )


def _resolved(found: Sequence[tuple[Module, Candidate, Match]], resolver: Resolver) -> tuple[ResolvedSite, ...]:
    known = [(endpoint_of(match.method, match.url), match) for _, _, match in found]
    kinds = [_kind(endpoint, match) for endpoint, match in known]
    shared = grouping((endpoint, kind) for (endpoint, _), kind in zip(known, kinds, strict=True) if endpoint)
    sites = []
    for (module, candidate, match), (endpoint, _), kind in zip(found, known, kinds, strict=True):
        call, frame = candidate.call, candidate.frame
        client = client_ref(call, frame, match, resolver)
        function = frame.scope.function
        sites.append(
            ResolvedSite(
                CallSite(
                    path=module.path,
                    line=call.lineno,
                    column=module.column(call.lineno, call.col_offset),
                    end_line=call.end_lineno or call.lineno,
                    end_column=module.column(call.end_lineno or call.lineno, call.end_col_offset or 0),
                    function=function.qualname if function is not None else None,
                    library=match.called.library,
                    kind=kind,
                    call=module.segment(call.func),
                    is_async=match.called.client is not None and match.called.client.constructor.is_async,
                    method=method_of(match.method),
                    endpoint=endpoint,
                    client_origin=_origin(client, resolver),
                    operation=shared.operations[endpoint] if endpoint else None,
                    group=shared.groups.get(endpoint) if endpoint else None,
                ),
                call,
                frame,
                client,
                match.called.request.payload,
            )
        )
    return tuple(sorted(sites, key=lambda each: (each.site.path, each.site.line, each.site.column)))


def _kind(endpoint: str | None, match: Match) -> Kind:
    return "llm" if endpoint is not None and llm_operation(endpoint) is not None else match.called.detector.kind


def _origin(client: ClientRef, resolver: Resolver) -> str | None:
    if client.holder == "library":
        return client.library
    if client.constructed is None or client.constructed_in is None:
        return None
    source = resolver.project.sources[client.constructed_in.scope.owner]
    return f"{source.path}:{client.constructed.lineno}"
