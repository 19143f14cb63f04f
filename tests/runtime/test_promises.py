"""Promises that cross the modules: secrets stay out, imports stay light, processes share a folder."""

import asyncio
import contextlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import redis
import requests

from apicache import UnifiedAPICache
from apicache.errors import ApicacheError
from apicache.hooks import CacheEvent
from apicache.tiers.memory import MemoryTier

SECRET = "sk-planted-5f1e"


def run_python(code: str, *args: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, "APICACHE": "on", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Told:
    """All that a cache says about itself while it is used with a planted secret."""

    def __init__(self) -> None:
        self.events: list[CacheEvent] = []
        self.errors: list[str] = []
        self.stats: dict[str, Any] = {}

    def text(self) -> str:
        return json.dumps(self.stats) + repr(self.events) + "".join(self.errors)


def use_with_secrets(cache: UnifiedAPICache, url: str) -> Told:
    """Calls with the secret in a header, a key, a URL, an operation's parameter and a scope, and what came of them."""
    told = Told()
    cache.add_hook(told.events.append)
    headers = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}
    for secret_url in (f"{url}/x?api_key={SECRET}", f"{url}/status/500?token={SECRET}"):
        for _ in range(2):
            cache.cached_api_call_sync(requests.get, secret_url, headers=headers, auth=("user", SECRET))
            cache.cached_api_call_sync(httpx.get, secret_url, headers=headers, cookies={"session": SECRET})
    with openai.OpenAI(api_key=SECRET, base_url=f"{url}/v1") as client:
        message = {"role": "user", "content": "hello"}
        cache.cached_api_call_sync(client.chat.completions.create, model="m", messages=[message])
    use_operations_with_secrets(cache, told)
    cache.invalidate_sync(operation="look_up", tags=["items"])
    cache.cached_api_call_sync(operation="look_up", item=1, api_key=SECRET)
    assert cache.flush(20)
    told.stats = cache.get_stats()
    return told


def use_operations_with_secrets(cache: UnifiedAPICache, told: Told) -> None:
    held = threading.Event()
    cache.operation("look_up", record=True, tags=["items"])(lambda item, api_key: {"item": item})
    cache.operation("long", record=True)(lambda api_key: {"text": "a long answer " * 500})
    cache.operation("slow", hard_timeout=0.01)(lambda api_key: held.wait(10))
    cache.operation("odd", record=True)(lambda api_key, options: object())

    async def look_up(item: int) -> Any:
        return await cache.cached_api_call(operation="look_up", item=item, api_key=SECRET)

    cache.cached_api_call_sync(operation="long", api_key=SECRET)
    for item in (1, 1, 2):
        asyncio.run(look_up(item))
        cache.using(scope=SECRET).cached_api_call_sync(operation="look_up", item=item, api_key=SECRET)
        cache.using(scope=lambda: SECRET).cached_api_call_sync(operation="look_up", item=item, api_key=SECRET)
        cache.using(key=SECRET).cached_api_call_sync(operation="look_up", item=item, api_key="another")
    cache.cached_api_call_sync(operation="odd", api_key=SECRET, options={SECRET: object()})
    cache.cached_api_call_sync(operation="odd", api_key=SECRET, options=1)
    refused: list[Callable[[], object]] = [
        lambda: cache.cached_api_call_sync(operation="slow", api_key=SECRET),
        lambda: cache.key_of(operation="odd", api_key=SECRET, options={SECRET: object()}),
        lambda: cache.cached_api_call_sync(operation="look_up", api_key=SECRET),
    ]
    for refuse in refused:
        with pytest.raises((ApicacheError, TypeError)) as raised:
            refuse()
        told.errors.append(f"{raised.value!r} {raised.value}")
    held.set()
    with pytest.raises(Exception, match="No connection adapters"):
        cache.cached_api_call_sync(requests.get, f"nothttp://{SECRET}@host/")


def stored_in_redis(url: str) -> list[tuple[bytes, object]]:
    """Every name and what it holds."""
    readers: dict[bytes, str] = {b"string": "get", b"hash": "hgetall"}
    with redis.Redis.from_url(url) as client:
        return [(name, getattr(client, readers[client.type(name)])(name)) for name in client.scan_iter()]


@pytest.mark.parametrize("where", ["disk", "redis"])
def test_a_planted_secret_is_found_nowhere(
    where: str, tmp_path: Path, api: Any, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    if where == "disk":
        cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True, tier_timeout=10.0)
    else:
        tier = request.getfixturevalue("make_redis")(request.getfixturevalue("redis_url"))
        cache = UnifiedAPICache.create(tiers=[MemoryTier(), tier], tier_timeout=10.0)
    with caplog.at_level(logging.DEBUG, logger="apicache"):
        told = use_with_secrets(cache, api.url)
    (far,) = cache._engine.tiers.shared
    entries, markers = list(far.entries()), list(far.markers())
    cache.close()
    kinds = {event.kind for event in told.events}
    assert kinds >= {"hit", "miss", "stored", "not_stored", "bypassed", "invalidated"}
    assert len(entries) >= 8
    assert {marker.value for marker in markers} == {"look_up", "items"}
    for text in (told.text(), caplog.text, repr(entries), repr(markers)):  # whole, for what is stored is compressed
        assert SECRET not in text
    if where == "redis":
        found = stored_in_redis(request.getfixturevalue("redis_url"))
        assert len(found) > len(entries)
        assert SECRET not in repr(found)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (tmp_path / "usage.db" in written) is (where == "disk")
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path.name
        assert SECRET not in str(path.relative_to(tmp_path))


def test_the_usage_log_keeps_recorded_parameters_without_the_secret(tmp_path: Path) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True)
    cache.operation("look_up", record=True)(lambda item, api_key: {"item": item})
    cache.cached_api_call_sync(operation="look_up", item="an item", api_key=SECRET)
    assert cache.flush()
    cache.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "usage.db")) as log:
        written = "\n".join(log.iterdump())
    assert "an item" in written
    assert SECRET not in written
    assert SECRET.encode().hex().upper() not in written


def test_the_stored_url_is_redacted_but_the_callers_response_has_its_own(tmp_path: Path, api: Any) -> None:
    for library in (requests, httpx):
        cache = UnifiedAPICache.create(directory=tmp_path)
        url = f"{api.url}/x?api_key={SECRET}&q=1"
        responses = [cache.cached_api_call_sync(library.get, url) for _ in range(2)]
        cache.close()
        assert [str(response.url) for response in responses] == [url, url]


def test_importing_apicache_loads_no_client_library_and_no_store() -> None:
    heavy = ["httpx", "requests", "openai", "diskcache", "redis", "pydantic", "libcst", "typer", "rich", "sqlite3"]
    loaded = run_python(
        f"import sys; from apicache import cached_api_call; print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_what_only_some_calls_need_is_loaded_with_them() -> None:
    parts = ["adapters.httpx", "credentials", "http_semantics", "http_snapshots", "httpx_family"]  # calls of libraries
    parts += ["archive", "envelope", "sealing", "tiers", "writer"]  # entries that leave the process
    parts += ["defaults", "setting_sources", "setting_values", "settings"]  # the first call
    parts += ["shared_state", "usage", "usage_feed", "usage_folding", "usage_log"]  # caches that log
    late = [f"apicache.{part}" for part in parts]
    late += ["email", "hashlib", "importlib.util", "pathlib", "pkgutil", "random", "tomllib", "urllib", "zlib"]
    program = (
        "import sys, asyncio, msgspec; before = set(sys.modules)\n"
        f"from apicache import cached_api_call; print([name for name in {late!r} if name in set(sys.modules) - before])"
    )
    assert run_python(program).strip() == "[]"


def test_the_package_offers_its_surface_and_nothing_else() -> None:
    import apicache

    assert set(apicache.__all__) <= set(dir(apicache))
    assert "cached_api_call" in apicache.__all__
    with pytest.raises(AttributeError, match="no attribute 'cached_api_cal'"):
        _ = apicache.cached_api_cal
    with pytest.raises(ImportError, match="cached_api_cal"):
        from apicache import cached_api_cal  # noqa: F401 - it must fail


PROGRAM = """
import asyncio, sys, apicache
calls = 0
def look_up(item):
    global calls
    calls += 1
    return {"item": item}
apicache.operation("look_up")(look_up)
print(apicache.cached_api_call_sync(operation="look_up", item=sys.argv[1]), calls)
"""


def test_processes_share_the_projects_folder(tmp_path: Path) -> None:
    printed = [run_python(PROGRAM, "a", APICACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert printed == ["{'item': 'a'} 1\n", "{'item': 'a'} 0\n"]
    assert run_python(PROGRAM, "a", APICACHE_DIR=str(tmp_path), APICACHE="off") == "{'item': 'a'} 1\n"


def test_two_scripts_functions_of_one_name_do_not_share(tmp_path: Path) -> None:
    for name, answer in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.py").write_text(
            f"import apicache\ndef f(x):\n    return {answer}\nprint(apicache.cached_api_call_sync(f, 0))\n"
        )
    printed = [
        subprocess.run(
            [sys.executable, str(tmp_path / f"{name}.py")],
            env={**os.environ, "APICACHE": "on", "APICACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for name in ("one", "two")
    ]
    assert printed == ["1", "2"]


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    printed = run_python(PROGRAM, "a", APICACHE_DIR=str(tmp_path / "file" / "cache"))
    assert printed == "{'item': 'a'} 1\n"


def test_an_event_loop_that_ends_loses_nothing(tmp_path: Path) -> None:
    calls: list[int] = []
    cache = UnifiedAPICache.create(directory=tmp_path)

    @cache.operation("once")
    async def once(n: int) -> int:
        calls.append(n)
        return n

    for _ in range(3):
        assert asyncio.run(cache.cached_api_call(operation="once", n=1)) == 1
    cache.close()
    again = UnifiedAPICache.create(directory=tmp_path)
    again.operation("once")(once)
    assert asyncio.run(again.cached_api_call(operation="once", n=1)) == 1
    again.close()
    assert calls == [1]
