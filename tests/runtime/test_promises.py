"""Promises that cross the modules: secrets stay out, imports stay light, processes share a folder."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import requests

from apicache import UnifiedAPICache

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


def test_a_planted_secret_is_found_nowhere(tmp_path: Path, api: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path)
    headers = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}
    with caplog.at_level(logging.DEBUG, logger="apicache"):
        for url in (f"{api.url}/x?api_key={SECRET}", f"{api.url}/status/500?token={SECRET}"):
            for _ in range(2):
                cache.cached_api_call_sync(requests.get, url, headers=headers, auth=("user", SECRET))
                cache.cached_api_call_sync(httpx.get, url, headers=headers, cookies={"session": SECRET})
        with openai.OpenAI(api_key=SECRET, base_url=f"{api.url}/v1") as client:
            message = {"role": "user", "content": "hello"}
            cache.cached_api_call_sync(client.chat.completions.create, model="m", messages=[message])
        with pytest.raises(Exception, match="No connection adapters"):
            cache.cached_api_call_sync(requests.get, f"nothttp://{SECRET}@host/")
    stats = json.dumps(cache.get_stats())
    assert cache.get_stats()["stored"] == 3
    cache.close()
    assert SECRET not in stats
    assert SECRET not in caplog.text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path.name
        assert SECRET not in path.name


def test_the_stored_url_is_redacted_but_the_callers_response_has_its_own(tmp_path: Path, api: Any) -> None:
    for library in (requests, httpx):
        cache = UnifiedAPICache.create(directory=tmp_path)
        url = f"{api.url}/x?api_key={SECRET}&q=1"
        responses = [cache.cached_api_call_sync(library.get, url) for _ in range(2)]
        cache.close()
        assert [str(response.url) for response in responses] == [url, url]


def test_importing_apicache_loads_no_client_library_and_no_store() -> None:
    heavy = ["httpx", "requests", "openai", "diskcache", "moka_py", "pydantic", "libcst", "typer", "rich", "sqlite3"]
    loaded = run_python(
        f"import sys; from apicache import cached_api_call; print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert loaded.strip() == "[]"


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
