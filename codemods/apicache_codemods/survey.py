"""Goes through a project: every module that can hold call sites is parsed and searched, every other one only checked.

It starts from the modules that import a client library and follows the names that lead to clients to the modules that
import those, until nothing new turns up.
"""

import ast
from collections.abc import Callable, Collection, Iterable

import msgspec

from apicache_codemods.bindings import Binding
from apicache_codemods.callers import Callers
from apicache_codemods.calls import Calls
from apicache_codemods.carriers import Carriers
from apicache_codemods.detector import Catalogue
from apicache_codemods.endpoints import endpoint_of
from apicache_codemods.matching import Match, Matcher
from apicache_codemods.model import SkippedFile
from apicache_codemods.prefilter import Carried, Handles, Prefilter
from apicache_codemods.project import Module, Project
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.syntax import check
from apicache_codemods.values import ProjectFunction, Text, Unknown

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


class Forwarded(msgspec.Struct, frozen=True):
    """A wrapper call: a call of `function` that ends in one of the requests `sent`."""

    module: Module
    call: ast.Call
    function: Scope
    sent: tuple[Sent, ...]

    @property
    def endpoint(self) -> str | None:
        """The endpoint that the call reaches; None when it is not known or not one."""
        endpoints = {endpoint_of(each.method, each.url) for each in self.sent}
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
        self.texts = Resolver(project, catalogue, project.sources)
        self._calls: dict[str, Calls] = {}
        self.clients = Resolver(project, catalogue, self._entered, Callers(self._calls))
        self._project = project
        self._catalogue = catalogue
        self._matcher = Matcher(self.clients, self.texts)
        self._carriers = Carriers(self.clients)
        self._prefilter = Prefilter(project, catalogue)
        self._found: dict[ast.Call, Found] = {}
        self._carried: dict[str, dict[str, Handles]] = {}
        self._words: dict[str, dict[str, Handles]] = {}
        self._wrappers: dict[Scope, list[Sent]] = {}
        self._searched: dict[str, set[str]] = {}
        """The wrappers' names whose calls were resolved in each module."""
        self._wrapper_calls: dict[tuple[ast.Call, Scope], WrapperCandidate] = {}

    @property
    def found(self) -> Collection[Found]:
        """The call sites."""
        return self._found.values()

    def run(self, on_settled: Callable[[], None]) -> None:
        """Go through the whole project; `on_settled` is called once for each file."""
        wave = list(self._prefilter.seeds())
        while wave:
            self._enter(wave)
            following: dict[str, None] = {}
            for location in wave:
                if location not in self._words:
                    on_settled()
                following |= dict.fromkeys(self._visit(location))
            wave = list(following) or self._follow_wrappers()

    def _enter(self, locations: Iterable[str]) -> None:
        """Let the resolver of clients look into more modules; what it could not see before is looked up anew."""
        before = len(self._entered)
        self._entered.update(locations)
        if len(self._entered) > before:
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
        words = self._prefilter.bound_names(location, self._carried)
        if words == self._words.get(location):
            return ()
        self._words[location] = words
        module = self._project.module(location)
        if module is None:
            return ()
        if location not in self.modules:
            self.modules[location] = module
            self._calls[location] = Calls(module)
        calls = self._calls[location]
        call_names = self._catalogue.call_names
        for candidate in calls.named(call_names, words.keys() | calls.keeping(call_names)):
            match = self._matcher.match(candidate) if candidate.call not in self._found else None
            if match is not None:
                self._found[candidate.call] = Found(module, candidate.call, candidate.frame, match)
                self._note_wrapper(candidate.frame, Sent(match.method, match.url))
        return self._exported(location, self._carriers.names(module, words))

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
                if importer.handed_on:
                    waiting.append((importer.location, importer.handed_on))
        return list(reached)

    def _note_wrapper(self, frame: Frame, sent: Sent) -> bool:
        """Count the function around a request as a wrapper when its parameters decide on method or URL."""
        function = frame.scope.function
        if function is None or getattr(function.node, "name", "").startswith("__"):
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
            Sent(*(fill(text, call.function, call.call, call.frame) for text in (sent.method, sent.url)))
            for sent in self._wrappers.get(call.function.scope, ())
        ]

    @property
    def forwarded(self) -> list[Forwarded]:
        """The wrapper calls."""
        return [
            Forwarded(call.module, call.call, call.function.scope, tuple(self._sent_by(call)))
            for call in self._wrapper_calls.values()
            if call.function.scope in self._wrappers
        ]


def _from(part: str | Unknown, function: Scope) -> bool:
    return isinstance(part, Unknown) and isinstance(part.parameter, Binding) and part.parameter.scope is function
