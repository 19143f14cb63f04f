"""The two sides of a benchmark: the same call to the same upstream, through the cache and directly."""

from abc import ABC, abstractmethod
from collections import Counter
from time import perf_counter
from typing import Any, ClassVar, Literal

import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from apicache import UnifiedAPICache
from apicache_scenarios.latencies import Latencies

MODEL = "gpt-4o-mini"
TIMEOUT_SECONDS = 30.0
Outcome = Literal["hit", "miss", "coalesced"]
OUTCOMES: tuple[Outcome, ...] = ("hit", "miss", "coalesced")


class ArmReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one arm measured.

    `requests` ended, `errors` of them without an answer; percentiles and `throughput_rps` are of answered requests.
    `hits` came from the cache, `misses` called the upstream, `coalesced` waited for another request's call.
    """

    requests: int
    hit_rate: float
    throughput_rps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    errors: int
    error_classes: dict[str, int]
    hits: int
    misses: int
    coalesced: int
    hit_p50_ms: float | None
    hit_p95_ms: float | None
    miss_p50_ms: float | None
    upstream_calls: int
    seconds: float
    cache: dict[str, Any]


class Arm(ABC):
    """Issues requests one way and records every one of them."""

    name: ClassVar[str]

    def __init__(self, base_url: str, concurrency: int) -> None:
        self.seconds = 0.0
        """Wall time under load, in seconds."""
        self.issued = 0
        self.calls_sent = 0
        self._client = bench_client(concurrency, user_agent(self.name))
        self._url = f"{base_url}/v1/chat/completions"
        self._latencies = Latencies()
        self._latencies_by_outcome = {outcome: Latencies() for outcome in OUTCOMES}
        self._errors: Counter[str] = Counter()

    @abstractmethod
    async def _timed(self, prompt: str) -> tuple[float, Outcome]:
        """Make the call; its latency in seconds, and where the answer came from. Raises what the call raises."""

    async def issue(self, key: int) -> None:
        """One request; a failure is counted by its class and never raised."""
        self.issued += 1
        try:
            elapsed, outcome = await self._timed(f"Analyze financial scenario {key}")
        except Exception as error:  # noqa: BLE001 - every way in which a call can fail is a result here
            self._errors[error_class(error)] += 1
        else:
            self._latencies.record(elapsed)
            self._latencies_by_outcome[outcome].record(elapsed)

    async def completion(self, prompt: str) -> httpx.Response:
        """The call to the upstream, the same in every arm; raises httpx.HTTPError."""
        self.calls_sent += 1
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
        return (await self._client.post(self._url, json=body)).raise_for_status()

    async def aclose(self) -> None:
        """Close the arm's connections."""
        await self._client.aclose()

    def report(self, upstream_calls: int, cache: dict[str, Any]) -> ArmReport:
        """What was measured so far."""
        answered = len(self._latencies)
        requests = answered + self._errors.total()
        summary = self._latencies.summary()
        hits, misses, coalesced = (self._latencies_by_outcome[outcome] for outcome in OUTCOMES)
        return ArmReport(
            requests=requests,
            hit_rate=len(hits) / requests if requests else 0.0,
            throughput_rps=answered / self.seconds if self.seconds else 0.0,
            p50_ms=summary.p50_ms,
            p95_ms=summary.p95_ms,
            p99_ms=summary.p99_ms,
            max_ms=summary.max_ms,
            errors=self._errors.total(),
            error_classes=dict(self._errors.most_common()),
            hits=len(hits),
            misses=len(misses),
            coalesced=len(coalesced),
            hit_p50_ms=hits.summary().p50_ms,
            hit_p95_ms=hits.summary().p95_ms,
            miss_p50_ms=misses.summary().p50_ms,
            upstream_calls=upstream_calls,
            seconds=self.seconds,
            cache=cache,
        )


class DirectArm(Arm):
    """Calls the upstream for every request."""

    name = "direct"

    async def _timed(self, prompt: str) -> tuple[float, Outcome]:
        started = perf_counter()
        (await self.completion(prompt)).json()
        return perf_counter() - started, "miss"


class CachedArm(Arm):
    """Makes the same call as a registered operation of a cache."""

    name = "cached"

    def __init__(self, base_url: str, concurrency: int, cache: UnifiedAPICache) -> None:
        super().__init__(base_url, concurrency)
        self._cache = cache
        self._under_way: dict[str, _First] = {}
        cache.operation("completion", ttl="1h", returns="json")(self._observed_completion)

    async def _timed(self, prompt: str) -> tuple[float, Outcome]:
        running = self._under_way.get(prompt)
        first = running or self._under_way.setdefault(prompt, _First())
        # Once the first has its answer the cache holds it, though the first may still be busy storing it on disk.
        waits = running is not None and not running.answered
        try:
            started = perf_counter()
            await self._cache.cached_api_call(operation="completion", prompt=prompt)
            elapsed = perf_counter() - started
        finally:
            if running is None:
                del self._under_way[prompt]
        if running is None:
            return elapsed, "miss" if first.called_upstream else "hit"
        return elapsed, "coalesced" if waits and first.called_upstream else "hit"

    async def _observed_completion(self, prompt: str) -> httpx.Response:
        first = self._under_way.get(prompt, _First())  # absent when an interrupt took its request away
        first.called_upstream = True
        response = await self.completion(prompt)
        first.answered = True
        return response


class _First:
    """The first of the requests of one key that are under way at once: the others share its call."""

    def __init__(self) -> None:
        self.called_upstream = False
        self.answered = False


def user_agent(arm: str) -> str:
    """What an arm calls itself, so that the upstream counts the arms apart."""
    return f"apicache-bench/{arm}"


def bench_client(concurrency: int, agent: str) -> httpx.AsyncClient:
    """A client that uses aiohttp's connections: httpx's own pool takes milliseconds a request at 32 in flight."""
    limits = httpx.Limits(max_connections=concurrency, keepalive_expiry=60)
    return httpx.AsyncClient(
        transport=AiohttpTransport(limits=limits, trust_env=False),
        timeout=TIMEOUT_SECONDS,
        headers={"User-Agent": agent},
        trust_env=False,  # a proxy of the environment would be measured instead
    )


def error_class(error: BaseException) -> str:
    """`HTTP 500` for an error answer, else the class of the innermost cause: `ConnectionRefusedError`."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
