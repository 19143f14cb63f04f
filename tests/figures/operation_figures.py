"""What the built-in operations add to a call, and how many calls batches make."""

import asyncio
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from turns import Figure

from apicache import UnifiedAPICache
from apicache.chain.standings import FAILURES_MAX
from apicache.provider import Request, Response
from apicache.tier import TierPlace
from apicache.tiers import build

CALLS: Final = 300
EMBEDDINGS: Final = 1000
CACHED: Final = 700
BATCH_SIZE: Final = 64
SECONDS: Final = 10.0
"""What a tier may take: on a busy machine, a read that was given up would be a miss."""
BODY: Final = (
    b'{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)


class AnsweringAtOnce:
    """What is sent by it is answered without a network: what is left is our own part."""

    async def send(self, provider: str, request: Request, seconds: float) -> Response:
        """OpenAI's answer."""
        return Response(status=200, headers={"content-type": "application/json"}, body=BODY)

    def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
        """Not measured."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def keys() -> Iterator[None]:
    """Keys for the two providers, and the environment as it was."""
    names = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "figures"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def fallback() -> Figure:
    """What a first provider with an open breaker adds to a call that the second one answers."""

    async def seconds(cache: UnifiedAPICache, label: str, **choice: Any) -> list[float]:
        taken = []
        for number in range(CALLS):
            started = time.perf_counter()
            await cache.cached_api_call(operation="completion", prompt=f"{label} {number}", **choice)
            taken.append(time.perf_counter() - started)
        return taken

    async def both() -> tuple[list[float], list[float]]:
        cache = UnifiedAPICache.create(sender=AnsweringAtOnce())
        standing = cache._engine.providers.standing("anthropic")
        for _ in range(FAILURES_MAX):
            standing.breaker.failed()
        directly = await seconds(cache, "directly", provider="openai")
        standing.breaker.failed()
        return directly, await seconds(cache, "by fallback")

    with keys():
        directly, by_fallback = asyncio.run(both())
    added = statistics.median(by_fallback) - statistics.median(directly)
    return Figure(
        "fallback to the second provider while the first one's breaker is open, added to a call",
        f"{added * 1e6:,.0f} µs",
        "under 1 ms",
        added < 0.001,
    )


def batches() -> list[Figure]:
    """Upstream calls for embeddings of which most are cached, counted: in memory, and on disk."""
    needed = math.ceil((EMBEDDINGS - CACHED) / BATCH_SIZE)
    figures = []
    for name in ("memory", "disk"):
        with tempfile.TemporaryDirectory() as folder:
            sent = asyncio.run(_sent(name, Path(folder)))
        work = f"upstream calls for {EMBEDDINGS:,} embeddings, {CACHED} of them cached ({name}), {BATCH_SIZE} a batch"
        figures.append(Figure(work, str(sent), f"exactly {needed}", sent == needed))
    return figures


async def _sent(name: str, folder: Path) -> int:
    """How often the upstream is called for all of them, after a call for those that are to be cached."""
    upstream = 0
    tier = build(name, TierPlace(directory=folder, options={}, timeout=SECONDS))
    cache = UnifiedAPICache.create(tiers=[tier], tier_timeout=SECONDS)

    @cache.batched("embed", over="text", batch_size=BATCH_SIZE)
    async def embed(texts: list[str]) -> list[list[float]]:
        nonlocal upstream
        upstream += 1
        await asyncio.sleep(0)
        return [[float(len(text))] for text in texts]

    calls = [{"operation": "embed", "text": f"{number}. text"} for number in range(EMBEDDINGS)]
    await cache.cached_api_calls(calls[:CACHED])
    assert await asyncio.to_thread(cache.flush, SECONDS)
    upstream = 0
    await cache.cached_api_calls(calls)
    cache.close()
    return upstream


def measure() -> list[Figure]:
    """All rows of the operations."""
    return [fallback(), *batches()]
