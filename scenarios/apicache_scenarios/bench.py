"""The load benchmark: cached against direct, interleaved in one run over the same keys."""

import asyncio
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import msgspec

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.arms import Arm, ArmReport, CachedArm, DirectArm, user_agent
from apicache_scenarios.executors import Load, executor
from apicache_scenarios.keys import ZIPF_EXPONENT, zipf_keys
from apicache_scenarios.upstream import DEFAULT_MEAN_MS, Upstream, running_upstream

BLOCKS = 10
"""The key sequence is cut into this many blocks; each runs in both arms before the next begins."""

OnProgress = Callable[[int], None]
"""Called after each block with the requests done so far, both arms together."""


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to run; `requests` is per arm, `latency_ms` the mean of the embedded upstream's latency.

    With `url`, an upstream that already runs is measured: `url` + /v1/chat/completions has to speak OpenAI's format.
    """

    requests: int = 2000
    concurrency: int = 16
    seed: int = 42
    latency_ms: float = DEFAULT_MEAN_MS
    population: int = 500
    url: str | None = None
    executor: str = "constant-vus"

    def __post_init__(self) -> None:
        for name in ("requests", "concurrency", "population"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is not usable; expected 1 or more")
        if not 0 <= self.latency_ms < float("inf"):
            raise InputError(f"latency {self.latency_ms} ms is not usable; expected 0 or more")
        if self.url is not None and not _is_http(self.url):
            raise InputError(f"url {self.url!r} is not usable; expected http://HOST:PORT")

    @property
    def planned_requests(self) -> int:
        """Requests of both arms together."""
        return 2 * self.requests


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured; `schema` is the number of the documented JSON contract.

    `api_call_reduction` is 1 - calls per request (cached) / calls per request (direct), by the upstream's own count
    when it is the embedded one (`calls_counted_by`). The `speedup` figures are the direct arm's p50 over the cached
    arm's: of all its requests, and of its hits alone. A figure that has no samples is None.
    """

    schema: int = 1
    arms: dict[str, ArmReport]
    api_call_reduction: float | None
    speedup_p50: float | None
    speedup_hit_p50: float | None
    calls_counted_by: str
    interrupted: bool
    environment: dict[str, Any]

    @property
    def errors(self) -> int:
        """Requests without an answer, both arms together."""
        return sum(arm.errors for arm in self.arms.values())


def run_benchmark(settings: BenchSettings, on_progress: OnProgress) -> BenchReport:
    """Run both arms and report; an interrupt (SIGINT) ends the run and reports what was measured until then.

    Starts the embedded upstream unless a url is given. Blocks until done; not for use inside a running event loop.
    """
    with ExitStack() as stack:
        upstream = None
        if settings.url is None:
            upstream = stack.enter_context(running_upstream(latency_ms=settings.latency_ms, seed=settings.seed))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apicache-bench-")))
        cache = UnifiedAPICache.create(directory=folder, mode="on")
        stack.callback(cache.close)
        run = _Run(settings, upstream, cache)
        interrupted = False
        try:
            asyncio.run(run.both_arms(on_progress))
        except KeyboardInterrupt:
            interrupted = True
        return run.report(folder, interrupted=interrupted)


class _Run:
    def __init__(self, settings: BenchSettings, upstream: Upstream | None, cache: UnifiedAPICache) -> None:
        self._settings = settings
        self._upstream = upstream
        self._cache = cache
        base_url = upstream.url if upstream else str(settings.url).rstrip("/")
        arms = (CachedArm(base_url, settings.concurrency, cache), DirectArm(base_url, settings.concurrency))
        self._arms: dict[str, Arm] = {arm.name: arm for arm in arms}
        self._started_at = datetime.now(UTC)

    async def both_arms(self, on_progress: OnProgress) -> None:
        settings = self._settings
        load = executor(settings.executor, Load(concurrency=settings.concurrency))
        keys = zipf_keys(settings.population, settings.requests, seed=settings.seed)
        done = 0
        try:
            for name, block in interleaved(keys):
                arm = self._arms[name]
                started = perf_counter()
                try:
                    await load.run(block, arm.issue)
                finally:
                    arm.seconds += perf_counter() - started
                done += len(block)
                on_progress(done)
        finally:
            for arm in self._arms.values():
                await arm.aclose()

    def report(self, folder: Path, *, interrupted: bool) -> BenchReport:
        if self._upstream:
            served = self._upstream.served().by_user_agent
            calls = {name: served.get(user_agent(name), 0) for name in self._arms}
        else:
            calls = {name: arm.calls_sent for name, arm in self._arms.items()}
        cached, direct = (arm.report(calls[name], self._cache_state(name, folder)) for name, arm in self._arms.items())
        return BenchReport(
            arms={"cached": cached, "direct": direct},
            api_call_reduction=self._api_call_reduction(cached, direct),
            speedup_p50=_ratio(direct.p50_ms, cached.p50_ms),
            speedup_hit_p50=_ratio(direct.p50_ms, cached.hit_p50_ms),
            calls_counted_by="upstream" if self._upstream else "client",
            interrupted=interrupted,
            environment=self._environment(),
        )

    def _api_call_reduction(self, cached: ArmReport, direct: ArmReport) -> float | None:
        """By calls per request: an interrupt leaves the arms with unequal numbers of requests."""
        if cached.p50_ms is None or direct.p50_ms is None:  # an arm without one answer saves nothing
            return None
        cached_share = cached.upstream_calls / self._arms["cached"].issued
        direct_share = direct.upstream_calls / self._arms["direct"].issued
        return 1 - cached_share / direct_share

    def _cache_state(self, arm: str, folder: Path) -> dict[str, Any]:
        """Where the arm's cache started and ended; a run that silently starts warm would measure another thing."""
        if arm != "cached":
            return {"at_start": "none"}
        stats = self._cache.get_stats()
        return {
            "at_start": "empty",
            "entries_stored": stats["stored"],
            "hits_by_tier": stats["tier_hits"],
            "coalesced": stats["coalesced"],
            "disk_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        }

    def _environment(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "versions": {name: version(name) for name in ("apicache-toolkit", "httpx", "httpx-aiohttp", "aiohttp")},
            "upstream": settings.url or f"embedded, log-normal latency, mean {settings.latency_ms:g} ms",
            "latency_ms": None if settings.url else settings.latency_ms,
            "seed": settings.seed,
            "requests": settings.requests,
            "population": settings.population,
            "keys": f"zipf {ZIPF_EXPONENT}",
            "concurrency": settings.concurrency,
            "executor": settings.executor,
            "loop": "closed",
            "blocks": BLOCKS,
        }


def interleaved(keys: list[int]) -> Iterator[tuple[str, list[int]]]:
    """The blocks in the order they run: cached, direct, direct, cached, and again (ABBA).

    Either arm goes first equally often, so a machine that slows down over the run slows both alike.
    """
    size = -(-len(keys) // BLOCKS)
    for number, start in enumerate(range(0, len(keys), size)):
        block = keys[start : start + size]
        order = ("cached", "direct") if number % 2 == 0 else ("direct", "cached")
        for arm in order:
            yield arm, block


def _ratio(direct: float | None, cached: float | None) -> float | None:
    return direct / cached if direct is not None and cached else None


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
