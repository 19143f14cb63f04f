"""What several calls have in common: one definition, with parameters where they differ.

First-order anti-unification: the least general term that every site's term is an instance of, the same differing tuple
being one parameter (Bulychev & Minea 2008, "Duplicate code detection using anti-unification").
"""

import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import libcst as cst

from apicache_codemods.rewriting.terms import Openness, Term


class MismatchError(Exception):
    """The calls cannot share one definition; the message is the end of a sentence that says why."""


@dataclass(frozen=True, slots=True)
class CallTerm:
    """A call's arguments by keyword, in the order in which they are evaluated; positional ones by their keyword too."""

    node: cst.Call
    arguments: Mapping[str, Term]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the operation and, for every site, the expression that the site passes for it."""

    name: str
    values: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Generalisation:
    """`parameters` in the order of the first call; `holes` names the parameter that stands for one of its terms."""

    parameters: tuple[Parameter, ...]
    holes: Mapping[int, str]
    """By `id` of the first call's term."""


_CREDENTIAL_ARGUMENTS: Final = frozenset(
    {"headers", "auth", "cookies", "cert", "proxies", "proxy", "extra_headers", "hooks", "verify"}
)
CALLER_ARGUMENTS: Final = frozenset({"timeout", "max_retries"})
"""What says how a caller waits, and nothing of the answer."""
_CREDENTIAL_NAME = re.compile(
    r"(^|_|-)(api_?key|access_?key|key|token|secret|passw(or)?d|authorization|auth|bearer|credentials?|session_?id|signature)$",
    re.IGNORECASE,
)
_NOT_IDENTIFIER = re.compile(r"\W+")
_RESERVED: Final = frozenset({"operation", "self"})


def generalise(calls: Sequence[CallTerm], taken: Collection[str]) -> Generalisation:
    """The definition that all `calls` are instances of; no parameter is called like a name of `taken`.

    Raises MismatchError when the calls differ in structure, or when a credential or a caller's own timeout differs.
    """
    first = calls[0]
    if any(call.arguments.keys() != first.arguments.keys() for call in calls):
        raise MismatchError("the calls do not pass the same arguments")
    holes: list[tuple[Term, ...]] = []
    for name in first.arguments:
        found: list[tuple[Term, ...]] = []
        _unify([call.arguments[name] for call in calls], found)
        _check_movable(name, found)
        holes += found
    return _named(holes, taken)


def _unify(terms: list[Term], holes: list[tuple[Term, ...]]) -> None:
    """Add the tuples of terms that have to be parameters."""
    first = terms[0]
    if all(term.openness is Openness.CLOSED and term.key == first.key for term in terms):
        return
    if first.children and all(term.label == first.label for term in terms):
        for children in zip(*(term.children for term in terms), strict=True):
            _unify(list(children), holes)
        return
    if any(term.label[0] == "dict" for term in terms):
        raise MismatchError("the payloads do not have the same keys")
    if any(isinstance(term.node, cst.NamedExpr) for term in terms):
        raise MismatchError("an argument assigns a name")
    holes.append(tuple(terms))


def _check_movable(argument: str, holes: Iterable[tuple[Term, ...]]) -> None:
    for terms in holes:
        if argument in _CREDENTIAL_ARGUMENTS:
            raise MismatchError(f"its {argument} are made at the site, and credentials must not become parameters")
        if argument in CALLER_ARGUMENTS:
            raise MismatchError(f"its {argument} is the caller's own")
        for name in {name for term in terms for name in _names_in(term)}:
            if is_credential(name):
                raise MismatchError(f"{name!r} looks like a credential, which must not become a parameter")


def is_credential(name: str) -> bool:
    """Whether a key, a variable or a query parameter of that name holds a credential."""
    return _CREDENTIAL_NAME.search(name) is not None


def _names_in(term: Term) -> Iterator[str]:
    for part in term.walk():
        yield part.hint
        yield _own_name(part) or ""


def _named(holes: list[tuple[Term, ...]], taken: Collection[str]) -> Generalisation:
    parameters: list[Parameter] = []
    names: dict[int, str] = {}
    known: dict[tuple[object, ...], str] = {}
    used = {*taken, *_RESERVED}
    for terms in holes:
        pair = tuple(term.key for term in terms)
        name = known.get(pair) if all(map(_repeatable, terms)) else None
        if name is None:
            name = free_name(_suggested(terms), used)
            used.add(name)
            known[pair] = name
            parameters.append(Parameter(name, terms))
        names[id(terms[0])] = name
    return Generalisation(tuple(parameters), names)


def _repeatable(term: Term) -> bool:
    """Whether evaluating it once instead of twice cannot be told apart."""
    return term.openness is Openness.CLOSED or isinstance(term.node, cst.Name)


def _own_name(term: Term) -> str | None:
    """The name of a variable, or of an attribute."""
    if isinstance(term.node, cst.Name):
        return term.node.value
    if isinstance(term.node, cst.Attribute):
        return term.node.attr.value
    return None


def _suggested(terms: Sequence[Term]) -> str:
    """The variable's name when the sites agree, else the key or keyword it stands under."""
    own = [_own_name(term) for term in terms]
    if own[0] is not None and all(name == own[0] for name in own):
        return own[0]
    if terms[0].hint not in {"", "value"}:
        return terms[0].hint
    return next((name for name in own if name is not None), "value")


def free_name(wanted: str, used: Collection[str]) -> str:
    """`wanted` as an identifier that is no keyword and not in `used`; `_2`, `_3`, ... is added to make it so."""
    name = _NOT_IDENTIFIER.sub("_", wanted).strip("_") or "value"
    if name[0].isdigit():
        name = f"value_{name}"
    if keyword.iskeyword(name):
        name = f"{name}_"
    if name not in used:
        return name
    number = 2
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"


def bind(pattern: CallTerm, call: CallTerm, parameters: Collection[str]) -> dict[str, Term]:
    """What `call` passes for each parameter of an existing definition whose call is `pattern`.

    Raises MismatchError when the call is not an instance of it.
    """
    if pattern.arguments.keys() != call.arguments.keys():
        raise MismatchError("the calls do not pass the same arguments")
    bound: dict[str, Term] = {}
    for name, term in pattern.arguments.items():
        found: dict[str, Term] = {}
        _match(term, call.arguments[name], parameters, found)
        for parameter, value in found.items():
            _check_movable(name, [(value,)])
            known = bound.setdefault(parameter, value)
            if known is not value and (known.key != value.key or not _repeatable(value)):
                raise MismatchError(f"{parameter!r} has two values")
    if bound.keys() != set(parameters):
        raise MismatchError("the definition has parameters that its call does not pass on")
    return bound


def _match(pattern: Term, term: Term, parameters: Collection[str], bound: dict[str, Term]) -> None:
    if isinstance(pattern.node, cst.Name) and pattern.meaning is None and pattern.node.value in parameters:
        known = bound.setdefault(pattern.node.value, term)
        if known is not term and (known.key != term.key or not _repeatable(term)):
            raise MismatchError(f"{pattern.node.value!r} has two values")
        return
    if pattern.openness is Openness.CLOSED and term.openness is Openness.CLOSED and pattern.key == term.key:
        return
    if pattern.label != term.label or len(pattern.children) != len(term.children) or not pattern.children:
        raise MismatchError("the calls differ outside the parameters")
    for inner, child in zip(pattern.children, term.children, strict=True):
        _match(inner, child, parameters, bound)
