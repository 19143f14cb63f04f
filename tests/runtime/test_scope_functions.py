"""A scope that a function tells: asked at each call, so that what it reads may change while the process runs."""

import asyncio
import contextvars
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.usage.usage import digest_of_scope


def keyed(cache: UnifiedAPICache, **options: Any) -> list[tuple[str, str]]:
    """Registers `ask`, whose answers depend on an environment variable; gives what was asked upstream."""
    asked = []

    @cache.operation("ask", scope=lambda: os.environ["WHO"], **options)
    def ask(item: str) -> dict[str, Any]:
        asked.append((os.environ["WHO"], item))
        return {"who": os.environ["WHO"], "item": item}

    return asked


@pytest.mark.parametrize("options", [{}, {"http": "override"}, {"returns": None, "jitter": 0.1}], ids=str)
def test_another_scope_is_another_answer(
    cache: UnifiedAPICache, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    asked = keyed(cache, **options)
    for who in ("a", "b", "a"):
        monkeypatch.setenv("WHO", who)
        for _ in range(2):
            answer = cache.cached_api_call_sync(operation="ask", item="x")
            assert answer == {"who": who, "item": "x"}
    assert asked == [("a", "x"), ("b", "x")]


def test_a_function_that_raises_leaves_the_call_to_itself(
    cache: UnifiedAPICache, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed(cache)
    monkeypatch.delenv("WHO", raising=False)
    with pytest.raises(KeyError, match="WHO"):
        cache.cached_api_call_sync(operation="ask", item="x")


def test_an_answer_whose_scope_changed_while_it_was_loaded_is_not_stored(
    cache: UnifiedAPICache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHO", "a")
    asked = []

    @cache.operation("ask", scope=lambda: os.environ["WHO"])
    async def ask(item: str) -> str:
        await asyncio.sleep(0)
        asked.append(os.environ["WHO"])
        return item

    async def main() -> None:
        first = asyncio.create_task(cache.cached_api_call(operation="ask", item="x"))
        while not first.done():
            monkeypatch.setenv("WHO", "b")
            await asyncio.sleep(0)
        await first
        monkeypatch.setenv("WHO", "a")
        await cache.cached_api_call(operation="ask", item="x")

    asyncio.run(main())
    assert len(asked) == 2


WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who")
asked_by: list[str] = []


def look_up(item: str) -> str:
    asked_by.append(WHO.get())
    return f"{WHO.get()} {item}"


def through_view(cache: UnifiedAPICache) -> Callable[[str], str]:
    view = cache.using(scope=WHO.get)
    return lambda item: view.cached_api_call_sync(look_up, item)


@pytest.mark.parametrize("form", [through_view, lambda cache: cache.cached("look_up", scope=WHO.get)(look_up)])
def test_views_and_decorated_functions_ask_it_too(
    cache: UnifiedAPICache, form: Callable[[UnifiedAPICache], Callable[[str], str]]
) -> None:
    asked_by.clear()
    call = form(cache)

    def ask(who: str) -> str:
        WHO.set(who)
        return call("x")

    assert [contextvars.copy_context().run(ask, who) for who in "abab"] == ["a x", "b x"] * 2
    assert asked_by == ["a", "b"]


def test_batches_keep_scopes_apart_and_together(cache: UnifiedAPICache) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    sent = []

    @cache.batched("embed", over="text", scope=who.get)
    async def embed(texts: list[str]) -> list[str]:
        sent.append(list(texts))
        return texts

    async def one(name: str, text: str) -> None:
        who.set(name)
        await cache.cached_api_call(operation="embed", text=text)

    async def main() -> None:
        await asyncio.gather(*(one(name, text) for name, text in zip("xyx", "abc", strict=True)))

    asyncio.run(main())
    assert sent == [["a", "c"], ["b"]]


def test_the_usage_log_knows_the_scope_that_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True, tier_timeout=10.0)
    cache.operation("ask", scope=lambda: os.environ["WHO"])(lambda item: item)
    monkeypatch.setenv("WHO", "tenant-a")
    cache.cached_api_call_sync(operation="ask", item="x")
    assert cache.flush(20)
    cache.close()
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    digest = digest_of_scope("tenant-a")
    assert digest is not None
    assert digest in held
    assert b"tenant-a" not in held
