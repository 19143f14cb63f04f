"""How a call site reaches its client: by a global, a local, a parameter, an attribute, ..."""

import ast
from collections.abc import Iterable
from typing import Literal

import msgspec

from apicache_codemods.bindings import Binding, Entered, Imported, Parameter
from apicache_codemods.matching import Match
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame, Scope, lookup
from apicache_codemods.values import Client, Value

Holder = Literal[
    "library",  # no client object: a module-level function, `httpx.get(...)`
    "global",  # a name bound at the top level of the same module
    "imported",  # a name imported from another module of the project
    "local",  # a name bound in the function that holds the call
    "closure",  # a name bound in a function around that one
    "class",  # a name bound in the class body that holds the call
    "parameter",  # a parameter of a function; `self` of a client's own subclass too
    "with",  # the target of a `with` or `async with`
    "attribute",  # an attribute: `self.client`, `clients.http`
    "expression",  # anything else: `httpx.Client().get(...)`, `make_client().get(...)`
]


class ClientRef(msgspec.Struct, frozen=True):
    """The client of a call site.

    `expression` is the part of the called expression that is worth the client (`client`, `self._http`); for the holder
    `library` it is the whole called expression. `class_name` is qualified (`httpx.AsyncClient`), None for `library`.
    `constructed` is the constructor's call and `constructed_in` where it stands: `.scope.owner` is the module's
    location, `.scope.kind` says whether that is its top level. Both are None when only an annotation names the class.
    `binding` is what binds the name that `expression` is, None when it is not a name; `binding.node` is the statement
    (or the parameter's `ast.arg`), `binding.scope` the scope it binds in.
    """

    holder: Holder
    library: str
    expression: ast.expr
    class_name: str | None
    constructed: ast.Call | None
    constructed_in: Frame | None
    binding: Binding | None


def client_ref(call: ast.Call, frame: Frame, match: Match, resolver: Resolver) -> ClientRef:
    """How a call that matched reaches its client."""
    client = match.called.client
    called = match.expression if match.expression is not None else call.func
    if client is None:
        return ClientRef("library", match.called.library, called, None, None, None, None)
    expression = _client_part(called, frame, client, resolver)
    holder, binding = _holder(expression, frame, client, resolver)
    return ClientRef(
        holder, match.called.library, expression, client.class_name, client.constructed, client.frame, binding
    )


def _client_part(called: ast.expr, frame: Frame, client: Client, resolver: Resolver) -> ast.expr:
    part = called
    while isinstance(part, ast.Attribute):
        part = part.value
        if _is_among(client, resolver.evaluate(part, frame)):
            return part
    return called


def _is_among(client: Client, values: Iterable[Value]) -> bool:
    """Whether the values hold the client. It may have been resolved anew since, so its constructor's node decides."""
    return any(
        isinstance(value, Client) and value.constructed is client.constructed and value.class_name == client.class_name
        for value in values
    )


def _holder(expression: ast.expr, frame: Frame, client: Client, resolver: Resolver) -> tuple[Holder, Binding | None]:
    if isinstance(expression, ast.Attribute):
        return "attribute", None
    found = (
        lookup(expression.id, frame, (expression.lineno, expression.col_offset))
        if isinstance(expression, ast.Name)
        else None
    )
    if found is None:
        return "expression", None
    scope, bindings = found
    binding = next((each for each in reversed(bindings) if _is_among(client, resolver.bound(each))), bindings[-1])
    return _kind(binding, scope, frame), binding


def _kind(binding: Binding, scope: Scope, frame: Frame) -> Holder:
    match binding.source:
        case Imported():
            return "imported"
        case Entered():
            return "with"
        case Parameter():
            return "parameter"
        case _ if scope.kind == "module":
            return "global"
        case _ if scope.kind == "class":
            return "class"
        case _:
            return "local" if scope.function is frame.scope.function else "closure"
