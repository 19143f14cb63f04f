"""How many calls the chain answers when its providers fail at random, on a virtual clock.

100,000 calls one after another, by the chain alone; and through a whole cache many at once, where a breaker that opens
for nothing would cost most.
"""

import asyncio
import random
import selectors
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import stamina.instrumentation

from apicache import UnifiedAPICache
from apicache.answers import Completion
from apicache.clock import ManualClock
from apicache.provider import ProviderCall, ProviderError, Reply, Request, Response, Tokens

CALLS = 100_000
CALLS_AT_ONCE = 2_000
ARRIVALS = 200
"""Calls a second."""
SECONDS = {"anthropic": 0.8, "openai": 1.2}
"""What an attempt takes."""


class VirtualSelector(selectors.SelectSelector):
    """Where a loop would wait, its clock jumps."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = VirtualSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


class LoopClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return 1_700_000_000.0 + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()


class Plain:
    """A provider of which only the failures matter."""

    operations = frozenset({"completion"})

    def __init__(self, name: str) -> None:
        self.name = name
        self.key_variable = f"{name.upper()}_API_KEY"
        self._request = Request(method="POST", url="http://upstream.test/", headers={}, body=b"")
        answer = Completion(text="yes", provider=name, model="m")
        self._reply = Reply(value=answer, model="m", tokens=Tokens(input=10, output=2))

    def account(self) -> tuple[None, None]:
        return None, None

    def model_for(self, operation: str) -> str:
        return "m"

    def request(self, call: ProviderCall) -> Request:
        return self._request

    def reply(self, call: ProviderCall, response: Response) -> Reply:
        return self._reply


class UnreliableSender:
    """Each provider fails that share of its attempts, by itself, at any time."""

    def __init__(self, failing: dict[str, float], clock: ManualClock | None = None) -> None:
        self.attempts: Counter[str] = Counter()
        self._failing = failing
        self._random = random.Random(7)  # noqa: S311 - chance, reproducible
        self._clock = clock

    def _answer(self, provider: str) -> Response:
        self.attempts[provider] += 1
        if self._random.random() < self._failing[provider]:
            raise ProviderError(f"{provider} was not reached", "unavailable")
        return Response(status=200, headers={}, body=b"")

    async def send(self, provider: str, request: Request, seconds: float) -> Response:
        await asyncio.sleep(SECONDS[provider])
        return self._answer(provider)

    def send_sync(self, provider: str, request: Request, seconds: float) -> Response:
        assert self._clock is not None
        self._clock.advance(SECONDS[provider])
        return self._answer(provider)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k1")
    monkeypatch.setenv("OPENAI_API_KEY", "k2")
    monkeypatch.delenv("APICACHE_MOCK", raising=False)
    stamina.instrumentation.set_on_retry_hooks([])  # thousands of log records are no part of what is under test
    random.seed(7)
    yield
    stamina.instrumentation.set_on_retry_hooks(None)


def cache_of(sender: UnreliableSender, clock: Any, providers: dict[str, Any]) -> UnifiedAPICache:
    cache = UnifiedAPICache.create(clock=clock, sender=sender, providers={"order": list(SECONDS), **providers})
    cache._engine.providers._named.update({name: Plain(name) for name in SECONDS})
    return cache


def unanswered(
    monkeypatch: pytest.MonkeyPatch, failing: dict[str, float], **providers: Any
) -> tuple[int, UnreliableSender]:
    """How many of the calls raise, and what was sent."""
    clock = ManualClock()
    monkeypatch.setattr(time, "sleep", clock.advance)
    sender = UnreliableSender(failing, clock)
    cache = cache_of(sender, clock, providers)
    bound = cache._bound_operation("completion")
    failed = 0
    for _ in range(CALLS):
        plan = bound.plan({"prompt": "x"})
        try:
            while True:
                try:
                    plan.load_sync()
                    break
                except ProviderError as error:
                    plan = plan.instead(plan, error)
        except ProviderError:
            failed += 1
    return failed, sender


def test_two_providers_that_each_fail_a_tenth_answer_999_of_1000_with_one_retry_each(monkeypatch) -> None:
    failing = {"anthropic": 0.1, "openai": 0.1}
    failed, sender = unanswered(monkeypatch, failing, retries=1, retries_alone=1)
    assert failed <= CALLS // 1000
    assert sender.attempts["openai"] < sender.attempts["anthropic"] / 50


def test_with_one_provider_down_the_defaults_answer_999_of_1000(monkeypatch) -> None:
    failed, sender = unanswered(monkeypatch, {"anthropic": 1.0, "openai": 0.1})
    assert failed <= CALLS // 1000
    assert sender.attempts["anthropic"] < CALLS // 20  # its breaker keeps the calls away


@pytest.mark.parametrize("down", [None, *SECONDS])
def test_many_calls_at_once_through_a_cache_are_answered_as_well(down: str | None) -> None:
    failing = {"anthropic": 0.1, "openai": 0.1} | ({} if down is None else {down: 1.0})
    sender = UnreliableSender(failing)
    loop = VirtualLoop()
    cache = cache_of(sender, LoopClock(loop), {})

    async def main() -> list[Any]:
        calls = []
        for number in range(CALLS_AT_ONCE):
            calls.append(asyncio.ensure_future(cache.cached_api_call(operation="completion", prompt=str(number))))
            if number % ARRIVALS == 0:
                await asyncio.sleep(1)
        return await asyncio.gather(*calls, return_exceptions=True)

    try:
        answers = loop.run_until_complete(main())
    finally:
        loop.close()
    failed = [answer for answer in answers if not isinstance(answer, Completion)]
    assert all(isinstance(answer, ProviderError) for answer in failed)
    assert len(failed) <= CALLS_AT_ONCE // 1000
    assert cache.get_stats()["cache_misses"] == CALLS_AT_ONCE - len(failed)
    cache.close()
