"""What hits in Redis and on disk take, in wall time, against the bare clients of the same stores.

Each cache has the one tier alone: what is measured is read from the store each time. The entries are 200 B.
"""

import asyncio
import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import diskcache
import redis.asyncio
from turns import Figure, Turn, at_most, in_turns, times_faster

from apicache import UnifiedAPICache
from apicache.tier import TierPlace
from apicache.tiers import build

ENTRIES = 100
BATCHES = 5
"""Times that a turn reads all entries from Redis at once."""
VALUE = "x" * 200
PROMPTS = tuple(f"{number}. question" for number in range(ENTRIES))
SECONDS = 10.0
"""What a tier may take: on a busy machine, a read that was given up would be measured as a load."""
ROUNDS_OF_DISK = 5
"""Times that a turn reads all entries from disk, one after another."""


class Source:
    """A cache over one tier, with the operations `answer` (sync) and `answer_async`."""

    def __init__(self, name: str, directory: Path, **options: Any) -> None:
        self._loads = 0
        self.cache = UnifiedAPICache.create(
            tiers=[build(name, TierPlace(directory=directory, options=options, timeout=SECONDS))], tier_timeout=SECONDS
        )

        @self.cache.operation("answer")
        def answer(prompt: str) -> str:
            self._loads += 1
            return VALUE

        @self.cache.operation("answer_async")
        async def answer_async(prompt: str) -> str:
            self._loads += 1
            return VALUE

    async def fill(self) -> None:
        """Store both operations' answers to every prompt."""
        for operation in ("answer", "answer_async"):
            for prompt in PROMPTS:
                await self.cache.cached_api_call(operation=operation, prompt=prompt)
        assert await asyncio.to_thread(self.cache.flush, SECONDS)
        assert self._loads == 2 * ENTRIES

    def close(self) -> None:
        """Raises AssertionError when not every call since `fill` was a hit."""
        self.cache.close()
        assert self._loads == 2 * ENTRIES


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a server of our own, as the tests start it."""
    place = Path(__file__).parents[1] / "runtime" / "conftest.py"
    spec = importlib.util.spec_from_file_location("runtime_conftest", place)
    assert spec is not None
    assert spec.loader is not None
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    server = conftest.RedisServer(folder)
    try:
        server.start()
        yield server.url
    finally:
        server.kill()


async def fill_bare(client: "redis.asyncio.Redis") -> None:
    """Store every prompt's answer as the bare client reads it."""
    await client.mset(dict.fromkeys(PROMPTS, VALUE))


def redis_turns(runner: asyncio.Runner, source: Source, client: "redis.asyncio.Redis") -> dict[str, Turn]:
    """All entries at once: by one call, by as many concurrent ones, and by the bare client."""
    calls: Sequence[dict[str, Any]] = [{"operation": "answer_async", "prompt": prompt} for prompt in PROMPTS]
    cache = source.cache

    async def at_once() -> None:
        for _ in range(BATCHES):
            await cache.cached_api_calls(calls)

    async def one_by_one() -> None:
        for _ in range(BATCHES):
            await asyncio.gather(
                *(cache.cached_api_call(operation="answer_async", prompt=prompt) for prompt in PROMPTS)
            )

    async def bare() -> None:
        for _ in range(BATCHES):
            await asyncio.gather(*(client.get(prompt) for prompt in PROMPTS))

    return {
        "cached_api_calls": lambda: runner.run(at_once()),
        "cached_api_call": lambda: runner.run(one_by_one()),
        "bare": lambda: runner.run(bare()),
    }


def of_redis(runner: asyncio.Runner, folder: Path) -> list[Figure]:
    """The rows of Redis; times are of one entry."""
    with redis_server(folder) as url:
        source, client = Source("redis", folder, url=url), redis.asyncio.Redis.from_url(url)
        runner.run(source.fill())
        runner.run(fill_bare(client))
        try:
            seconds = in_turns(redis_turns(runner, source, client), BATCHES * ENTRIES, time.perf_counter)
        finally:
            runner.run(client.aclose())
            source.close()
    peer = f"{ENTRIES} gathered redis.asyncio gets"
    return [
        times_faster(
            10,
            f"`cached_api_calls` of {ENTRIES} Redis entries against {peer}",
            seconds["cached_api_calls"],
            seconds["bare"],
        ),
        times_faster(
            2,
            f"{ENTRIES} concurrent `cached_api_call` of Redis entries against {peer}",
            seconds["cached_api_call"],
            seconds["bare"],
        ),
    ]


def disk_turns(runner: asyncio.Runner, source: Source, bare: "diskcache.Cache") -> dict[str, Turn]:
    """Entries one after another, in turns of ours and of diskcache."""
    cache, prompts = source.cache, PROMPTS * ROUNDS_OF_DISK

    def ours() -> None:
        for prompt in prompts:
            cache.cached_api_call_sync(operation="answer", prompt=prompt)

    def theirs() -> None:
        for prompt in prompts:
            bare.get(prompt)

    async def ours_async() -> None:
        for prompt in prompts:
            await cache.cached_api_call(operation="answer_async", prompt=prompt)

    async def theirs_async() -> None:
        for prompt in prompts:
            await asyncio.to_thread(bare.get, prompt)

    return {
        "ours": ours,
        "theirs": theirs,
        "ours, async": lambda: runner.run(ours_async()),
        "theirs, async": lambda: runner.run(theirs_async()),
    }


def of_disk(runner: asyncio.Runner, folder: Path) -> list[Figure]:
    """The rows of the disk tier."""
    source = Source("disk", folder / "ours")
    with diskcache.Cache(str(folder / "theirs")) as bare:
        runner.run(source.fill())
        for prompt in PROMPTS:
            bare.set(prompt, VALUE)
        try:
            seconds = in_turns(disk_turns(runner, source, bare), len(PROMPTS) * ROUNDS_OF_DISK, time.perf_counter)
        finally:
            source.close()
    return [
        at_most(2, "disk hit, sync, against a bare diskcache get", seconds["ours"], seconds["theirs"]),
        at_most(
            1.5, "disk hit, async, against `asyncio.to_thread(get)`", seconds["ours, async"], seconds["theirs, async"]
        ),
    ]


def measure() -> list[Figure]:
    """All rows of the stores."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        (Path(folder) / "redis").mkdir()
        return [*of_redis(runner, Path(folder) / "redis"), *of_disk(runner, Path(folder))]
