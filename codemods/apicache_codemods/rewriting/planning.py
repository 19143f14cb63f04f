"""One attempt at a plan: judge, choose, define operations, edit, check.

A file whose new content does not compile is refused, and the next attempt leaves it out.
"""

import posixpath
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import libcst as cst

from apicache.errors import InputError
from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.project import Module
from apicache_codemods.rewriting.assembling import Assembly
from apicache_codemods.rewriting.candidates import Candidate, Candidates, Cluster, llm_kind
from apicache_codemods.rewriting.choosing import Choice, Chooser, Joined, StyleChoice, Unit
from apicache_codemods.rewriting.clients import Clients, Home
from apicache_codemods.rewriting.deciding import decisions
from apicache_codemods.rewriting.definitions import Definition
from apicache_codemods.rewriting.dependencies import imported_by
from apicache_codemods.rewriting.existing import ExistingOperation, operations_modules, operations_of
from apicache_codemods.rewriting.generalise import MismatchError
from apicache_codemods.rewriting.importers import Importers
from apicache_codemods.rewriting.layout import Layout
from apicache_codemods.rewriting.mentions import Mentions
from apicache_codemods.rewriting.names import Names, Trees
from apicache_codemods.rewriting.operations_module import OperationsModule
from apicache_codemods.rewriting.referring import References
from apicache_codemods.rewriting.rules import judge
from apicache_codemods.rewriting.rules_place import polled_functions
from apicache_codemods.rewriting.rules_written import with_written
from apicache_codemods.rewriting.sessions import Sessions
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.terms import Term
from apicache_codemods.rewriting.verdicts import Place, SiteDecision, Verdict
from apicache_codemods.rewriting.writing import FileChange

_TTL = {"embedding": "24h", "completion": "1h", "analysis": "30m"}
"""The source document's "Optimal TTLs Discovered", by kind."""


@dataclass(slots=True)
class Attempt:
    """What one attempt came to; `failures` are the files whose new content does not compile."""

    decisions: list[SiteDecision] = field(default_factory=list)
    changes: list[FileChange] = field(default_factory=list)
    failures: dict[str, Verdict] = field(default_factory=dict)


class Planner:
    """Plans the migration of one analysed project.

    `place` is the absolute path of the operations module, None for the default ones; `reported` are the paths of the
    files that may be rewritten.
    """

    def __init__(
        self,
        analysis: Analysis,
        mentions: Mentions,
        *,
        style: StyleChoice,
        place: str | None,
        reported: Collection[str],
        root: str,
    ) -> None:
        self.analysis = analysis
        self.mentions = mentions
        self.style = style
        self.place = place
        self.root = root
        self.layout = Layout(analysis.resolver.project)
        project = analysis.resolver.project
        found = operations_modules(project)
        users = {analysis.modules[resolved.site.path].location for resolved in analysis.sites}
        references = References(project, self.layout, users | {module.location for module in found}, place)
        self.names = Names(analysis, Trees(), mentions, references)
        self.clients = Clients(self.names)
        self.candidates = Candidates(self.names, self.clients)
        subjects = [self._subject(each) for each in analysis.sites]
        self.subjects = [subject for subject in subjects if subject.site.path in reported]
        polled = polled_functions(analysis.modules.values())
        self.verdicts = with_written({subject: judge(subject, polled) for subject in self.subjects})
        self.sessions = Sessions(self.verdicts, self.clients)
        self.uneditable = self._uneditable()
        self.operations_modules = [module for module in found if self.names.trees.of(module) is not None]
        self.existing = {
            module.path: operations_of(module, subjects, self.candidates) for module in self.operations_modules
        }

    def _subject(self, resolved: ResolvedSite) -> Subject:
        module = self.analysis.modules[resolved.site.path]
        return Subject(resolved, module, self.names.parents(module), self.analysis)

    def _uneditable(self) -> dict[str, Verdict]:
        trees = self.names.trees
        for subject, verdict in self.verdicts.items():
            if verdict is None and trees.of(subject.module) is not None:
                self.verdicts[subject] = self._unlocated(subject)
        return {path: Verdict("M120", "never", reason) for path, reason in trees.failures.items()}

    def _unlocated(self, subject: Subject) -> Verdict | None:
        """Python 3.11 does not know where exactly an expression inside an f-string stands."""
        try:
            self.candidates.located(subject)
        except MismatchError as error:
            return Verdict("M120", "unsafe", str(error))
        return None

    def attempt(self, refused: Mapping[str, Verdict], left_out: Mapping[Place, Verdict]) -> Attempt:
        """Plan everything but the refused files and the sites that are left out."""
        return _Work(self, {**refused, **self.uneditable}, left_out).run()


class _Work:
    """The state of one attempt."""

    def __init__(self, planner: Planner, refused: Mapping[str, Verdict], left_out: Mapping[Place, Verdict]) -> None:
        self.planner = planner
        self.refused = refused
        self.verdicts = {
            subject: verdict or left_out.get((subject.site.path, subject.site.line, subject.site.column))
            for subject, verdict in planner.verdicts.items()
        }
        self.files = Assembly(planner.names, planner.layout, planner.mentions, planner.root)
        self.operation_names = set(planner.mentions.operation_names)
        self.homes: dict[tuple[str, Hashable], set[Home]] = {}
        """Where clients of equal constructors are assigned, by operations module and constructor."""
        self.needed: dict[tuple[str, str], frozenset[str]] = {}
        usable = [module for module in planner.operations_modules if module.path not in refused]
        self.importers = Importers(planner.analysis.resolver.project, usable, self._group)
        self.users: frozenset[str] = frozenset()
        """The locations of the modules that will import an operations module."""

    def _group(self, module: Module) -> Unit | None:
        """What the users of one operations module have in common."""
        return self.planner.layout.unit(module) if self.planner.place is None else None

    def run(self) -> Attempt:
        planner = self.planner
        units = [(subject, planner.layout.unit(subject.module)) for subject in planner.subjects]
        chooser = Chooser(
            planner.style,
            planner.candidates,
            {unit: self._joinable(unit) for unit in {unit for _, unit in units}},
            self.verdicts,
            self.refused,
            self._unreachable({unit for _, unit in units}),
            planner.layout.unit,
            self.importers,
            planner.sessions,
        )
        choice = chooser.choose(units)
        self._edit(choice)
        changes, failures = self.files.changes()
        return Attempt(decisions(choice), changes, failures)

    def _modules_of(self, unit: Unit) -> list[Module]:
        """The operations modules that sites of a unit can import."""
        found = [module for module in self.planner.operations_modules if module.path not in self.refused]
        if self.planner.place is not None:
            return [module for module in found if module.source.absolute == self.planner.place]
        return [module for module in found if self.planner.layout.unit(module) == unit]

    def _joinable(self, unit: Unit) -> list[ExistingOperation]:
        return [operation for module in self._modules_of(unit) for operation in self.planner.existing[module.path]]

    def _unreachable(self, units: Collection[Unit]) -> dict[Unit, str]:
        """Why the sites of a unit cannot import the operations module that was asked for."""
        place = self.planner.place
        if place is None:
            return {}
        if Path(place).exists() and not any(each.source.absolute == place for each in self.planner.operations_modules):
            raise InputError(f"{place} exists and does not assign api_cache = UnifiedAPICache(); choose another file")
        reasons: dict[Unit, str] = {}
        for unit in units:
            try:
                self.planner.layout.import_name_of_place(place, unit[0])
            except InputError as error:
                reasons[unit] = str(error)
        if units and len(reasons) == len(units):
            raise InputError(next(iter(reasons.values())))
        return reasons

    def _edit(self, choice: Choice) -> None:
        chosen = [joined.candidate for joined in choice.joined]
        chosen += [member for _, found in choice.clusters for member in found.members]
        self.users = frozenset(candidate.subject.module.location for candidate in chosen)
        for joined in choice.joined:
            self._edit_joined(joined)
        for unit in {unit: None for unit, _ in choice.clusters}:
            clusters = [found for each, found in choice.clusters if each == unit]
            modules = {
                member.subject.module.path: member.subject.module for found in clusters for member in found.members
            }
            operations = self._target(unit, list(modules.values()))
            self._note_homes([member for found in clusters for member in found.members], operations)
            for found in clusters:
                self._edit_cluster(found, operations)
        for subject in choice.wrapped:
            self.files.of(subject.module).wrap(subject, self.planner.candidates)

    def _target(self, unit: Unit, modules: Sequence[Module]) -> OperationsModule:
        """The operations module for the new operations of these modules."""
        existing = self._modules_of(unit)
        if existing:
            return self.files.operations_in(existing[0], unit[0])
        layout = self.planner.layout
        place = self.planner.place or layout.default_place(modules, lambda path: not Path(path).exists())
        return self.files.new_operations(place, unit[0])

    def _edit_joined(self, joined: Joined) -> None:
        operation, candidate = joined.operation, joined.candidate
        layout = self.planner.layout
        operations = self.files.operations_in(
            operation.definition.subject.module, layout.base(candidate.subject.module)
        )
        arguments = [(parameter.name, parameter.values[0].node) for parameter in joined.arguments]
        self._operate(candidate, operations, operation.name, arguments, returns_json=operation.returns_json)

    def _edit_cluster(self, found: Cluster, operations: OperationsModule) -> None:
        for member in found.members:
            if not self._needs_factory(member, operations):
                self._adopt(member, operations)
        first = found.members[0]
        site = first.subject.site
        wanted = site.operation or "call"
        definition = Definition(
            wanted_name=wanted,
            endpoint=site.endpoint or "",
            client=replace(first.reach.use, from_factory=self._needs_factory(first, operations)),
            call=first.call,
            generalisation=found.generalisation,
            is_async=site.is_async,
            returns_json=found.returns_json,
            ttl=_ttl(first.subject, wanted),
            replaced=tuple(dict.fromkeys(self._function(member.subject) for member in found.members)),
        )
        name = operations.define(definition, self.operation_names)
        self.operation_names.add(name)
        found.name = name
        for index, member in enumerate(found.members):
            arguments = _arguments(member, found, index)
            self._operate(member, operations, name, arguments, returns_json=found.returns_json)

    def _needs_factory(self, candidate: Candidate, operations: OperationsModule) -> bool:
        """Whether a function has to give the client.

        It replaces distinct async clients, each of which lived in an event loop of its own.
        """
        constructor = candidate.reach.use.constructor
        if candidate.reach.home is None or constructor is None:
            return False
        if not candidate.subject.site.is_async or candidate.reach.use.read_once:
            return False
        return len(self.homes[operations.path, constructor.key]) > 1 or constructor.key in operations.factories

    def _note_homes(self, members: Sequence[Candidate], operations: OperationsModule) -> None:
        """Remember where the clients of equal constructors are assigned, the operations module itself included."""
        for member in members:
            home, constructor = member.reach.home, member.reach.use.constructor
            if home is None or constructor is None:
                continue
            homes = self.homes.setdefault((operations.path, constructor.key), set())
            homes.add(home)
            known = operations.known.get(constructor.key)
            if known is not None:
                module = next(
                    each for each in self.planner.operations_modules if each.source.absolute == operations.path
                )
                homes.add(self.planner.clients.home_of(module, known))

    def _adopt(self, candidate: Candidate, operations: OperationsModule) -> None:
        """Import the client from where it is, if that module does not need the operations module itself."""
        home, constructor = candidate.reach.home, candidate.reach.use.constructor
        if home is not None and constructor is not None and self._stays(home, operations):
            operations.adopt(home.name, self.planner.layout.import_name(home.module), constructor)

    def _stays(self, home: Home, operations: OperationsModule) -> bool:
        """Whether a client can stay where it is: all users import its module, which imports none of them."""
        location = operations.path.removesuffix(".py")
        if not self.importers.all_import(home.module.location, self.users):
            return False
        key = (home.module.location, posixpath.dirname(location))
        if key not in self.needed:
            self.needed[key] = imported_by(*key, self.planner.analysis.resolver.project)
        return self.needed[key].isdisjoint({*self.users, location})

    def _operate(
        self,
        candidate: Candidate,
        operations: OperationsModule,
        name: str,
        arguments: Sequence[tuple[str, cst.BaseExpression]],
        *,
        returns_json: bool,
    ) -> None:
        edits = self.files.of(candidate.subject.module)
        self.files.users.setdefault(operations.path, set()).add(candidate.subject.module.path)
        edits.operate(candidate, operations, name, arguments, returns_json=returns_json)
        reach = candidate.reach
        if reach.opened is not None:
            edits.unwrap(candidate)
        home, constructor = reach.home, reach.use.constructor
        if home is None or constructor is None or home.module.source.absolute == operations.path:
            return
        if constructor.key in operations.factories:
            self.files.of(home.module).drop_if_unused(home)
        elif not self._stays(home, operations):
            self.files.of(home.module).move(home, operations, operations.known[constructor.key])

    def _function(self, subject: Subject) -> str:
        return f"{self.planner.layout.import_name(subject.module)}.{subject.site.function}"


def _arguments(member: Candidate, found: Cluster, index: int) -> list[tuple[str, cst.BaseExpression]]:
    """What the site passes, in the order in which its own call evaluated it."""
    order = {id(term): place for place, term in enumerate(_terms(member))}
    parameters = sorted(found.generalisation.parameters, key=lambda parameter: order[id(parameter.values[index])])
    return [(parameter.name, parameter.values[index].node) for parameter in parameters]


def _terms(member: Candidate) -> Iterator[Term]:
    for argument in member.call.arguments.values():
        yield from argument.walk()


def _ttl(subject: Subject, name: str) -> str | None:
    kind = llm_kind(subject)
    return _TTL.get(kind or "", _TTL["analysis"] if "analysis" in name.split("_") else None)
