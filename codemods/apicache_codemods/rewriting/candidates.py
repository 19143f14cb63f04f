"""The sites that could become operations, and those of them that can share one."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import libcst as cst

from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.rewriting.clients import Clients, Reach, span_in
from apicache_codemods.rewriting.decoding import Decoding, decoding
from apicache_codemods.rewriting.definitions import Ambient, locations_read, read_at_each_call
from apicache_codemods.rewriting.edits import Located
from apicache_codemods.rewriting.generalise import CallTerm, Generalisation, MismatchError, generalise, is_credential
from apicache_codemods.rewriting.library import library_named
from apicache_codemods.rewriting.names import Names
from apicache_codemods.rewriting.render import render
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.terms import Carried, Outside, Referred
from apicache_codemods.values import Literal as Display

_DUPLICATES = 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """A safe site whose client an operation can reach."""

    subject: Subject
    reach: Reach
    call: CallTerm
    located: Located
    decoding: Decoding | None

    @property
    def line(self) -> cst.SimpleStatementLine | None:
        """The simple statement that the call stands in."""
        return next((node for node in self.located.around if isinstance(node, cst.SimpleStatementLine)), None)

    @property
    def read_at_each_call(self) -> tuple[Ambient, ...]:
        """What the call reads beside its arguments each time it is made."""
        return read_at_each_call(self.call.arguments, self.reach.use)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The modules, by location, that have to be imported before an operation can stand for the call.

        Their values are read, or its client is built of what the environment is when they are imported.
        """
        use, home = self.reach.use, self.reach.home
        built = {home.module.location} if home is not None and use.read_once else frozenset()
        return locations_read(self.call.arguments, use) | built

    @property
    def kind(self) -> object:
        """What calls must share to become one operation, arguments aside."""
        return (self.reach.use.key, self.reach.use.path, self.subject.site.is_async)


@dataclass(slots=True)
class Cluster:
    """Candidates that are instances of one definition."""

    members: list[Candidate]
    generalisation: Generalisation
    name: str | None = None
    """The operation's name, once it has one."""

    @property
    def returns_json(self) -> bool:
        """Whether every site returns the decoded body and nothing else."""
        return all(member.decoding is not None for member in self.members)


@dataclass(slots=True)
class Clustering:
    """The clusters of an endpoint's sites, and for each site left alone the reason."""

    clusters: list[Cluster] = field(default_factory=list)
    reasons: dict[Candidate, str] = field(default_factory=dict)


class Candidates:
    """Makes candidates of subjects."""

    def __init__(self, names: Names, clients: Clients) -> None:
        self._names = names
        self._clients = clients

    def of(self, subject: Subject) -> Candidate:
        """The site as a candidate; raises MismatchError with the reason why it cannot become an operation."""
        if subject.site.endpoint is None:
            raise MismatchError("its endpoint is not known")
        if any(_awaits_or_yields(value) for value in subject.arguments.values()):
            raise MismatchError("an argument awaits or yields")
        _check_credentials(subject)
        located = self.located(subject)
        reach = self._clients.reach(subject)
        builder = self._names.at_site(subject)
        arguments = {
            name: builder.term(value, name)
            for name, value in zip(subject.arguments, (argument.value for argument in located.call.args), strict=True)
        }
        decoded = decoding(subject, located) if library_named(subject.site.library).decodes_json else None
        candidate = Candidate(subject, reach, CallTerm(located.call, arguments), located, decoded)
        if candidate.read_at_each_call and reach.use.read_once:
            raise MismatchError("its client was built of the environment, which its arguments read anew")
        return candidate

    def located(self, subject: Subject) -> Located:
        """The site's call in the tree that is edited."""
        tree = self._names.trees.of(subject.module)
        found = tree.calls.get(span_in(subject.module, subject.call)) if tree is not None else None
        if found is None:
            raise MismatchError("its call is not found again in the file")
        return found


def _awaits_or_yields(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom | ast.NamedExpr) for node in ast.walk(value))


def _check_credentials(subject: Subject) -> None:
    """Refuse arguments made above the call that hold a credential: it would become part of a parameter."""
    for name, value in subject.arguments.items():
        credential = next((key for key in _keys_of(subject, value) if is_credential(key)), None)
        if isinstance(value, ast.Name) and credential is not None:
            raise MismatchError(f"its {name} hold {credential!r}, and credentials must not become parameters")
    url = subject.arguments.get("url")
    if isinstance(url, ast.Name | ast.Attribute | ast.Call):
        sources = subject.assigned_to(url) if isinstance(url, ast.Name) else []
        if not sources and subject.text(url) is None:
            raise MismatchError("its URL is made where it cannot be seen")
        if any(is_credential(name) for source in sources for name in _names_in(source)):
            raise MismatchError("its URL holds a credential, which must not become a parameter")


_QUERY_NAMES = re.compile(r"[?&]([\w.-]+)=")


def _names_in(expression: ast.expr) -> Iterator[str]:
    """The names of variables, attributes and query parameters in an expression."""
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str() as text):
                yield from _QUERY_NAMES.findall(text)
            case _:
                continue


def _keys_of(subject: Subject, value: ast.expr) -> Iterator[str]:
    """The keys of the dictionary that an expression is worth, as far as it can be seen."""
    for worth in subject.evaluate(value):
        if isinstance(worth, Display) and isinstance(worth.node, ast.Dict):
            keys = (key.value for key in worth.node.keys if isinstance(key, ast.Constant))
            yield from (key for key in keys if isinstance(key, str))


def cluster(candidates: Sequence[Candidate]) -> Clustering:
    """Put the candidates of one endpoint together where one definition serves them.

    Two of them, or one call of a known LLM endpoint, are worth an operation.
    """
    result = Clustering()
    open_clusters: list[Cluster] = []
    for candidate in candidates:
        try:
            _join(candidate, open_clusters)
        except MismatchError as error:
            result.reasons[candidate] = str(error)
    for found in open_clusters:
        if len(found.members) >= _DUPLICATES or is_llm(found.members[0].subject):
            result.clusters.append(found)
        else:
            result.reasons[found.members[0]] = "no other call has the same form"
    return result


def is_llm(subject: Subject) -> bool:
    """Whether a single call is worth an operation: it goes to a known LLM endpoint."""
    return subject.site.kind == "llm" and llm_kind(subject) is not None


def llm_kind(subject: Subject) -> str | None:
    """`completion`, `embedding`, ...; None for other endpoints."""
    endpoint = subject.site.endpoint or ""
    return sdk_operation(endpoint) if subject.site.kind == "llm" else llm_operation(endpoint)


def _join(candidate: Candidate, clusters: list[Cluster]) -> None:
    for found in clusters:
        if found.members[0].kind != candidate.kind:
            continue
        members = [*found.members, candidate]
        try:
            found.generalisation = _generalised(members)
        except MismatchError:
            continue
        found.members = members
        return
    clusters.append(Cluster([candidate], _generalised([candidate])))


def _generalised(members: Sequence[Candidate]) -> Generalisation:
    found = generalise([member.call for member in members], _names_used(members[0]))
    for term in members[0].call.arguments.values():
        render(term, found.holes, _AnyNames())
    return found


class _AnyNames:
    """Every name as it is: enough to see whether a definition can be written at all."""

    def imported(self, meaning: Outside) -> str:
        return meaning.dotted

    def carried(self, meaning: Carried) -> str:
        return meaning.name

    def referred(self, meaning: Referred) -> str:
        return f"{meaning.module}.{meaning.name}"


def _names_used(candidate: Candidate) -> set[str]:
    """The module-level names that the definition uses, which no parameter may hide."""
    use = candidate.reach.use
    used = {use.name, use.library}
    for term in candidate.call.arguments.values():
        for part in term.walk():
            if isinstance(part.meaning, Carried):
                used.add(part.meaning.name)
            elif isinstance(part.meaning, Referred):
                used.add(part.meaning.module.rpartition(".")[2])
            elif isinstance(part.meaning, Outside):
                used.add((part.meaning.name or part.meaning.module).partition(".")[0])
    return used
