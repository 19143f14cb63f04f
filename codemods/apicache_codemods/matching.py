"""Deciding that a call is a call site, by whom, and what it sends: method, URL and payload."""

import ast
from collections.abc import Mapping
from typing import Literal

import msgspec

from apicache_codemods.arguments import argument, with_partial
from apicache_codemods.caching import last_name
from apicache_codemods.calls import Candidate
from apicache_codemods.detector import Argument, Detector, Request, Verb
from apicache_codemods.endpoints import base_joined, base_resolved, strip, with_scheme
from apicache_codemods.handing import Handing
from apicache_codemods.parts import Parts, is_changed, is_request_like
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import (
    HOLE,
    Client,
    External,
    Member,
    Nothing,
    Partial,
    Prepared,
    Text,
    Unnamed,
    Value,
    join,
    literal,
    text_of,
    united_texts,
)

Form = Literal["call", "partial", "getattr", "handed"]
"""How a call site makes its request: by calling a client's method, a partial of one, one looked up by `getattr`, or by
handing it to another function that calls it."""
_FORMS: Mapping[type, Form] = {Partial: "partial", Unnamed: "getattr"}


class Called(msgspec.Struct, frozen=True):
    """A call method or function of a library; `client` is None for a module-level function."""

    library: str
    detector: Detector
    request: Request
    client: Client | None
    base: Text | None
    """The base URL that relative URLs are joined with."""
    wrapped_by: str | None = None
    """The library that put a proxy around the client."""

    @property
    def is_async(self) -> bool:
        """Whether the call gives an awaitable."""
        return self.request.is_async or (self.client is not None and self.client.constructor.is_async)


class Match(msgspec.Struct, frozen=True):
    """A call that makes a request: what it calls, and the method and URL it sends, holes where they are not known."""

    called: Called
    method: Text
    url: Text
    form: Form = "call"
    expression: ast.expr | None = None
    """What is called, as written; None for the call's own function."""
    sent: ast.Call | None = None
    """The request's call with all that it is given: what a partial holds, what is handed on."""


class Matcher:
    """Matches calls against the detectors' cards; `clients` resolves what is called, `texts` what is sent."""

    def __init__(self, clients: Resolver, texts: Resolver) -> None:
        self._clients = clients
        self._texts = texts
        self._parts = Parts(texts)
        self._handing = Handing(clients, texts)
        self._catalogue = clients.catalogue

    def match(self, candidate: Candidate) -> Match | None:
        """What a call sends, if it is a call site.

        Where the client may be one of several, the first counts that is asynchronous just when the call is awaited.
        """
        callees = self._clients.evaluate(candidate.called, candidate.frame)
        found = [(called, callee) for callee in callees if (called := self._called(callee))]
        if not found:
            return None
        fitting = [each for each in found if each[0].is_async == candidate.awaited]
        called, callee = (fitting or found)[0]
        bases = [each.base for each, _ in fitting or found if each.request is called.request and each.base is not None]
        if len(bases) > 1:
            called = msgspec.structs.replace(called, base=united_texts(bases))
        call = self._written_out(candidate, callee)
        if call is None:
            return None
        form = "handed" if candidate.handed is not None else _FORMS.get(type(callee), "call")
        if form == "call" and isinstance(call.func, ast.Call) and last_name(call.func.func) == "getattr":
            form = "getattr"
        match = self._sent(called, call, candidate.frame)
        return msgspec.structs.replace(match, form=form, expression=candidate.called, sent=call)

    def _written_out(self, candidate: Candidate, callee: Value) -> ast.Call | None:
        """The request's call with all that it is given; None when what is handed on may never be called."""
        call: ast.Call | None = candidate.call
        if candidate.handed is not None:
            call = self._handing.sent(candidate.call, candidate.handed, candidate.frame)
        while call is not None and isinstance(callee, Partial):
            call, callee = with_partial(callee, call), callee.function
        return call

    def _called(self, callee: Value) -> Called | None:
        match callee:
            case Partial(function=function):
                return self._called(function)
            case Unnamed(of=of):
                return self._unnamed(of)
            case External(name=name) if name in self._catalogue.functions:
                library, request = self._catalogue.functions[name]
                detector = self._catalogue.by_library[library]
                base = literal(detector.base_url) if detector.base_url is not None else None
                return Called(library, detector, request, None, base, self._catalogue.wrapped.get(name))
            case Member(client=client, path=path):
                written = ".".join(part for part in path if part not in client.detector.transparent)
                found = client.request(written)
                if found is None:
                    return None
                return Called(client.library, client.detector, found, client, self.base_url(client), client.wrapped_by)
            case _:
                return None

    def _unnamed(self, of: Client | External) -> Called | None:
        """`getattr(client, method)` of a client that has verbs: its method is not known."""
        get = External(f"{of.name}.get") if isinstance(of, External) else Member(of, ("get",))
        verb = self._called(get)
        if verb is None or verb.request.method != "GET":
            return None
        return msgspec.structs.replace(verb, request=msgspec.structs.replace(verb.request, method=Argument("")))

    def base_url(self, client: Client) -> Text | None:
        """The base URL a client was made with; None when it has none or none is known."""
        constructor = client.constructor
        default = literal(constructor.base_url) if constructor.base_url is not None else None
        if client.constructed is None or client.frame is None or client.project_class is not None:
            return default
        for keyword, suffix in constructor.base_urls.items():
            position = constructor.parameters.index(keyword) if keyword in constructor.parameters else None
            given = argument(client.constructed, Argument(keyword, position))
            if given is not None:
                values = self._texts.evaluate(given, client.frame)
                if not all(isinstance(value, Nothing) for value in values):
                    return join(strip(with_scheme(text_of(values)), "/", left=False), literal(suffix))
        if constructor.address is not None:
            return self._parts.address(constructor.address, client.constructed, client.frame) or default
        unpacked = any(keyword.arg is None for keyword in client.constructed.keywords)
        return HOLE if unpacked and constructor.base_urls else default

    def _sent(self, called: Called, call: ast.Call, frame: Frame) -> Match:
        request = called.request
        built = self._parts.built(request.prepared, call, frame)
        if built is not None:
            return self._prepared(called, built)
        if request.prepared not in {None, request.url}:
            return Match(called, HOLE, HOLE)
        url = self._parts.part(request.url, call, frame)
        method = self._parts.part(request.method, call, frame)
        if isinstance(request.method, Verb) and request.prepared is not None and is_request_like(url):
            method = HOLE
        return Match(called, method, self._joined(called, self._base(called, call, frame), url))

    @staticmethod
    def _joined(called: Called, base: Text | None, url: Text) -> Text:
        if called.detector.kind == "db":
            return url if base is None else join(base, url)
        resolves = called.client is not None and called.client.constructor.joining == "resolve"
        return base_resolved(base, url) if resolves else base_joined(base, url)

    def _base(self, called: Called, call: ast.Call, frame: Frame) -> Text | None:
        """The base URL of a call: its own, else what the module's attribute was set to, else its client's."""
        for keyword in called.request.base_urls:
            given = argument(call, Argument(keyword))
            if given is not None:
                values = self._texts.evaluate(given, frame)
                if not all(isinstance(value, Nothing) for value in values):
                    return text_of(values)
        if called.client is None and called.detector.base_attributes:
            return self._module_base(called.detector, frame.scope.module) or called.base
        return called.base

    def _module_base(self, detector: Detector, module: Scope) -> Text | None:
        """What a module sets its library's base URL to: `openai.api_base = ...`."""
        set_here = [
            binding
            for scope in (module, *module.descendants())
            for (holder, name), bindings in scope.names.attributes.items()
            if name in detector.base_attributes and self._is_module(holder, module, detector)
            for binding in bindings
        ]
        values = tuple(value for binding in set_here for value in self._texts.bound(binding))
        return text_of(values) if values else None

    def _is_module(self, name: str, module: Scope, detector: Detector) -> bool:
        bound = [value for binding in module.bindings.get(name, ()) for value in self._clients.bound(binding)]
        return any(isinstance(value, External) and value.name in detector.modules for value in bound)

    def _prepared(self, called: Called, built: Prepared) -> Match:
        """A request object built ahead: method and URL are those of the call that built it."""
        url = self._parts.part(built.request.url, built.call, built.frame)
        base = self.base_url(built.client) if built.client is not None else None
        method = self._parts.part(built.request.method, built.call, built.frame)
        if isinstance(built.request.method, Verb) and is_changed(built):
            method = HOLE
        return Match(called, method, base_joined(base, url))
