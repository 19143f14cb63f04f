import asyncio
import gc
from typing import Any

import httpx
import pytest

from apicache import UnifiedAPICache, per_event_loop


def test_one_loop_has_one_client_and_each_loop_its_own() -> None:
    made: list[object] = []

    class Client:
        def __init__(self) -> None:
            made.append(id(self))

    client = per_event_loop(Client)

    async def twice() -> bool:
        return client() is client()

    assert [asyncio.run(twice()) for _ in range(3)] == [True, True, True]
    assert len(made) == 3


def test_a_client_goes_with_its_loop() -> None:
    alive = 0

    class Client:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    client = per_event_loop(Client)

    async def use() -> None:
        client()

    for _ in range(3):
        asyncio.run(use())
    gc.collect()
    assert alive == 0


def test_outside_a_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        per_event_loop(object)()


def test_an_operation_answers_misses_from_one_loop_after_another(cache: UnifiedAPICache, api: Any) -> None:
    client = per_event_loop(lambda: httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)))

    @cache.operation("item", returns="json")
    async def item(n: int) -> httpx.Response:
        return await client().get(f"{api.url}/items/{n}")

    counts = [asyncio.run(cache.cached_api_call(operation="item", n=n))["count"] for n in range(3)]
    assert counts == [1, 2, 3]
