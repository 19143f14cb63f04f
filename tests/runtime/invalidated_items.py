"""An operation whose entries are invalidated, and a shop whose writes do so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from apicache import UnifiedAPICache

TTL = 100.0
GRACE = 50.0


class UpstreamDownError(Exception):
    pass


class Items:
    """The operation `items.get`, its calls by item, and a switch that makes it fail."""

    def __init__(self, cache: UnifiedAPICache, **policy: Any) -> None:
        self.calls: list[str] = []
        self.fails = False
        self.meanwhile: Callable[[], Any] = lambda: None
        options = {"ttl": TTL, "tags": lambda parameters, _: [parameters["item"], "items"], **policy}
        cache.operation("items.get", **options)(self.get)

    def get(self, item: str) -> str:
        self.calls.append(item)
        n = len(self.calls)
        self.meanwhile()
        if self.fails:
            raise UpstreamDownError
        return f"{item} {n}"


def change(cache: UnifiedAPICache, call: Any, method: str, **concerned: Any) -> None:
    """Invalidate or expire, by the method of the same colour as the call."""
    if call.colour == "sync":
        getattr(cache, f"{method}_sync")(**concerned)
    else:
        asyncio.run(getattr(cache, method)(**concerned))


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    def run(cache: UnifiedAPICache, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return cache.cached_api_call_sync(*args, **kwargs)
        return asyncio.run(cache.cached_api_call(*args, **kwargs))

    run.colour = request.param  # type: ignore[attr-defined] # which methods go with it
    return run


PLACES: dict[str, Callable[[UnifiedAPICache], dict[str, Any]]] = {
    "key": lambda cache: {"key": cache.key_of(operation="items.get", item="a")},
    "tag": lambda _: {"tags": ["unrelated", "a"]},
    "prefix": lambda _: {"prefix": "items."},
    "operation": lambda _: {"operation": "items.get"},
    "everything": lambda _: {"everything": True},
}


class Shop:
    """A read with tags, and a write that expires them."""

    def __init__(self, cache: UnifiedAPICache, invalidates: Any = ("a",), **policy: Any) -> None:
        self.items = Items(cache)
        self.writes = 0
        self.result: Any = "written"
        cache.operation("items.put", invalidates=invalidates, **policy)(self.put)

    def put(self, item: str = "a") -> Any:
        self.writes += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result if self.result is not None else item
