"""Sync callers of what is async: refused by themselves, and served what is stored."""

import asyncio
import threading
from typing import Any

import pytest

from apicache import UnifiedAPICache


@pytest.mark.parametrize("policy", [{}, {"hard_timeout": 5}])
@pytest.mark.parametrize("found_by", ["its function", "its result"])
def test_the_refusal_of_a_sync_caller_is_not_the_async_callers(
    cache: UnifiedAPICache, found_by: str, policy: dict[str, Any]
) -> None:
    in_load, goes_on = threading.Event(), threading.Event()

    async def value() -> int:
        return 1

    def wrapper() -> Any:
        if threading.current_thread() is not threading.main_thread():
            in_load.set()
            assert goes_on.wait(5)
        return value()

    cache.operation("later", **policy)(value if found_by == "its function" else wrapper)
    refused: list[str] = []

    def ask() -> None:
        try:
            cache.cached_api_call_sync(operation="later")
        except TypeError as error:
            refused.append(str(error))
        in_load.set()

    async def run() -> int:
        thread = threading.Thread(target=ask)
        thread.start()
        assert in_load.wait(5)
        call = asyncio.create_task(cache.cached_api_call(operation="later"))
        await asyncio.sleep(0)
        goes_on.set()
        answer: int = await call
        await asyncio.to_thread(thread.join, 5)
        return answer

    assert asyncio.run(run()) == 1
    assert len(refused) == 1
    assert "later is async" in refused[0]
    assert cache.cached_api_call_sync(operation="later") == 1  # stored by now
    assert len(cache._engine.flights) == 0


def test_a_sync_caller_of_an_async_function_is_served_what_lies_far(tmp_path: Any) -> None:
    async def value() -> int:
        return 1

    policies: list[dict[str, Any]] = [{}, {"hard_timeout": 5}]
    for policy in policies:
        directory = tmp_path / str(len(policy))
        for is_warm in (False, True):
            cache = UnifiedAPICache.create(directory=directory)
            cache.operation("later", ttl=60, **policy)(value)
            if is_warm:
                assert cache.cached_api_call_sync(operation="later") == 1
            else:
                assert asyncio.run(cache.cached_api_call(operation="later")) == 1
            cache.close()
