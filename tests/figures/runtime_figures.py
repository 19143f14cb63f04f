"""What calls through the memory tier cost, in CPU time, against peers that are given an equal key.

An equal key is sha256 over the type-tagged encoding of the arguments: peers' own keys tell `1` from `"1"` no more than
they tell two calls apart whose arguments read alike.
"""

import asyncio
import copy
import hashlib
import itertools
import json
import pickle
import statistics
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiocache  # type: ignore[import-untyped]
import cachebox
import cachetools
import cashews
from cashews.formatter import default_formatter
from hit_ratio import hit_ratios, memory_ratio
from turns import Figure, Turn, added, at_most, in_turns, ratio, times_faster

from apicache import UnifiedAPICache
from apicache.tagged import canonical, decode, encode

CALLS = 2_000
TTL = 3_600
ROOM = 1_000_000
"""Entries that fit into a peer's cache; more than any row stores."""
BARE_CALLS = 25
CALLERS = 1_000
SEEDS = (1, 2, 3)
PROMPT = "What is the tallest mountain of the Alps?"
PROMPTS = (PROMPT,) * CALLS
SMALL = "x" * 200

AsyncCall = Callable[..., Awaitable[Any]]


def llm_response(length: int = 2_000) -> dict[str, Any]:
    """A chat completion with every field that the API sends, `length` bytes when encoded."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None, "annotations": []}
    response = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion",
        "created": 1_741_570_283,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1_117,
            "completion_tokens": 446,
            "total_tokens": 1_563,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
    }
    message["content"] = "y" * (length - len(encode(response)) - 2)  # a longer text's header is 2 bytes longer
    return response


def key_of(**parameters: Any) -> str:
    """The equal key."""
    return hashlib.sha256(canonical(parameters)).hexdigest()


def cached_by_cashews(value: Any) -> AsyncCall:
    """A function that cashews answers from memory; without the task that looks for expired entries each second."""
    cache = cashews.Cache()
    cache.setup("mem://", size=ROOM, check_interval=0)

    def equal(prompt: object) -> str:
        # When it decorates, cashews tries the template with a stand-in that has no content.
        return key_of(prompt=prompt) if type(prompt) is str else "*"

    default_formatter.register("equal", preformat=False)(equal)

    @cache(ttl=TTL, key="{prompt:equal}")
    async def answer(prompt: str) -> Any:
        return value

    return answer


def cached_by_aiocache(value: Any) -> AsyncCall:
    """A function that aiocache answers from memory."""

    def key_builder(_function: object, **parameters: Any) -> str:
        return key_of(**parameters)

    @aiocache.cached(ttl=TTL, key_builder=key_builder)  # type: ignore[untyped-decorator]
    async def answer(prompt: str) -> Any:
        return value

    return answer  # type: ignore[no-any-return]


def copied(call: AsyncCall) -> AsyncCall:
    """A copy that its caller may change, of the one object that the peer hands out."""

    async def fresh(prompt: str) -> Any:
        return copy.deepcopy(await call(prompt=prompt))

    return fresh


def unpickled(call: AsyncCall) -> AsyncCall:
    """The same, where the peer keeps the pickled answer."""

    async def fresh(prompt: str) -> Any:
        return pickle.loads(await call(prompt=prompt))  # noqa: S301 - pickled by this process

    return fresh


def ours(value: Any, **options: Any) -> UnifiedAPICache:
    """An isolated cache, in memory if no option says otherwise, with the operations `answer` and `answer_sync`."""
    cache = UnifiedAPICache.create(**options)

    @cache.operation("answer")
    async def answer(prompt: str) -> Any:
        return value

    @cache.operation("answer_sync")
    def answer_sync(prompt: str) -> Any:
        return value

    return cache


def floor(value: Any) -> AsyncCall:
    """The least that a hit does: key, look-up and decoding in one function."""
    store: cachebox.LRUCache[bytes, bytes] = cachebox.LRUCache(ROOM)
    store[hashlib.sha256(canonical({"prompt": PROMPT})).digest()] = encode(value)

    async def answer(**parameters: Any) -> Any:
        packed = store.get(hashlib.sha256(canonical(parameters)).digest())
        return None if packed is None else decode(packed)

    return answer


class AsyncTurns:
    """Turns of async calls, all in one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._run = runner.run

    def of(self, call: AsyncCall, prompts: Iterable[str] = PROMPTS) -> Turn:
        """The next `CALLS` prompts of an endless iterator, or all of a sequence, at each turn."""

        async def turn() -> None:
            for prompt in itertools.islice(prompts, CALLS):
                await call(prompt=prompt)

        return lambda: self._run(turn())

    def through(self, cache: UnifiedAPICache, prompts: Iterable[str] = PROMPTS) -> Turn:
        """The same calls by `cached_api_call`, without a function around it."""

        async def turn() -> None:
            call = cache.cached_api_call
            for prompt in itertools.islice(prompts, CALLS):
                await call(operation="answer", prompt=prompt)

        return lambda: self._run(turn())

    def bare(self, call: AsyncCall) -> Turn:
        """25 times as many calls."""

        async def turn() -> None:
            for _ in range(BARE_CALLS * CALLS):
                await call(PROMPT)

        return lambda: self._run(turn())

    def same(self, call: AsyncCall, **parameters: Any) -> bool:
        """Whether two calls are answered with one object: no copy is made."""

        async def twice() -> bool:
            return await call(**parameters) is await call(**parameters)

        return self._run(twice())


def small_hits(turns: AsyncTurns) -> list[Figure]:
    """A hit of 200 B."""
    seconds = in_turns(
        {
            "ours": turns.through(ours(SMALL)),
            "floor": turns.of(floor(SMALL)),
            "cashews": turns.of(cached_by_cashews(SMALL)),
            "aiocache": turns.of(cached_by_aiocache(SMALL)),
        },
        CALLS,
    )
    work = "memory hit by `cached_api_call(operation=..., prompt=...)`, 200 B value, against"
    return [
        *(
            times_faster(8, f"{work} the decorator of {peer} with an equal key", seconds["ours"], seconds[peer])
            for peer in ("cashews", "aiocache")
        ),
        at_most(
            3,
            f"{work} the floor (type-tagged key, sha256, cachebox get, decode)",
            seconds["ours"],
            seconds["floor"],
        ),
    ]


def logged_hit(turns: AsyncTurns) -> Figure:
    """What the usage log adds to a hit; the process-wide cache has it, and files, if nothing else is configured."""
    with tempfile.TemporaryDirectory() as folder:
        logging = ours(SMALL, directory=folder, usage_log=True)
        seconds = in_turns({"ours": turns.through(ours(SMALL)), "logged": turns.through(logging)}, CALLS)
        logging.close()
    told = at_most(0, "memory hit with the usage log on, against one without", seconds["logged"], seconds["ours"])
    return told._replace(bound="no bound", kept=True)


def response_hits(turns: AsyncTurns) -> list[Figure]:
    """A hit of 2 KB whose caller may change it.

    A peer hands out the one object that it keeps. Its users have two ways around that, and the faster one counts.
    """
    response, pickled = llm_response(), pickle.dumps(llm_response(), pickle.HIGHEST_PROTOCOL)
    cache = ours(response)
    ways = {"copy.deepcopy": (copied, response), "pickle.loads": (unpickled, pickled)}
    peers = {"cashews": cached_by_cashews, "aiocache": cached_by_aiocache}
    calls = {(peer, way): fresh(peers[peer](kept)) for peer in peers for way, (fresh, kept) in ways.items()}
    assert not turns.same(cache.cached_api_call, operation="answer", prompt=PROMPT)
    assert not any(turns.same(call, prompt=PROMPT) for call in calls.values())
    seconds = in_turns(
        {"ours": turns.through(cache), **{" ".join(names): turns.of(call) for names, call in calls.items()}}, CALLS
    )

    def figure(peer: str) -> Figure:
        by_way = {way: seconds[f"{peer} {way}"] for way in ways}
        ratios = {way: ratio(taken, seconds["ours"]) for way, taken in by_way.items()}
        faster, slower = sorted(ways, key=lambda way: ratios[way])
        beside = f"{ratios[slower]:.2f}x with {slower}"
        work = f"memory hit with a fresh mutable copy of a 2 KB LLM response, against {peer} and {faster} ({beside})"
        return times_faster(3, work, seconds["ours"], by_way[faster])

    return [figure(peer) for peer in peers]


def sync_hit() -> Figure:
    """A sync hit of 200 B against what is written by hand with cachetools."""
    cache = ours(SMALL)
    kept: cachetools.TLRUCache[str, str] = cachetools.TLRUCache(ROOM, ttu=lambda _key, _value, now: now + TTL)
    lock = threading.Lock()

    def by_hand(**parameters: Any) -> str:
        key = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
        with lock:
            found = kept.get(key)
            if found is None:
                found = kept[key] = SMALL
        return found

    def their_turn() -> None:
        for prompt in PROMPTS:
            by_hand(prompt=prompt)

    def our_turn() -> None:
        call = cache.cached_api_call_sync
        for prompt in PROMPTS:
            call(operation="answer_sync", prompt=prompt)

    seconds = in_turns({"ours": our_turn, "cachetools": their_turn}, CALLS)
    work = "sync hit, 200 B value, against cachetools' TLRUCache with a json and sha256 key"
    return times_faster(1, work, seconds["ours"], seconds["cachetools"])


def misses(turns: AsyncTurns) -> list[Figure]:
    """A miss whose loader does nothing."""

    def prompts() -> Iterable[str]:
        return map("{} {}".format, itertools.repeat(PROMPT), itertools.count())

    async def nothing(prompt: str) -> None:
        return None

    cache = ours(None)
    seconds = in_turns(
        {
            "ours": turns.through(cache, prompts()),
            "bare": turns.bare(nothing),
            "floor": turns.of(floor(SMALL)),
            "cashews": turns.of(cached_by_cashews(None), prompts()),
        },
        CALLS,
    )
    stats = cache.get_stats()
    assert stats["cache_hits"] == 0
    assert stats["stored"] == stats["cache_misses"]
    work = "miss with a no-op loader, memory tier, against"
    return [
        at_most(
            1, f"{work} 25 bare async calls and the floor", seconds["ours"], added(seconds["bare"], seconds["floor"])
        ),
        at_most(1, f"{work} cashews with an equal key", seconds["ours"], seconds["cashews"]),
    ]


def stampede(runner: asyncio.Runner) -> Figure:
    """How often a cold key that many ask for is loaded."""
    loads, cache = itertools.count(), UnifiedAPICache.create()

    @cache.operation("slow")
    async def slow(prompt: str) -> int:
        await asyncio.sleep(0.01)
        return next(loads)

    async def callers() -> list[Any]:
        return await asyncio.gather(*(cache.cached_api_call(operation="slow", prompt=PROMPT) for _ in range(CALLERS)))

    answers = runner.run(callers())
    assert answers == [0] * CALLERS
    made = next(loads)
    return Figure(
        f"{CALLERS:,} concurrent callers of a cold key", f"{made} load{'s'[: made != 1]}", "1 load", made == 1
    )


def hit_ratio() -> Figure:
    """Hit ratio on the seeded traces of `hit_ratio.trace`."""
    runs = [hit_ratios(seed) for seed in SEEDS]
    ours_, moka = (statistics.median(run[name] for run in runs) for name in ("apicache", "moka-py"))
    compared = statistics.median(run["apicache"] / run["moka-py"] for run in runs)
    return Figure(
        "hit ratio on a seeded Zipf 0.99 trace with scans, room for 10% of the entries, against moka",
        f"{ours_:.4f} against {moka:.4f} ({compared:.3f}x)",
        "at least moka's",
        compared >= 1,
    )


def memory(visits: int) -> Figure:
    """What a million entries take, each read `visits` times."""
    measured = memory_ratio(visits=visits)
    return Figure(
        f"memory of 1 million 200 B entries{' that were each read once' if visits else ''}: growth of the process, "
        "index and bookkeeping included, against the payloads' 200 MB",
        f"{measured:.2f}x",
        "at most 2x",
        measured <= 2,
    )


def measure() -> list[Figure]:
    """All rows of the memory tier."""
    with asyncio.Runner() as runner:
        turns = AsyncTurns(runner)
        figures = [
            *small_hits(turns),
            logged_hit(turns),
            *response_hits(turns),
            sync_hit(),
            *misses(turns),
            stampede(runner),
        ]
    return [*figures, hit_ratio(), memory(0), memory(1)]
