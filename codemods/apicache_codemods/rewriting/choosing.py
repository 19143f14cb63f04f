"""Choosing what becomes of each site: joined to an operation, made one, wrapped, or left alone with a reason."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import libcst as cst

from apicache_codemods.project import Module
from apicache_codemods.rewriting.candidates import Candidate, Candidates, Cluster, cluster, is_llm
from apicache_codemods.rewriting.existing import ExistingOperation
from apicache_codemods.rewriting.generalise import MismatchError, Parameter
from apicache_codemods.rewriting.importers import Importers
from apicache_codemods.rewriting.sessions import Sessions
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict

StyleChoice = Literal["auto", "operation", "wrap"]
Unit = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Joined:
    """A site that becomes a call of an operation that exists."""

    candidate: Candidate
    operation: ExistingOperation
    arguments: tuple[Parameter, ...]


@dataclass(slots=True)
class Choice:
    """What becomes of the sites."""

    joined: list[Joined] = field(default_factory=list)
    clusters: list[tuple[Unit, Cluster]] = field(default_factory=list)
    wrapped: dict[Subject, Verdict] = field(default_factory=dict)
    skipped: dict[Subject, Verdict] = field(default_factory=dict)
    unwrapped: set[ast.With | ast.AsyncWith] = field(default_factory=set)
    """`with` statements whose client nobody uses any more."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses by `style`; `refused` files are not edited, `unreachable` units can have no operations module."""

    style: StyleChoice
    candidates: Candidates
    existing: Mapping[Unit, Sequence[ExistingOperation]]
    verdicts: Mapping[Subject, Verdict | None]
    refused: Mapping[str, Verdict]
    unreachable: Mapping[Unit, str]
    unit_of: Callable[[Module], Unit]
    importers: Importers
    sessions: Sessions

    def choose(self, subjects: Iterable[tuple[Subject, Unit]]) -> Choice:
        """What becomes of each subject."""
        choice = Choice()
        safe: list[tuple[Subject, Unit]] = []
        for subject, unit in subjects:
            verdict = self.verdicts[subject] or self.refused.get(subject.site.path)
            if verdict is None:
                safe.append((subject, unit))
            else:
                choice.skipped[subject] = verdict
        reasons: dict[Subject, str] = {}
        if self.style != "wrap":
            reasons = self._operations(safe, choice)
        operations = {joined.candidate.subject for joined in choice.joined}
        operations |= {member.subject for _, found in choice.clusters for member in found.members}
        for subject, _ in safe:
            if subject not in operations:
                self._wrap(subject, reasons.get(subject), choice)
        return choice

    def _wrap(self, subject: Subject, reason: str | None, choice: Choice) -> None:
        if self.style == "operation":
            why = reason or "it is the only call of its endpoint, which is no known LLM endpoint"
            choice.skipped[subject] = Verdict("M119", "safe", f"not an operation: {why}")
        elif reason is not None:
            choice.wrapped[subject] = Verdict("M004", "safe", f"not an operation: {reason}")
        else:
            choice.wrapped[subject] = Verdict(
                "M003", "safe", f"{subject.site.endpoint or subject.site.method} only reads"
            )

    def _operations(self, safe: Sequence[tuple[Subject, Unit]], choice: Choice) -> dict[Subject, str]:
        """Fill in what becomes an operation; gives the reasons of duplicates and LLM calls that do not."""
        reasons: dict[Subject, str] = {}
        found: dict[Candidate, Unit] = {}
        for subject, unit in safe:
            if not self._worth_trying(subject, unit):
                continue
            try:
                found[self._candidate(subject, unit)] = unit
            except MismatchError as error:
                reasons[subject] = str(error)
        while True:
            dropped = self._arrange(found, choice, reasons)
            if not dropped:
                return reasons
            for candidate, reason in dropped.items():
                del found[candidate]
                reasons[candidate.subject] = reason

    def _candidate(self, subject: Subject, unit: Unit) -> Candidate:
        if unit in self.unreachable:
            raise MismatchError(self.unreachable[unit])
        refusal = self.importers.refusal(subject.module)
        if refusal is not None:
            raise MismatchError(refusal)
        try:
            candidate = self.candidates.of(subject)
        except RecursionError:
            raise MismatchError("its arguments are nested too deeply") from None
        home = candidate.reach.home
        if home is not None and (self.unit_of(home.module) != unit or home.module.path in self.refused):
            raise MismatchError(f"its client {home.name!r} is assigned in {home.module.path}, out of reach")
        if home is not None:
            self.sessions.check(home, subject.site)
        return candidate

    def _worth_trying(self, subject: Subject, unit: Unit) -> bool:
        if subject.site.group is not None or is_llm(subject):
            return True
        return any(
            operation.definition.subject.site.endpoint == subject.site.endpoint
            for operation in self.existing.get(unit, ())
        )

    def _arrange(
        self, found: Mapping[Candidate, Unit], choice: Choice, reasons: dict[Subject, str]
    ) -> Mapping[Candidate, str]:
        """Join and cluster; gives those that cannot stay so with the reason.

        They share an opened client with a call that stays, or need what not all users of their operations module have.
        """
        choice.joined, choice.clusters = [], []
        rest: dict[tuple[Unit, str | None], list[Candidate]] = {}
        for candidate, unit in found.items():
            joined = self._join(candidate, unit)
            if joined is not None:
                choice.joined.append(joined)
            else:
                rest.setdefault((unit, candidate.subject.site.endpoint), []).append(candidate)
        for (unit, _), candidates in rest.items():
            clustering = cluster(candidates)
            choice.clusters += [(unit, each) for each in clustering.clusters]
            reasons.update((candidate.subject, reason) for candidate, reason in clustering.reasons.items())
        chosen = [joined.candidate for joined in choice.joined]
        chosen += [member for _, each in choice.clusters for member in each.members]
        choice.unwrapped, dropped = closable(chosen)
        return dict.fromkeys(dropped, "its client is opened for other calls too") or self.importers.lacking(chosen)

    def _join(self, candidate: Candidate, unit: Unit) -> Joined | None:
        for operation in self.existing.get(unit, ()):
            try:
                return Joined(candidate, operation, operation.arguments(candidate))
            except MismatchError:
                continue
        return None


def closable(candidates: Sequence[Candidate]) -> tuple[set[ast.With | ast.AsyncWith], list[Candidate]]:
    """The `with` statements whose client only these candidates use, and the candidates inside any other."""
    by_statement: dict[ast.With | ast.AsyncWith, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.reach.opened is not None:
            by_statement.setdefault(candidate.reach.opened, []).append(candidate)
    unwrapped = set()
    dropped = []
    for statement, inside in by_statement.items():
        loads = sum(_loads(node, inside[0].reach.use.name) for node in ast.walk(statement))
        if loads == len(inside) and not _used_outside(inside[0]) and with_node(inside[0]) is not None:
            unwrapped.add(statement)
        else:
            dropped += inside
    return unwrapped, dropped


def _used_outside(candidate: Candidate) -> bool:
    """Whether the function uses the client's name where no `with` binds it."""
    name = candidate.reach.use.name
    waiting: list[ast.AST] = [candidate.subject.function or candidate.subject.module.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.With | ast.AsyncWith) and any(
            isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == name for item in node.items
        ):
            continue
        if _loads(node, name):
            return True
        waiting.extend(ast.iter_child_nodes(node))
    return False


def _loads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def with_node(candidate: Candidate) -> cst.With | None:
    """The `with` that opens the candidate's client, when its body can take its place without losing a comment."""
    for node in candidate.located.around:
        if not isinstance(node, cst.With) or not isinstance(node.body, cst.IndentedBlock):
            continue
        asname = node.items[0].asname
        if asname is None or not isinstance(asname.name, cst.Name) or asname.name.value != candidate.reach.use.name:
            continue
        comments = [node.body.header.comment, *(line.comment for line in node.body.footer)]
        return node if all(comment is None for comment in comments) else None
    return None
