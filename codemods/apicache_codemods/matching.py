"""Deciding that a call is a call site, by whom, and what it sends: method, URL and payload."""

import ast

import msgspec

from apicache_codemods.calls import Candidate
from apicache_codemods.detector import Argument, Detector, Request
from apicache_codemods.endpoints import base_joined, strip
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import (
    HOLE,
    Client,
    External,
    Member,
    Nothing,
    Prepared,
    Text,
    Value,
    join,
    literal,
    text_of,
)


class Called(msgspec.Struct, frozen=True):
    """A call method or function of a library; `client` is None for a module-level function."""

    library: str
    detector: Detector
    request: Request
    client: Client | None
    base: Text | None
    """The base URL that relative URLs are joined with."""

    @property
    def is_async(self) -> bool:
        """Whether the call gives an awaitable."""
        return self.client is not None and self.client.constructor.is_async


class Match(msgspec.Struct, frozen=True):
    """A call that makes a request: what it calls, and the method and URL it sends, holes where they are not known."""

    called: Called
    method: Text
    url: Text


class Matcher:
    """Matches calls against the detectors' cards; `clients` resolves what is called, `texts` what is sent."""

    def __init__(self, clients: Resolver, texts: Resolver) -> None:
        self._clients = clients
        self._texts = texts
        self._catalogue = clients.catalogue

    def match(self, candidate: Candidate) -> Match | None:
        """What a call sends, if it is a call site.

        Where the client may be one of several, the first counts that is asynchronous just when the call is awaited.
        """
        call, frame = candidate.call, candidate.frame
        found = [called for callee in self._clients.evaluate(call.func, frame) if (called := self._called(callee))]
        if not found:
            return None
        fitting = [called for called in found if called.is_async == candidate.awaited]
        return self._sent((fitting or found)[0], call, frame)

    def _called(self, callee: Value) -> Called | None:
        match callee:
            case External(name=name) if name in self._catalogue.functions:
                library, request = self._catalogue.functions[name]
                detector = self._catalogue.by_library[library]
                base = literal(detector.base_url) if detector.base_url is not None else None
                return Called(library, detector, request, None, base)
            case Member(client=client, path=path):
                written = ".".join(part for part in path if part not in client.detector.transparent)
                found = client.detector.calls.get(written)
                return Called(client.library, client.detector, found, client, self.base_url(client)) if found else None
            case _:
                return None

    def base_url(self, client: Client) -> Text | None:
        """The base URL a client was made with; None when it has none or none is known."""
        constructor = client.constructor
        default = literal(constructor.base_url) if constructor.base_url is not None else None
        if client.constructed is None or client.frame is None or client.project_class is not None:
            return default
        for keyword, suffix in constructor.base_urls.items():
            for given in client.constructed.keywords:
                if given.arg == keyword:
                    values = self._texts.evaluate(given.value, client.frame)
                    if not all(isinstance(value, Nothing) for value in values):
                        return join(strip(text_of(values), "/", left=False), literal(suffix))
        unpacked = any(keyword.arg is None for keyword in client.constructed.keywords)
        return HOLE if unpacked and constructor.base_urls else default

    def _sent(self, called: Called, call: ast.Call, frame: Frame) -> Match:
        request = called.request
        if request.prepared is not None:
            return self._prepared(called, argument(call, request.prepared), frame)
        url = self._part(request.url, call, frame)
        return Match(called, self._part(request.method, call, frame), base_joined(called.base, url))

    def _prepared(self, called: Called, given: ast.expr | None, frame: Frame) -> Match:
        """A request object built ahead: method and URL are those of the call that built it."""
        values = self._texts.evaluate(given, frame) if given is not None else ()
        built = next((value for value in values if isinstance(value, Prepared)), None)
        if built is None:
            return Match(called, HOLE, HOLE)
        url = self._part(built.request.url, built.call, built.frame)
        base = self.base_url(built.client) if built.client is not None else None
        return Match(called, self._part(built.request.method, built.call, built.frame), base_joined(base, url))

    def _part(self, part: str | Argument, call: ast.Call, frame: Frame) -> Text:
        if isinstance(part, str):
            return literal(part)
        given = argument(call, part)
        return self._texts.text(given, frame) if given is not None else HOLE


def argument(call: ast.Call, where: Argument) -> ast.expr | None:
    """The expression a call passes for an argument; None when it passes none that can be seen."""
    for keyword in call.keywords:
        if keyword.arg == where.keyword:
            return keyword.value
    if where.position is None or where.position >= len(call.args):
        return None
    before = call.args[: where.position + 1]
    return None if any(isinstance(each, ast.Starred) for each in before) else before[-1]
