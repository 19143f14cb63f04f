"""Clients and wrappers that the user declares in the configuration, as detectors and as wrappers of the project."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from apicache_codemods.detector import Argument, Constructor, Detector, Request
from apicache_codemods.model import Kind
from apicache_codemods.project import Project
from apicache_codemods.scopes import Scope
from apicache_codemods.values import HOLE, Text, Unknown, literal

_DOCUMENTATION = "declared in the configuration"
_SPECIFICATION = re.compile(r"(?P<method>[A-Z]+|\{\w+\}) (?P<url>\{\w+\}|\S+)")
_HELD = re.compile(r"\{(\w+)\}")
VERB = re.compile(r"[A-Z]+")


class DeclaredClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client class: `name` is qualified (`acme.Client`); `calls` maps methods below it to what they send.

    What a method sends is written `GET {path}`: a method and a URL, each either given or, in braces, the argument that
    holds it. Arguments in braces are positional in their order, too. A URL that is given is below `base_url`.
    """

    name: str
    calls: Mapping[str, str]
    base_url: str | None = None
    kind: Kind = "http"
    is_async: bool = False


class DeclaredWrapper(msgspec.Struct, frozen=True, kw_only=True):
    """A function that makes a request: `function` is qualified (`app.http.fetch`, `app.http.Api.fetch`).

    `url` names the parameter that holds the URL, `method` is a verb in capitals or names a parameter.
    """

    function: str
    url: str
    method: str = "GET"
    base_url: str | None = None
    kind: Kind = "http"
    is_async: bool = False


class Declared(msgspec.Struct, frozen=True):
    """All that is declared."""

    clients: tuple[DeclaredClient, ...] = ()
    wrappers: tuple[DeclaredWrapper, ...] = ()


class ProjectWrapper(msgspec.Struct, frozen=True):
    """A declared wrapper that is a function of the project: what it sends, with holes for its parameters.

    `base` is what relative URLs are joined with.
    """

    location: str
    function: Scope
    method: Text
    url: Text
    base: Text | None
    kind: Kind


def is_specification(text: str) -> bool:
    """Whether a text tells what a call sends: `GET {path}`."""
    return _SPECIFICATION.fullmatch(text) is not None


def detectors_of(declared: Declared, known: Mapping[str, Detector]) -> Mapping[str, Detector]:
    """Detectors for what lies outside the project, by the name of their library; the `known` ones are not replaced."""
    found: dict[str, Detector] = {}
    for client in declared.clients:
        calls = {path: _request(sent) for path, sent in client.calls.items()}
        constructor = Constructor(is_async=client.is_async, base_url=client.base_url, calls=calls)
        found[_library(client.name, known, found)] = Detector(
            documentation=_DOCUMENTATION,
            constructors={client.name: constructor},
            calls=calls,
            kind=client.kind,
            modules=_module(client.name),
            is_common_name=True,
        )
    for wrapper in declared.wrappers:
        found[_library(wrapper.function, known, found)] = Detector(
            documentation=_DOCUMENTATION,
            functions={wrapper.function: _called(wrapper)},
            kind=wrapper.kind,
            base_url=wrapper.base_url,
            modules=_module(wrapper.function),
            is_common_name=True,
        )
    return found


def _library(name: str, *taken: Mapping[str, Detector]) -> str:
    top = name.partition(".")[0]
    return name if any(top in each for each in taken) else top


def _module(name: str) -> tuple[str, ...]:
    return (name.partition(".")[0],)


def _request(specification: str) -> Request:
    found = _SPECIFICATION.fullmatch(specification)
    if found is None:
        raise ValueError(specification)
    held = _HELD.findall(specification)
    parts = [Argument(part[1:-1], held.index(part[1:-1])) if part[0] == "{" else part for part in found.groups()]
    return Request(parts[0], parts[1])


def _called(wrapper: DeclaredWrapper) -> Request:
    if VERB.fullmatch(wrapper.method):
        return Request(wrapper.method, Argument(wrapper.url, 0), is_async=wrapper.is_async)
    return Request(Argument(wrapper.method, 0), Argument(wrapper.url, 1), is_async=wrapper.is_async)


def wrappers_in(project: Project, declared: Declared) -> Iterator[ProjectWrapper]:
    """The declared functions, and methods of declared clients, that the project defines itself."""
    for wrapper in declared.wrappers:
        url = f"{{{wrapper.url}}}"
        method = wrapper.method if VERB.fullmatch(wrapper.method) else f"{{{wrapper.method}}}"
        yield from _found(project, wrapper.function, (method, url), wrapper.base_url, wrapper.kind)
    for client in declared.clients:
        for path, specification in client.calls.items():
            method, _, url = specification.partition(" ")
            yield from _found(project, f"{client.name}.{path}", (method, url), client.base_url, client.kind)


def _found(
    project: Project, name: str, sent: tuple[str, str], base_url: str | None, kind: Kind
) -> Iterator[ProjectWrapper]:
    for location, function in _functions(project, name.split(".")):
        method, url = (_text(part, function) for part in sent)
        base = literal(base_url) if base_url is not None else None
        yield ProjectWrapper(location, function, method, url, base, kind)


def _functions(project: Project, parts: Sequence[str]) -> Iterator[tuple[str, Scope]]:
    """Where the project defines a function by its qualified name."""
    for length in range(len(parts) - 1, 0, -1):
        ending = f"/{'/'.join(parts[:length])}"
        for location in project.sources:
            module = project.module(location) if location.endswith(ending) else None
            scope = module.scope if module is not None else None
            for part in parts[length:]:
                scope = _inner(scope, part) if scope is not None else None
            if scope is not None and scope.kind == "function":
                yield location, scope


def _inner(scope: Scope, name: str) -> Scope | None:
    for node, _ in scope.names.definitions:
        if node.name == name:
            return scope.child(node)
    return None


def _text(part: str, function: Scope) -> Text:
    """A given text, or, for a name in braces, whatever a caller passes for that parameter."""
    held = _HELD.fullmatch(part)
    if held is None:
        return literal(part)
    bindings = function.names.bindings.get(held[1], ())
    parameter = next((each for each in bindings if isinstance(each.node, ast.arg)), None)
    return Text((Unknown(parameter),)) if parameter is not None else HOLE
