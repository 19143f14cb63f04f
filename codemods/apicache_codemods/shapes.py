"""The shape of what a call sends: the names of its query parameters and of its payload."""

import ast
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

import msgspec

from apicache_codemods.arguments import Elsewhere, argument
from apicache_codemods.caching import last_name
from apicache_codemods.detector import Argument, Request
from apicache_codemods.matching import Match
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Collection, Literal, Nothing, Text, Value, exact

_NOT_KNOWN = "*"
_QUERY = frozenset({"params", "query", "extra_query"})
_ENCODING = frozenset({"dumps", "urlencode", "encode", "dict", "jsonable_encoder"})
"""Functions whose result holds the names of their first argument."""
_ABOUT_THE_CALL = frozenset(
    {"timeout", "headers", "extra_headers", "extra_query", "max_retries", "cast_to", "stream_cls", "options", "api_key"}
)
"""Keywords of an SDK's call that are no part of its payload."""
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_FIELD = re.compile("[\ue000]")


class Shape(msgspec.Struct, frozen=True):
    """Names sorted, `*` for those not known; see `CallSite`."""

    query: tuple[str, ...]
    payload: tuple[str, ...]


class Shapes:
    """Reads shapes with a resolver of texts."""

    def __init__(self, texts: Resolver) -> None:
        self._texts = texts

    def of(self, match: Match, call: ast.Call, frame: Frame) -> Shape:
        """The shape of what `call` sends."""
        request = match.called.request
        sent = match.sent if match.sent is not None else call
        if match.called.detector.kind == "db":
            return Shape((), ())
        if isinstance(request.url, str):
            return Shape(tuple(sorted(self._given("extra_query", sent, frame))), _sdk_payload(sent))
        if request.prepared is not None and isinstance(request.url, Argument) and request.url.position is None:
            return Shape((_NOT_KNOWN,), (_NOT_KNOWN,))
        query = {*_in_url(match.url), *(name for key in _QUERY for name in self._given(key, sent, frame, request))}
        payload = self._payload(request, sent, frame)
        if any(keyword.arg is None for keyword in sent.keywords):
            hidden = self._unpacked(sent, frame)
            query |= hidden & {_NOT_KNOWN} if not query else set()
            payload |= hidden & {_NOT_KNOWN} if not payload and exact(match.method) not in _WITHOUT_BODY else set()
        return Shape(tuple(sorted(query)), tuple(sorted(payload)))

    def _payload(self, request: Request, sent: ast.Call, frame: Frame) -> set[str]:
        bodies = [where for where in request.payload if where.keyword not in _QUERY and where != request.prepared]
        found: set[str] = set()
        for where in bodies:
            given = argument(sent, where)
            if given is not None:
                found |= self._names(given, frame)
        return found

    def _given(self, keyword: str, sent: ast.Call, frame: Frame, request: Request | None = None) -> set[str]:
        known = request.payload if request is not None else ()
        where = next((each for each in known if each.keyword == keyword), Argument(keyword))
        given = argument(sent, where)
        return self._names(given, frame) if given is not None else set()

    def _unpacked(self, sent: ast.Call, frame: Frame) -> set[str]:
        """The keywords that `**` hides."""
        found: set[str] = set()
        for keyword in sent.keywords:
            if keyword.arg is None:
                found |= self._names(keyword.value, frame)
        return found

    def _names(self, expression: ast.expr, frame: Frame) -> set[str]:
        """The names that a mapping, or what is encoded from one, holds at its top."""
        if isinstance(expression, Elsewhere):
            return self._names(expression.value, expression.frame)
        match expression:
            case ast.Constant(value=None):
                return set()
            case ast.Call(func=function, args=[first, *_]) if last_name(function) in _ENCODING:
                return self._names(first, frame)
            case ast.Call(func=ast.Attribute(value=encoded, attr="encode"), args=[]):
                return self._names(encoded, frame)
            case ast.BoolOp(values=values):
                return {name for value in values for name in self._names(value, frame)}
        names: set[str] = set()
        for value in self._texts.evaluate(expression, frame):
            names |= self._in_value(value)
        added = {name for item in self._texts.written.items(expression, frame) for name in _constant(item.key)}
        return (names - {_NOT_KNOWN} | added) if added and names <= {_NOT_KNOWN} and names else names | added

    def _in_value(self, value: Value) -> set[str]:
        match value:
            case Nothing():
                return set()
            case Literal(node=ast.Dict(keys=keys, values=values), frame=frame):
                found: set[str] = set()
                for key, item in zip(keys, values, strict=True):
                    found |= self._names(item, frame) if key is None else set(_constant(key))
                return found
            case Literal(node=ast.List(elts=elements) | ast.Tuple(elts=elements)):
                return {name for element in elements for name in _of_pair(element)}
            case Collection(keys=keys) if keys:
                return {name for key in keys for name in _of_text(key)}
            case _:
                return {_NOT_KNOWN}


def _constant(key: ast.expr | None) -> Iterator[str]:
    if key is not None:
        yield key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else _NOT_KNOWN


def _of_pair(element: ast.expr) -> Iterator[str]:
    if isinstance(element, ast.Tuple | ast.List) and element.elts:
        yield from _constant(element.elts[0])
    else:
        yield _NOT_KNOWN


def _of_text(key: Value) -> Iterator[str]:
    known = key.parts[0] if isinstance(key, Text) and len(key.parts) == 1 else None
    yield known if isinstance(known, str) else _NOT_KNOWN


def _in_url(url: Text) -> Iterator[str]:
    """The names of the query that a URL holds itself."""
    written = "".join(part if isinstance(part, str) else "\ue000" for part in url.parts).partition("#")[0]
    query = written.partition("?")[2]
    for name, _ in parse_qsl(query, keep_blank_values=True):
        yield _NOT_KNOWN if _FIELD.search(name) else name


def _sdk_payload(sent: ast.Call) -> tuple[str, ...]:
    names = {keyword.arg or _NOT_KNOWN for keyword in sent.keywords} - _ABOUT_THE_CALL
    starred = any(isinstance(each, ast.Starred) for each in sent.args)
    return tuple(sorted(names | ({_NOT_KNOWN} if starred else set())))
