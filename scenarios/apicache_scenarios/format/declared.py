"""HTTP operations that a scenario file declares, as functions that a cache can register."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from apicache import UnifiedAPICache
from apicache.errors import InputError
from apicache.operations import Operation, describe
from apicache_scenarios.format.model import DeclaredOperation, HTTPRequest
from apicache_scenarios.format.templates import as_text, filled, references

if TYPE_CHECKING:
    import httpx


def description(name: str, declared: DeclaredOperation) -> Operation:
    """The operation as a cache would describe it; its parameters are those that the request refers to."""
    return describe(name, function(name, declared), {})


def register(
    cache: UnifiedAPICache, operations: Mapping[str, DeclaredOperation], client: "httpx.AsyncClient | None" = None
) -> None:
    """Register a file's operations on a cache; raises InputError for a name that the application has already.

    `client` makes their requests; without one each call has its own.
    """
    for name, declared in operations.items():
        if name in cache.operations:
            raise InputError(
                f"operation {name!r} is declared in the file and registered by the application; rename one"
            )
        options: dict[str, Any] = {} if declared.ttl is None else {"ttl": declared.ttl}
        if declared.returns == "json":
            options["returns"] = "json"
        cache.operation(name, **options, scope=_scope(declared))(function(name, declared, client))


def function(name: str, declared: DeclaredOperation, shared: "httpx.AsyncClient | None" = None) -> Callable[..., Any]:
    """An async function that makes the request; raises httpx.HTTPError."""
    request = declared.request
    used = sorted({each for source, each in _references(request) if source == "params"})

    async def call(**params: Any) -> "httpx.Response":
        import httpx  # noqa: PLC0415 - for calls only

        method, url, options = sent(request, params, os.environ)
        if shared is not None:
            return await shared.request(method, url, **options)
        async with httpx.AsyncClient() as client:
            return await client.request(method, url, **options)

    call.__name__ = call.__qualname__ = name if name.isidentifier() else "call"
    kind = inspect.Parameter.KEYWORD_ONLY
    call.__signature__ = inspect.Signature([inspect.Parameter(each, kind) for each in used])  # type: ignore[attr-defined]
    return call


def sent(
    request: HTTPRequest, params: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[str, str, dict[str, Any]]:
    """Method, URL and httpx's options of one call; raises InputError for a variable that is not set.

    A parameter in the URL is quoted, so it adds no path, query or host.
    """
    for source, name in _references(request):
        if source == "env" and name not in environ:
            raise InputError(f"the environment variable {name!r} is not set; the operation's request needs it")
    quoted = {name: quote(as_text(value), safe="") for name, value in params.items()}
    url = filled(request.url, {"env": environ, "params": quoted})
    values = {"env": environ, "params": params}
    options: dict[str, Any] = {"headers": {key: as_text(filled(text, values)) for key, text in request.headers.items()}}
    if request.params:
        options["params"] = filled(request.params, values)
    if request.json is not None:
        options["json"] = filled(request.json, values)
    return request.method, as_text(url), options


def _references(request: HTTPRequest) -> list[tuple[str, str]]:
    return [each for each in references(msgspec.to_builtins(request)) if each[0] in ("env", "params")]


def _scope(declared: DeclaredOperation) -> Callable[[], list[Any]]:
    """Whose answers they are: what is declared, and what the environment adds to it at each call."""
    names = sorted({name for source, name in _references(declared.request) if source == "env"})
    request = msgspec.to_builtins(declared.request)
    return lambda: [request, [[name, os.environ.get(name)] for name in names]]
