"""The default workload: chat completions from the embedded upstream, or from a server that speaks OpenAI's format."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from apicache_scenarios.load.arms import Arm, CachedArm, DirectArm, observed
from apicache_scenarios.load.own_caches import cache_of, dispose
from apicache_scenarios.load.plan import ArmPlan
from apicache_scenarios.load.workload import Share

if TYPE_CHECKING:
    from apicache import UnifiedAPICache

MODEL: Final = "gpt-4o-mini"
OPERATION: Final = "completion"
TTL: Final = "1h"
TIMEOUT_SECONDS: Final = 30.0
WARM_UP: Final = "warm-up"


class EmbeddedSource(msgspec.Struct, frozen=True, kw_only=True, tag="embedded"):
    """`url` + /v1/chat/completions is asked for one completion a case; caches of files lie in `directory`."""

    url: str
    population: int
    concurrency: int
    directory: str

    def open(self, arms: Sequence[ArmPlan], share: Share) -> "EmbeddedWorkload":
        """Caches and clients for the arms."""
        return EmbeddedWorkload(self, arms, share)


class EmbeddedWorkload:
    """One operation whose cases are prompts."""

    groups: Sequence[tuple[float, Sequence[int]]] = ()

    def __init__(self, source: EmbeddedSource, arms: Sequence[ArmPlan], share: Share) -> None:
        self._source = source
        self._caches: list[UnifiedAPICache] = []
        self._clients: dict[str, httpx.AsyncClient] = {}
        self.arms: Mapping[str, Arm] = {arm.name: self._arm(arm, share) for arm in arms}

    def _arm(self, plan: ArmPlan, share: Share) -> Arm:
        client = self._clients[plan.name] = bench_client(self._source.concurrency, user_agent(plan.name))
        url = completions(self._source.url)
        operations = [OPERATION] * self._source.population

        async def completion(prompt: str) -> Any:
            return (await client.post(url, json=body(prompt))).raise_for_status().json()

        if not plan.uses_cache:
            return DirectArm(plan.name, operations, lambda key: completion(prompt_of(key)), plan.max_calls)
        folder = Path(self._source.directory) / plan.name
        cache = cache_of(plan.tiers or ("memory", "disk"), folder, policy={})
        self._caches.append(cache)
        cache.operation(OPERATION, ttl=TTL)(observed(completion))
        calls = [{"operation": OPERATION, "prompt": prompt_of(key)} for key in range(self._source.population)]
        limit = None if plan.max_calls is None else max(1, share.of(plan.max_calls))
        return CachedArm(plan.name, operations, lambda key: cache.cached_api_call(**calls[key]), cache, limit)

    async def warm_up(self) -> None:
        """Open each client's connections, by calls that no arm makes."""
        url = completions(self._source.url)
        headers = {"User-Agent": user_agent(WARM_UP)}

        async def one(client: httpx.AsyncClient) -> None:
            with suppress(httpx.HTTPError):  # an arm's own calls tell what is wrong
                await client.post(url, json=body(WARM_UP), headers=headers)

        await asyncio.gather(
            *(one(client) for client in self._clients.values() for _ in range(self._source.concurrency))
        )

    def costs(self) -> Mapping[str, float]:
        """Nothing is paid."""
        return {}

    async def aclose(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await client.aclose()

    def close(self) -> None:
        """Close the caches."""
        for cache in self._caches:
            dispose(cache)


def prompt_of(key: int) -> str:
    """A case's prompt."""
    return f"Analyze financial scenario {key}"


def body(prompt: str) -> dict[str, Any]:
    """A request for a completion."""
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}


def completions(base_url: str) -> str:
    """Where completions are asked for."""
    return f"{base_url}/v1/chat/completions"


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
