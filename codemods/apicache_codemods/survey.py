"""Goes through a project: every module that can hold call sites is parsed and searched, every other one only checked.

It starts from the modules that import a client library and follows the names that lead to clients to the modules that
import those, until nothing new turns up.
"""

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import msgspec

from apicache_codemods.bindings import Binding, Imported
from apicache_codemods.callers import Callers
from apicache_codemods.calls import Calls, Candidate
from apicache_codemods.carriers import Carriers
from apicache_codemods.detector import Catalogue
from apicache_codemods.endpoints import base_joined, target_of
from apicache_codemods.evaluator import united
from apicache_codemods.handed_over import HandedOver
from apicache_codemods.matching import Match, Matcher
from apicache_codemods.model import Kind, SkippedFile
from apicache_codemods.prefilter import DIRECT, Carried, Handles, Prefilter
from apicache_codemods.project import Module, Project
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.syntax import check
from apicache_codemods.values import ProjectFunction, Text, Unknown, Values

_LONGEST_CHAIN = 4  # wrappers of wrappers followed in one go
_MOST_CHECKED = 1_000_000  # characters, about 25,000 lines: a tenth of a second
_MOST_SENT = 16  # different requests kept of one wrapper


class Found(msgspec.Struct, frozen=True):
    """A call site: where it stands and what it sends."""

    module: Module
    call: ast.Call
    frame: Frame
    match: Match


class Sent(msgspec.Struct, frozen=True):
    """Method and URL as a function sends them, with holes for its parameters."""

    method: Text
    url: Text
    kind: Kind
    is_declared: bool = False
    base: Text | None = None
    """The base URL of a declared wrapper, joined when the caller's URL is known."""


class Forwarded(msgspec.Struct, frozen=True):
    """A wrapper call: a call of `function` that ends in one of the requests `sent`."""

    module: Module
    call: ast.Call
    function: Scope
    sent: tuple[Sent, ...]
    frame: Frame

    @property
    def endpoint(self) -> str | None:
        """The endpoint that the call reaches; None when it is not known or not one."""
        endpoints = {target_of(each.method, each.url, each.kind).endpoint for each in self.sent}
        return endpoints.pop() if len(endpoints) == 1 else None


class WrapperCandidate(msgspec.Struct, frozen=True):
    """A call of a function of the project that is named like a wrapper."""

    module: Module
    call: ast.Call
    frame: Frame
    function: ProjectFunction


class Survey:
    """The call sites and wrapper calls of a project."""

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        self.modules: dict[str, Module] = {}
        self._entered: set[str] = set()
        self._passages: set[str] = set()
        """Modules that import names which lead to a client, and hand them on."""
        self._stale: set[str] = set()
        """Modules that may be searched before such a module can be looked into."""
        self._due: set[str] = set()
        """Those of the wave before: to be searched again."""
        self.texts = Resolver(project, catalogue, project.sources)
        self._calls: dict[str, Calls] = {}
        self._callers = Callers(self._calls, self.modules, lambda location, _: self._handing.get(location, ()))
        self.clients = Resolver(project, catalogue, self._entered, self._callers)
        self._project = project
        self._catalogue = catalogue
        self._matcher = Matcher(self.clients, self.texts)
        self._carriers = Carriers(self.clients)
        self._prefilter = Prefilter(project, catalogue)
        self._found: dict[ast.Call, Found] = {}
        self._carried: dict[str, dict[str, Handles]] = {}
        self._words: dict[str, dict[str, Handles]] = {}
        self._wrappers: dict[Scope, list[Sent]] = {}
        self._declared: dict[str, dict[str, Handles]] = {}
        """The names of functions and classes that the user declares, by their module."""
        self._handed_over = HandedOver(self._prefilter, project, catalogue)
        self._importers: dict[tuple[str, str], list[str]] = {}
        self._wave = 0
        self._handed_before: dict[str, frozenset[str]] = {}
        self._handing: dict[str, dict[str, None]] = {}
        """By a module's location, the modules that hand it a client."""
        self._reached: dict[str, None] = {}
        self._first_wave: dict[str, int] = {}
        self._kept_in: dict[str, set[str]] = {}
        self._kept: set[str] = set()
        """Names under which modules keep what makes a request."""
        self._searched: dict[str, set[str]] = {}
        """The wrappers' names whose calls were resolved in each module."""
        self._wrapper_calls: dict[tuple[ast.Call, Scope], WrapperCandidate] = {}

    def declare(self, location: str, function: Scope, sent: Sent) -> None:
        """Count a function of the project as one that makes a request, because the user says so."""
        self._wrappers.setdefault(function, []).append(sent)
        self._carriers.add_wrapper(function)
        self._declared.setdefault(location, {})[function.qualname.partition(".")[0]] = DIRECT

    @property
    def found(self) -> Collection[Found]:
        """The call sites."""
        return self._found.values()

    def run(self, on_settled: Callable[[], None]) -> None:
        """Go through the whole project; `on_settled` is called once for each file."""
        wave = list(dict.fromkeys([*self._prefilter.seeds(), *self._declared]))
        while wave:
            self._enter(wave)
            following, self._reached = self._reached, {}
            for location in wave:
                if location not in self._words:
                    on_settled()
                following |= dict.fromkeys(self._visit(location))
            self._search_kept()
            wave = list(following) or self._follow_wrappers()

    def _enter(self, locations: Iterable[str]) -> None:
        """Let the resolver of clients look into more modules; what it could not see before is looked up anew."""
        self._due, self._stale = self._stale, set()
        before = len(self._entered)
        self._entered |= {*locations, *self._passages}
        self._wave += 1
        for location in locations:
            self._register(location)
            self._hand_over(location)
        if len(self._entered) > before or self._due:
            self.clients.forget()
            self._carriers.forget()
            self._searched = {}

    def check_others(self, on_settled: Callable[[], None]) -> list[SkippedFile]:
        """Check that the files nothing led to parse at all; those that do not are named.

        Only as long as they are little text: no call site can be in them, and on a large project the check would cost
        more than all the rest of the scan.
        """
        others = [source for location, source in self._project.sources.items() if location not in self._words]
        checked = sum(len(source.text) for source in others) <= _MOST_CHECKED
        failed = []
        for source in others:
            problem = check(source.text, source.path) if checked else None
            failed.extend([problem] if problem is not None else [])
            on_settled()
        return failed

    def _visit(self, location: str) -> Iterable[str]:
        """Search a module, again if more of its names lead to clients; gives the modules that are worth a visit now."""
        words = {**self._prefilter.bound_names(location, self._carried), **self._declared.get(location, {})}
        if words == self._words.get(location) and location not in self._due:
            return ()
        self._due.discard(location)
        self._words[location] = words
        module = self._project.module(location)
        if module is None:
            return ()
        calls = self._calls[location]
        call_names = self._catalogue.call_names
        kept = calls.keeping(call_names)
        self._kept |= calls.kept_on_objects(kept)
        for candidate in self._candidates(calls, kept, module, words):
            self._try(module, candidate)
        carried = self._carriers.names(module, words)
        return self._exported(location, carried)

    def _register(self, location: str) -> None:
        module = self._project.module(location) if location not in self.modules else None
        if module is not None:
            self.modules[location] = module
            self._calls[location] = Calls(module)
            self._first_wave[location] = self._wave

    def _try(self, module: Module, candidate: Candidate) -> None:
        """Count a candidate if it is a call site."""
        match = self._matcher.match(candidate) if candidate.call not in self._found else None
        if match is not None:
            self._found[candidate.call] = Found(module, candidate.call, candidate.frame, match)
            for url in match.url.options:
                self._note_wrapper(candidate.frame, Sent(match.method, url, match.called.detector.kind))

    def _search_kept(self) -> None:
        """Search for names that modules keep a method under where they were not known yet."""
        for location, module in self.modules.items():
            new = self._kept - self._kept_in.get(location, set())
            if new and location in self._words:
                self._kept_in[location] = set(self._kept)
                for candidate in self._calls[location].named(new, ()):
                    self._try(module, candidate)

    def _hand_over(self, location: str) -> None:
        """Note the modules that a module hands a client to: they are to be searched, some of them again."""
        words = self._prefilter.bound_names(location, self._carried)
        direct = frozenset(name for name, handles in words.items() if not handles)
        if self._handed_before.get(location) == direct:
            return
        self._handed_before[location] = direct
        for target in self._handed_over.modules(location, direct):
            self._handing.setdefault(target, {})[location] = None
            if target not in self._words:
                self._reached[target] = None
            elif self._first_wave[target] < self._wave:
                self._reached[target] = None
                self._stale.add(target)

    def _candidates(
        self, calls: Calls, kept: set[str], module: Module, words: Mapping[str, Handles]
    ) -> Iterator[Candidate]:
        """The calls of a module that could make a request, the plainly written ones first."""
        call_names = self._catalogue.call_names
        passed = kept | self._imported_functions(module, words)
        yield from calls.candidates(call_names | self._kept, words.keys() | kept, passed)

    def _imported_functions(self, module: Module, words: Iterable[str]) -> set[str]:
        """Those of a module's names that are functions of a library which make a request."""
        functions = self._catalogue.functions
        return {
            name
            for name in words
            for binding in module.scope.bindings.get(name, ())
            if isinstance(binding.source, Imported) and f"{binding.source.module}.{binding.source.name}" in functions
        }

    def _importers_of(self, location: str, name: str) -> list[str]:
        """The modules that import a module's name, or that module itself."""
        key = (location, name)
        if key not in self._importers:
            found: dict[str, None] = {}
            waiting: list[tuple[str, Carried]] = [(location, {name: DIRECT})]
            while waiting:
                for importer in self._prefilter.importers(*waiting.pop()):
                    if importer.location not in found and importer.handed_on:
                        waiting.append((importer.location, importer.handed_on))
                    found[importer.location] = None
            self._importers[key] = list(found)
        return self._importers[key]

    def passed(self, parameter: Binding) -> Values:
        """What the project's calls of a constructor pass for its parameter, as texts are worth."""
        if getattr(parameter.scope.node, "name", "") != "__init__":
            return ()
        argument = self.texts.functions.argument
        callers = self._callers.of(parameter.scope, self.clients, self._importers_of)
        return united(*(argument(parameter, *caller) for caller in callers))

    def _exported(self, location: str, names: Carried) -> list[str]:
        """The modules to visit because a module's `names` lead to a client.

        A module that imports them is visited when its text holds a handle; what it hands on is followed in any case.
        """
        reached: dict[str, None] = {}
        waiting: list[tuple[str, Carried]] = [(location, names)]
        while waiting:
            exporter, names = waiting.pop()
            known = self._carried.setdefault(exporter, {})
            new = {name: handles for name, handles in names.items() if known.get(name) != handles}
            if not new:
                continue
            known |= new
            for importer in self._prefilter.importers(exporter, new):
                if importer.location not in reached and self._prefilter.reaches(importer):
                    reached[importer.location] = None
                if exporter not in self._entered:
                    self._stale.add(importer.location)
                if importer.handed_on:
                    self._passages.add(importer.location)
                    waiting.append((importer.location, importer.handed_on))
        return list(reached)

    def _note_wrapper(self, frame: Frame, sent: Sent) -> bool:
        """Count the function around a request as a wrapper when its parameters decide on method or URL."""
        function = frame.scope.function
        if function is None or getattr(function.node, "name", "").startswith("__"):
            return False
        if function.owner in self._declared and any(each.is_declared for each in self._wrappers.get(function, ())):
            return False
        if not any(_from(part, function) for text in (sent.method, sent.url) for part in text.parts):
            return False
        known = self._wrappers.setdefault(function, [])
        if sent in known or len(known) >= _MOST_SENT:
            return False
        known.append(sent)
        self._carriers.add_wrapper(function)
        return True

    def _follow_wrappers(self) -> list[str]:
        """Follow the calls of wrappers through the modules visited so far; gives the modules to visit because of them.

        A function whose parameters decide on what a wrapper call sends is a wrapper itself.
        """
        grown: dict[str, Module] = {}
        while self._search_wrapper_calls():
            for _ in range(_LONGEST_CHAIN):
                new = {
                    call.module.location: call.module
                    for call in self._wrapper_calls.values()
                    for sent in self._sent_by(call)
                    if self._note_wrapper(call.frame, sent)
                }
                grown |= new
                if not new:
                    break
        return [
            location
            for module in grown.values()
            for location in self._exported(module.location, self._carriers.names(module, self._words[module.location]))
        ]

    def _search_wrapper_calls(self) -> bool:
        """Find the calls of functions named like a wrapper; whether there are more than before."""
        names = {getattr(scope.node, "name", "") for scope in self._wrappers}
        own: dict[str, set[str]] = {}
        for scope in self._wrappers:
            own.setdefault(scope.owner, set()).add(getattr(scope.node, "name", ""))
        before = len(self._wrapper_calls)
        for location, module in self.modules.items():
            searched = self._searched.setdefault(location, set())
            attributes = {name for name in names if f".{name}" not in searched}
            alone = (self._words[location].keys() | own.get(location, set())) - searched
            searched |= {f".{name}" for name in attributes} | alone
            for candidate in self._calls[location].named(attributes, alone):
                for value in self.clients.evaluate(candidate.call.func, candidate.frame):
                    if isinstance(value, ProjectFunction):
                        found = WrapperCandidate(module, candidate.call, candidate.frame, value)
                        self._wrapper_calls.setdefault((candidate.call, value.scope), found)
        return len(self._wrapper_calls) > before

    def _sent_by(self, call: WrapperCandidate) -> list[Sent]:
        fill = self.texts.functions.fill_text
        return [
            Sent(
                fill(sent.method, call.function, call.call, call.frame),
                base_joined(sent.base, fill(sent.url, call.function, call.call, call.frame)),
                sent.kind,
            )
            for sent in self._wrappers.get(call.function.scope, ())
        ]

    @property
    def forwarded(self) -> list[Forwarded]:
        """The wrapper calls."""
        return [
            Forwarded(call.module, call.call, call.function.scope, tuple(self._sent_by(call)), call.frame)
            for call in self._wrapper_calls.values()
            if call.function.scope in self._wrappers
        ]


def _from(part: str | Unknown, function: Scope) -> bool:
    return isinstance(part, Unknown) and isinstance(part.parameter, Binding) and part.parameter.scope is function
