"""What the cards of SDKs share: tables of calls, written short, become requests."""

from collections.abc import Iterable, Mapping

from apicache_codemods.detector import Argument, Request

_USUAL = {
    "create": "POST {path}",
    "list": "GET {path}",
    "retrieve": "GET {path}/{{}}",
    "get": "GET {path}/{{}}",
    "update": "POST {path}/{{}}",
    "delete": "DELETE {path}/{{}}",
    "cancel": "POST {path}/{{}}/cancel",
    "archive": "POST {path}/{{}}/archive",
}
"""What generated SDKs name the usual calls of a resource, `{}` its id."""


def resources(table: Mapping[str, str]) -> dict[str, str]:
    """`{"files": "/files create list"}` is `{"files.create": "POST /files", "files.list": "GET /files"}`."""
    found: dict[str, str] = {}
    for resource, written in table.items():
        path, *calls = written.split()
        found |= {f"{resource}.{call}": _USUAL[call].format(path=path) for call in calls}
    return found


def requests(
    endpoints: Mapping[str, str],
    payload: Iterable[str | Argument] = (),
    awaited: Iterable[str] = (),
    base_urls: tuple[str, ...] = (),
) -> dict[str, Request]:
    """Requests of calls by their endpoints, `POST /chat/completions`; those `awaited` give an awaitable."""
    asynchronous = frozenset(awaited)
    cards = tuple(Argument(name) if isinstance(name, str) else name for name in payload)
    found = {}
    for call, endpoint in endpoints.items():
        method, _, path = endpoint.partition(" ")
        found[call] = Request(
            method=method, url=path, payload=cards, is_async=call in asynchronous, base_urls=base_urls
        )
    return found


def twins(endpoints: Mapping[str, str], pattern: str) -> dict[str, str]:
    """The asynchronous twins of calls: `{}` of the pattern is the call, `aio.{}` or `{}_async`."""
    return {pattern.format(call): endpoint for call, endpoint in endpoints.items()}
