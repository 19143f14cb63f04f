"""What the arguments of one call are worth: a part of a request, a method that several decide, a host and a port."""

import ast

from apicache_codemods.arguments import argument
from apicache_codemods.bindings import Parameter
from apicache_codemods.detector import Address, Argument, Verb
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import HOLE, Nothing, Prepared, Text, Unknown, Value, join, literal, text_of

_METHOD_SETTERS = frozenset({"get_method", "method", "data"})


class Parts:
    """Evaluates parts of requests with a resolver of texts."""

    def __init__(self, texts: Resolver) -> None:
        self._texts = texts

    def part(self, part: str | Argument | Verb, call: ast.Call, frame: Frame) -> Text:
        """A part of what `call` sends, a hole when it is not known."""
        if isinstance(part, str):
            return literal(part)
        if isinstance(part, Verb):
            return self._verb(part, call, frame)
        given = argument(call, part)
        return self._texts.text(given, frame) if given is not None else HOLE

    def built(self, where: Argument | None, call: ast.Call, frame: Frame) -> Prepared | None:
        """The request object that a call is passed, when it was built ahead."""
        given = argument(call, where) if where is not None else None
        values = self._texts.evaluate(given, frame) if given is not None else ()
        return next((value for value in values if isinstance(value, Prepared)), None)

    def address(self, address: Address, constructed: ast.Call, frame: Frame) -> Text | None:
        """The base URL that a constructor is given; None when it is given none."""
        host = argument(constructed, address.host)
        values = self._texts.evaluate(host, frame) if host is not None else ()
        if all(isinstance(value, Nothing) for value in values):
            return HOLE if is_unpacked(constructed) else None
        port = argument(constructed, address.port) if address.port is not None else None
        ports = self._texts.evaluate(port, frame) if port is not None else ()
        after = (
            literal("") if all(isinstance(value, Nothing) for value in ports) else join(literal(":"), text_of(ports))
        )
        return join(literal(address.scheme), text_of(values), after)

    def _verb(self, verb: Verb, call: ast.Call, frame: Frame) -> Text:
        method = argument(call, verb.argument) if verb.argument is not None else None
        if method is not None:
            return self._texts.text(method, frame)
        body = argument(call, verb.body) if verb.body is not None else None
        values = self._texts.evaluate(body, frame) if body is not None else ()
        if all(isinstance(value, Nothing) for value in values):
            return HOLE if is_unpacked(call) else literal("GET")
        return HOLE if any(map(_may_be_none, values)) else literal("POST")


def is_request_like(url: Text) -> bool:
    """Whether what is passed for a URL may be a request object: nothing of it is known, or it is named like one."""
    if len(url.parts) != 1 or isinstance(url.parts[0], str):
        return False
    parameter = url.parts[0].parameter
    source = parameter.source if parameter is not None else None
    return not isinstance(source, Parameter) or source.name.startswith("req")


def is_changed(built: Prepared) -> bool:
    """Whether the scope that builds a request sets what decides its method: `request.get_method = ...`."""
    return any(name in _METHOD_SETTERS for _, name in built.frame.scope.names.attributes)


def is_unpacked(call: ast.Call) -> bool:
    """Whether a call hides arguments in `*` or `**`."""
    starred = any(isinstance(each, ast.Starred) for each in call.args)
    return starred or any(keyword.arg is None for keyword in call.keywords)


def _may_be_none(value: Value) -> bool:
    """Whether a value is None, or a parameter that is None unless a caller says otherwise."""
    if isinstance(value, Unknown) and value.parameter is not None and isinstance(value.parameter.source, Parameter):
        default = value.parameter.source.default
        return isinstance(default, ast.Constant) and default.value is None
    return isinstance(value, Nothing)
