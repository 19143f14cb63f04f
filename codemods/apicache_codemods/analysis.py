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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from apicache_codemods.caching import is_cached
from apicache_codemods.declared import Declared, detectors_of, wrappers_in
from apicache_codemods.detector import Argument, Catalogue, load_detectors
from apicache_codemods.endpoints import Target, target_of
from apicache_codemods.exclusion import excluding
from apicache_codemods.files import EMPTY, SourceFile, find_files, read_file
from apicache_codemods.groups import grouping
from apicache_codemods.handing import is_mapped
from apicache_codemods.holders import ClientRef, client_ref
from apicache_codemods.llm_endpoints import llm_operation
from apicache_codemods.llm_models import model_of
from apicache_codemods.matching import Form, Match
from apicache_codemods.model import CallSite, Kind, SkippedFile, WrapperCall
from apicache_codemods.nesting import loops_around
from apicache_codemods.project import Module, Project
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.shapes import Shapes
from apicache_codemods.survey import Forwarded, Found, Sent, Survey
from apicache_codemods.values import Text

_NONE_DECLARED = Declared()

Progress = Callable[[int, int], None]
"""Called with how many files are done, and of how many."""


class ResolvedSite(msgspec.Struct, frozen=True):
    """A call site with its syntax: the call, where it stands, its client."""

    site: CallSite
    node: ast.Call
    frame: Frame
    client: ClientRef
    payload: tuple[Argument, ...]
    form: Form = "call"
    """Anything but `call` makes its request otherwise than by calling a client's method: not to be rewritten."""


class Analysis(msgspec.Struct, frozen=True):
    """What one scan resolved. `modules` are those that were parsed, by the path that reports name."""

    modules: Mapping[str, Module]
    sites: tuple[ResolvedSite, ...]
    wrapper_calls: tuple[WrapperCall, ...]
    forwarded: tuple[Forwarded, ...]
    skipped: tuple[SkippedFile, ...]
    files: int
    lines: int
    seconds: float
    resolver: Resolver

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth where it stands: literal pieces and holes."""
        return self.resolver.text(expression, frame)


def analyse(
    paths: Sequence[Path],
    root: Path,
    on_progress: Progress | None = None,
    *,
    exclude: Sequence[str] = (),
    declared: Declared = _NONE_DECLARED,
) -> Analysis:
    """Find and resolve every call site in the Python files below `paths`; report them relative to `root`.

    `exclude` are globs over absolute paths and over those relative to `root`.
    Nothing is imported or run. Files that cannot be read or parsed are in `skipped` and never end the analysis.
    Raises InputError for a path that does not exist.
    """
    started = time.perf_counter()
    with _no_collection():
        listing = find_files(paths, root)
        excluded = excluding(exclude)
        files = {each: path for each, path in listing.files.items() if not (excluded(path) or excluded(each))}
        read = [read_file(absolute, path) for absolute, path in files.items()]
        sources = [each for each in read if isinstance(each, SourceFile)]
        catalogue = Catalogue({**detectors_of(declared, load_detectors()), **load_detectors()})
        project = Project(sources, catalogue.modules, catalogue.common_modules)
        survey = Survey(project, catalogue)
        for wrapper in wrappers_in(project, declared):
            sent = Sent(wrapper.method, wrapper.url, wrapper.kind, is_declared=True, base=wrapper.base)
            survey.declare(wrapper.location, wrapper.function, sent)
        settled = _Settled(len(sources), on_progress)
        survey.run(settled)
        failed = survey.check_others(settled)
        skipped = {*listing.skipped, *(each for each in read if isinstance(each, SkippedFile))}
        skipped |= {*project.failed.values(), *failed}
        forwarded = tuple(sorted(survey.forwarded, key=lambda each: _place(each.module, each.call)))
        sites, wrapper_calls = _reported(survey, forwarded)
    return Analysis(
        modules={module.path: module for module in survey.modules.values()},
        sites=sites,
        wrapper_calls=wrapper_calls,
        forwarded=forwarded,
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


def _reported(
    survey: Survey, forwarded: Iterable[Forwarded]
) -> tuple[tuple[ResolvedSite, ...], tuple[WrapperCall, ...]]:
    """The survey's findings as values, in the order of paths and places, with what is known endpoint by endpoint."""
    found = sorted(survey.found, key=lambda each: _place(each.module, each.call))
    facts = [_facts(each.match, survey) for each in found]
    drafts = [_site(each, fact, survey) for each, fact in zip(found, facts, strict=True)]
    shared = grouping([draft.site for draft in drafts])
    sites = tuple(msgspec.structs.replace(draft, site=shared.settled(draft.site)) for draft in drafts)
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
    target: Target
    kind: Kind


def _facts(match: Match, survey: Survey) -> _Facts:
    kind = match.called.detector.kind
    url = survey.texts.functions.with_defaults(match.url, survey.passed)
    target = target_of(match.method, url, kind)
    known = kind == "http" and target.endpoint is not None and llm_operation(target.endpoint) is not None
    return _Facts(target, "llm" if known else kind)


def _site(found: Found, facts: _Facts, survey: Survey) -> ResolvedSite:
    """A call site; its group and its operation are settled when all are known."""
    module, call, frame, match = found.module, found.call, found.frame, found.match
    client = client_ref(call, frame, match, survey.clients)
    function = frame.scope.function
    shape = Shapes(survey.texts).of(match, call, frame)
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
        call=module.segment(match.expression if match.expression is not None else call.func),
        is_async=match.called.is_async,
        method=facts.target.method,
        endpoint=facts.target.endpoint,
        sql=facts.target.sql,
        alternatives=facts.target.others,
        client_origin=_origin(client, survey.clients),
        operation=None,
        group=None,
        cached=is_cached(call, frame, module),
        query=shape.query,
        payload=shape.payload,
        loop=loops_around(frame) + (match.form == "handed" and is_mapped(call)),
        wrapped_by=match.called.wrapped_by,
        model=model_of(match.sent or call, frame, match.called.request.payload, survey.texts)
        if facts.kind == "llm"
        else None,
    )
    return ResolvedSite(site, call, frame, client, match.called.request.payload, match.form)


def _origin(client: ClientRef, resolver: Resolver) -> str | None:
    if client.holder == "library":
        return client.library
    if client.constructed is None or client.constructed_in is None:
        return None
    source = resolver.project.sources[client.constructed_in.scope.owner]
    return f"{source.path}:{client.constructed.lineno}"
