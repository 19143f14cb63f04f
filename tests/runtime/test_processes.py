"""What processes promise each other: one load in all, no wait for the dead, invalidations that arrive."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.errors import LoadTimeoutError
from apicache.tier import SharedTier, Tier, TierPlace
from apicache.tiers import build
from apicache.tiers.memory import MemoryTier

Call = Callable[..., Any]

TIMEOUT = 10.0
"""Seconds that a tier may take: a busy machine is no failure."""

PROGRAM = """
import asyncio, os, pathlib, sys, time
from apicache import UnifiedAPICache, leases
from apicache.tier import TierPlace
from apicache.tiers import build

kind, folder, url, loads, job = sys.argv[1:]
leases.LEASE_SECONDS = 0.9
place = TierPlace(directory=pathlib.Path(folder), options={"url": url} if kind == "redis" else {}, timeout=10.0)
cache = UnifiedAPICache.create(tiers=[build("memory", TierPlace(directory=place.directory)), build(kind, place)])

@cache.operation("look_up", ttl=1000)
def look_up(item):
    with open(loads, "a") as file:
        file.write("loaded\\n")
    if job == "hang":
        print("loading", flush=True)
        sys.stdin.read()
    time.sleep(0.05)
    return {"item": item, "by": job}

@cache.operation("look_up_async", ttl=1000)
async def look_up_async(item):
    with open(loads, "a") as file:
        file.write("loaded\\n")
    await asyncio.sleep(0.05)
    return {"item": item, "by": job}

print("ready", flush=True)
sys.stdin.readline()
if job == "invalidate":
    cache.invalidate_sync(operation="look_up")
elif job == "async":
    async def main():
        return await asyncio.gather(*(cache.cached_api_call(operation="look_up_async", item=1) for _ in range(10)))
    print({answer["item"] for answer in asyncio.run(main())}, flush=True)
else:
    print(cache.cached_api_call_sync(operation="look_up", item=1)["item"], flush=True)
cache.flush(20)
cache.close()
"""


def until(met: Callable[[], bool], what: str) -> None:
    """Return when it is true; fail when it is not for long."""
    pause = threading.Event()
    assert any(met() or pause.wait(0.01) for _ in range(2000)), what


class Process:
    """A process of `PROGRAM`; it does its job when it is told to go."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
            env={**os.environ, "APICACHE": "on"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> tuple[str, str]:
        """What else it printed, and its errors."""
        out, errors = self.process.communicate(timeout=60)
        return out.strip(), errors

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(params=["disk", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_url")) if kind == "redis" else ""


@pytest.fixture
def start(kind: str, url: str, tmp_path: Path) -> Iterator[Callable[..., list[Process]]]:
    """`start(*jobs)` starts processes and waits until they are ready to go; they end with the test."""
    started: list[Process] = []

    def begin(*jobs: str) -> list[Process]:
        begun = [Process(kind, str(tmp_path), url, str(tmp_path / "loads"), job) for job in jobs]
        started.extend(begun)
        for process in begun:
            assert process.read() == "ready", process.end()
        return begun

    yield begin
    for process in started:
        process.kill()


@pytest.fixture
def tier(kind: str, url: str, tmp_path: Path) -> Iterator[SharedTier]:
    """This process's own tier over the store of the others."""
    options = {"url": url} if kind == "redis" else {}
    built = build(kind, TierPlace(directory=tmp_path, options=options, timeout=TIMEOUT))
    assert isinstance(built, SharedTier)
    yield built
    built.close()


class Node:
    """A cache of its own, whose answers are what the source says at the moment of the load."""

    def __init__(self, *tiers: Tier) -> None:
        self.cache = UnifiedAPICache.create(tiers=[MemoryTier(), *tiers])
        self.says: Any = 0
        self.cache.operation("look_up", ttl=1000, tags=["items"])(lambda item: self.says)

    def ask(self) -> Any:
        return self.cache.cached_api_call_sync(operation="look_up", item=1)


@pytest.fixture
def node(tier: SharedTier) -> Iterator[Node]:
    made = Node(tier)
    yield made
    made.cache.close()


# One load in all


@pytest.mark.parametrize("jobs", [["sync"] * 4, ["async"] * 4, ["async", "sync"] * 2], ids=["sync", "async", "mixed"])
def test_four_processes_load_a_key_once(jobs: list[str], start: Call, tmp_path: Path) -> None:
    processes = start(*jobs)
    for process in processes:
        process.go()
    ended = [process.end() for process in processes]
    assert [errors for _, errors in ended] == [""] * 4
    assert [out for out, _ in ended] == ["{1}" if job == "async" else "1" for job in jobs]
    # The two operations are two keys.
    assert (tmp_path / "loads").read_text().count("loaded") == len(set(jobs))


# Waiting for another's load


def refused(tier: SharedTier) -> threading.Event:
    """Set when the tier has refused a lease, because another has it."""
    event, plain = threading.Event(), tier.claim

    def claim(key: bytes, owner: str, seconds: float) -> bool:
        claimed = plain(key, owner, seconds)
        if not claimed:
            event.set()
        return claimed

    tier.claim = claim  # type: ignore[method-assign]
    return event


def hanging(start: Call) -> Process:
    """A process in the midst of a load that does not end."""
    (owner,) = start("hang")
    owner.go()
    assert owner.read() == "loading", owner.end()
    return owner  # type: ignore[no-any-return]


def test_a_waiter_takes_over_from_a_killed_owner(call: Call, start: Call, node: Node, tier: SharedTier) -> None:
    owner = hanging(start)
    waits = refused(tier)
    node.says = "taken over"
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(call(node.cache, operation="look_up", item=1)))
    waiter.start()
    assert waits.wait(30)
    assert answers == []  # the owner lives
    owner.kill()
    waiter.join(30)
    assert answers == ["taken over"]


def test_a_lease_is_extended_while_its_owner_loads(start: Call, node: Node, tier: SharedTier) -> None:
    hanging(start)
    key = bytes.fromhex(node.cache.key_of(operation="look_up", item=1))
    pause = threading.Event()
    # Its lease lasts 0.9 seconds, and this is longer.
    assert not any(tier.claim(key, "another", 0.1) or pause.wait(0.05) for _ in range(40))


def test_a_waiter_does_not_wait_past_its_hard_timeout(call: Call, start: Call, node: Node) -> None:
    owner = hanging(start)
    with pytest.raises(LoadTimeoutError, match=r"hard_timeout of 0\.2 s"):
        call(node.cache.using(hard_timeout=0.2), operation="look_up", item=1)
    owner.kill()
    assert node.cache.flush(30)


def test_waiters_of_one_loop_do_not_wait_past_their_hard_timeouts(start: Call, node: Node) -> None:
    owner = hanging(start)
    asking = node.cache.using(hard_timeout=0.2)

    async def main() -> list[Any]:
        calls = (asking.cached_api_call(operation="look_up", item=1) for _ in range(10))
        return await asyncio.gather(*calls, return_exceptions=True)

    assert {type(answer) for answer in asyncio.run(main())} == {LoadTimeoutError}
    owner.kill()


# Invalidation


def test_an_invalidation_by_another_process_reaches_memory(start: Call, node: Node) -> None:
    assert node.ask() == 0
    assert node.cache.flush()
    (other,) = start("invalidate")
    node.says = 1
    assert node.ask() == 0
    other.go()
    assert other.end() == ("", "")
    until(lambda: node.ask() == 1, "the invalidation")
    # Through the news alone: the store is not asked for what memory has.
    assert node.cache.get_stats()["tier_hits"].keys() == {"memory"}


@pytest.fixture
def pair(kind: str, url: str, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes over one store."""
    options = {"url": url} if kind == "redis" else {}
    place = TierPlace(directory=tmp_path, options=options, timeout=TIMEOUT)
    one, other = Node(build(kind, place)), Node(build(kind, place))
    yield one, other
    for node in (one, other):
        node.cache.close()


@pytest.mark.parametrize(
    "invalidate",
    [
        lambda cache: cache.invalidate_sync(tags=["items"]),
        lambda cache: cache.invalidate_sync(everything=True),
        lambda cache: cache.invalidate_sync(key=cache.key_of(operation="look_up", item=1)),
        lambda cache: cache.expire_sync(prefix="look"),
        lambda cache: asyncio.run(cache.invalidate(operation="look_up")),
        lambda cache: cache.clear(),
    ],
    ids=["tag", "everything", "key", "expired prefix", "operation", "clear"],
)
def test_invalidation_on_one_node_reaches_the_others_memory(invalidate: Call, pair: tuple[Node, Node]) -> None:
    one, other = pair
    assert (one.ask(), one.cache.flush(), other.ask()) == (0, True, 0)
    one.says = other.says = 1
    assert (one.ask(), other.ask()) == (0, 0)
    invalidate(one.cache)
    assert one.ask() == 1
    until(lambda: other.ask() == 1, "the invalidation")


# A cut backplane


@pytest.fixture
def apart(make_redis: Call, own_redis: Any) -> Iterator[tuple[Node, Node]]:
    """Two nodes over one Redis that the test cuts off."""
    one, other = (Node(make_redis(own_redis.url, timeout=2.0)) for _ in range(2))
    yield one, other
    for node in (one, other):
        node.cache.close()


@pytest.mark.parametrize(("cut", "restore"), [("kill", "start"), ("freeze", "thaw")], ids=["killed", "frozen"])
def test_two_nodes_converge_after_a_cut(cut: str, restore: str, apart: tuple[Node, Node], own_redis: Any) -> None:
    one, other = apart
    assert (one.ask(), one.cache.flush(), other.ask()) == (0, True, 0)
    getattr(own_redis, cut)()
    for says, node in (("one's", one), ("other's", other)):
        node.says = says
        node.cache.invalidate_sync(tags=["items"])
        assert node.ask() == says
    assert one.ask() == "one's"  # cut off, it could not hear
    one.says, other.says = "one's, restored", "other's, restored"
    getattr(own_redis, restore)()
    until(lambda: one.cache.flush() and other.cache.flush(), "the end of the cut")
    until(lambda: one.ask() == other.ask(), "one answer on both nodes")
    assert one.ask().endswith("restored")


def test_an_invalidation_during_a_cut_reaches_a_node_that_wrote_nothing(
    apart: tuple[Node, Node], own_redis: Any
) -> None:
    one, other = apart
    assert (one.ask(), one.cache.flush(), other.ask()) == (0, True, 0)
    own_redis.kill()
    one.cache.invalidate_sync(tags=["items"])
    one.says = other.says = 1
    assert (one.ask(), other.ask()) == (1, 0)
    own_redis.start()
    until(lambda: other.ask() == 1, "the invalidation")
