"""Ways in which a cache goes wrong that real programs met: each is a call that must be answered as without a cache."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import os
import ssl
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pydantic
import pytest
import requests

from apicache import UnifiedAPICache, tagged
from apicache.clock import ManualClock
from apicache.credentials import storable_headers, storable_url
from apicache.errors import UnencodableError


def run_program(code: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, *arguments, "-c", code],
        cwd=folder,
        env={**environment, "APICACHE": "on", "XDG_CACHE_HOME": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_first_calls_may_come_from_threads_that_end(tmp_path: Path) -> None:
    code = """
import threading, asyncio, apicache
def f(x): return x
for i in range(3):
    thread = threading.Thread(target=apicache.cached_api_call_sync, args=(f, i)); thread.start(); thread.join()
asyncio.run(asyncio.to_thread(apicache.cached_api_call_sync, f, 9))
threads = [threading.Thread(target=apicache.cached_api_call_sync, args=(f, i)) for i in range(20)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print("ended")
"""
    for _ in range(3):
        done = run_program(code, tmp_path)
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_a_payload_changed_by_another_task_meanwhile_is_sent_as_it_was(cache: UnifiedAPICache, api: Any) -> None:
    payload: dict[str, int] = {}

    async def page(client: httpx.AsyncClient, n: int) -> Any:
        payload["page"] = n
        return (await cache.cached_api_call(client.post, f"{api.url}/search", json=payload)).json()["body"]

    async def run() -> list[Any]:
        async with httpx.AsyncClient() as client:
            return [*await asyncio.gather(page(client, 1), page(client, 2)), await page(client, 1)]

    assert [json.loads(body)["page"] for body in asyncio.run(run())] == [1, 2, 1]


def test_a_shared_clients_header_changed_meanwhile_gives_nobody_anothers_answer(
    cache: UnifiedAPICache, api: Any
) -> None:
    async def fetch(client: httpx.AsyncClient, user: str) -> None:
        client.headers["Authorization"] = user
        await cache.cached_api_call(client.get, f"{api.url}/me")

    async def run() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(fetch(client, "alice"), fetch(client, "bob"))

    asyncio.run(run())
    assert sorted(seen.headers["authorization"] for seen in api.seen) == ["alice", "bob"]


def test_an_argument_changed_while_the_load_runs_is_not_stored_under_what_it_was(cache: UnifiedAPICache) -> None:
    query = {"page": 1}
    gate = asyncio.Event()

    @cache.operation("pages")
    async def pages(query: dict[str, int]) -> int:
        await gate.wait()
        return query["page"]

    async def run() -> tuple[int, int]:
        calling = asyncio.create_task(cache.cached_api_call(operation="pages", query=query))
        await asyncio.sleep(0)
        query["page"] = 2
        gate.set()
        return await calling, await cache.cached_api_call(operation="pages", query={"page": 1})

    assert asyncio.run(run()) == (2, 1)


@pytest.mark.parametrize(
    "options",
    [
        lambda: {"params": {"id": map(str, (1, 2))}},
        lambda: {"params": zip("ab", "cd", strict=True)},
        lambda: {"data": {"id": map(str, (1, 2))}},
        lambda: {"data": [("id", iter("12"))]},
    ],
)
def test_iterators_anywhere_in_a_request_are_left_to_the_request(
    cache: UnifiedAPICache, api: Any, options: Callable[[], Any]
) -> None:
    requests.post(f"{api.url}/x", timeout=5, **options())
    cache.cached_api_call_sync(requests.post, f"{api.url}/x", timeout=5, **options())
    direct, through = api.seen
    assert (direct.path, direct.body) == (through.path, through.body)
    assert cache.get_stats()["bypassed"] == 1


def test_programs_without_a_project_file_share_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helpers.py").write_text(f"def fetch(x):\n    return 'project {name}'\n")
    code = (
        "import sys; sys.path.insert(0, '.'); import apicache, helpers; "
        "from apicache import settings; settings.project_file = lambda _: None; "
        "print(apicache.cached_api_call_sync(helpers.fetch, 1))"
    )
    assert [run_program(code, tmp_path / name).stdout.strip() for name in ("a", "b")] == ["project a", "project b"]


def test_main_programs_without_a_file_share_nothing(tmp_path: Path) -> None:
    programs = [
        f"import apicache\ndef load(x): return {n}\nprint(apicache.cached_api_call_sync(load, 0))" for n in (1, 2)
    ]
    (tmp_path / "pyproject.toml").touch()
    assert [run_program(program, tmp_path).stdout.strip() for program in programs] == ["1", "2"]


def tenant(name: str) -> Callable[[Callable[[int], str]], Callable[[int], str]]:
    def decorate(function: Callable[[int], str]) -> Callable[[int], str]:
        @functools.wraps(function)
        def call(n: int) -> str:
            return f"{name}: {function(n)}"

        return call

    return decorate


def fetch(n: int) -> str:
    return f"row {n}"


def test_wrappers_of_one_function_do_not_share(cache: UnifiedAPICache) -> None:
    acme, globex = tenant("acme")(fetch), tenant("globex")(fetch)
    for wrapped in (lambda f: functools.partial(cache.cached_api_call_sync, f), cache.cached(prefix="rows")):
        assert [wrapped(acme)(1), wrapped(globex)(1), wrapped(acme)(1)] == [
            "acme: row 1",
            "globex: row 1",
            "acme: row 1",
        ]


def test_closures_under_one_name_are_told_apart_by_what_they_closed_over(cache: UnifiedAPICache) -> None:
    view = cache.using(operation="completion")

    def ask(prompt: str) -> str:
        return view.cached_api_call_sync(lambda: f"answer to {prompt}")

    assert [ask("a"), ask("b"), ask("a")] == ["answer to a", "answer to b", "answer to a"]
    assert cache.get_stats()["cache_hits"] == 1


def test_a_closure_over_what_cannot_be_compared_is_called_uncached(cache: UnifiedAPICache) -> None:
    handle = object()
    view = cache.using(operation="completion")
    assert [view.cached_api_call_sync(lambda: id(handle)) for _ in range(2)] == [id(handle)] * 2
    assert cache.get_stats()["bypassed"] == 2


def test_two_functions_of_one_qualified_name_do_not_share(cache: UnifiedAPICache) -> None:
    def register() -> list[Callable[[int], str]]:
        @cache.cached(prefix="routes")
        def read(n: int) -> str:
            return f"item {n}"

        first = read

        @cache.cached(prefix="routes")
        def read(n: int) -> str:
            return f"user {n}"

        return [first, read]

    assert [read(1) for read in register()] == ["item 1", "user 1"]


@dataclasses.dataclass
class Source:
    name: str
    secret: dataclasses.InitVar[str]
    kind: ClassVar[object] = object()

    def __post_init__(self, secret: str) -> None:
        self.hidden = secret


class Subclass(Source):
    pass


class Document(pydantic.BaseModel):
    title: str
    _owner: str = pydantic.PrivateAttr(default="")


class Slotted(str):
    __slots__ = ("extra",)


def test_state_beyond_the_declared_fields_is_part_of_the_identity() -> None:
    assert tagged.canonical(Source("a", "x")) != tagged.canonical(Source("a", "y"))
    one, other = Subclass("a", "x"), Subclass("a", "x")
    other.region = "eu"
    assert tagged.canonical(one) != tagged.canonical(other)
    mine, yours = Document(title="t"), Document(title="t")
    yours._owner = "you"
    assert tagged.canonical(mine) != tagged.canonical(yours)


@pytest.mark.parametrize("value", [Slotted("a"), defaultdict(list)])
def test_builtins_subclasses_with_hidden_state_are_refused(value: Any) -> None:
    with pytest.raises(UnencodableError):
        tagged.canonical(value)


@pytest.mark.parametrize(("one", "other"), [("q=caf%E9", "q=caf%E8"), ("flag", "flag="), ("q=a+b", "q=a%20b")])
@pytest.mark.parametrize("library", [httpx, requests])
def test_urls_with_a_credential_differ_by_every_byte(
    cache: UnifiedAPICache, api: Any, library: Any, one: str, other: str
) -> None:
    for query in (one, other):
        cache.cached_api_call_sync(library.get, f"{api.url}/x?key=K&{query}")
    assert len({seen.path for seen in api.seen}) == len(api.seen)
    assert cache.get_stats()["cache_hits"] == 2 - len(api.seen)


def test_a_clients_default_encoding_decides_its_text(cache: UnifiedAPICache, api: Any) -> None:
    for encoding in ("utf-8", "latin-1"):
        with httpx.Client(default_encoding=encoding) as client:
            assert cache.cached_api_call_sync(client.get, f"{api.url}/x").default_encoding == encoding
    assert len(api.seen) == 2


def test_a_patched_transport_or_adapter_is_left_to_the_test_that_patched_it(
    cache: UnifiedAPICache, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invented(*_: Any, **__: Any) -> Any:
        return httpx.Response(200, text="invented", request=httpx.Request("GET", api.url))

    with httpx.Client() as client:
        monkeypatch.setattr(client._transport, "handle_request", invented)
        assert cache.cached_api_call_sync(client.get, api.url).text == "invented"
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", invented)
    with contextlib.suppress(Exception):
        cache.cached_api_call_sync(requests.get, api.url)
    assert cache.get_stats()["stored"] == 0


def test_a_proxy_from_the_environment_separates(
    cache: UnifiedAPICache, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.cached_api_call_sync(requests.get, f"{api.url}/x")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(requests.exceptions.ProxyError):
        cache.cached_api_call_sync(requests.get, f"{api.url}/x")


def test_a_shorter_ttl_at_the_call_is_kept(cache: UnifiedAPICache, clock: ManualClock) -> None:
    calls: list[int] = []
    cache.operation("rate", ttl=3600)(lambda: calls.append(1) or len(calls))
    cache.cached_api_call_sync(operation="rate")
    clock.advance(10)
    assert cache.using(ttl=11).cached_api_call_sync(operation="rate") == 1
    assert cache.using(ttl=10).cached_api_call_sync(operation="rate") == 2
    assert cache.using(ttl=0).cached_api_call_sync(operation="rate") == 3


def test_what_one_caller_stores_against_the_response_is_not_for_the_others(cache: UnifiedAPICache, api: Any) -> None:
    url = f"{api.url}/x?header=Cache-Control:no-store"
    cache.using(http="override").cached_api_call_sync(httpx.get, url)
    cache.cached_api_call_sync(httpx.get, url)
    cache.using(http="override").cached_api_call_sync(httpx.get, url)
    assert len(api.seen) == 2


@pytest.mark.parametrize("header", ["Expires:0", "Expires:Thu, 01 Jan 1970 00:00:00 GMT"])
def test_an_expired_response_is_not_stored(cache: UnifiedAPICache, api: Any, header: str) -> None:
    for _ in range(2):
        cache.cached_api_call_sync(httpx.get, f"{api.url}/x", params={"header": header})
    assert len(api.seen) == 2


@pytest.mark.parametrize("library", [httpx, requests])
def test_a_request_for_a_fresh_answer_gets_one(cache: UnifiedAPICache, api: Any, library: Any) -> None:
    for _ in range(2):
        cache.cached_api_call_sync(library.get, f"{api.url}/x", headers={"Cache-Control": "no-cache"})
    assert len(api.seen) == 2


def test_a_clearing_during_a_load_is_not_undone_by_it(cache: UnifiedAPICache) -> None:
    calls: list[int] = []

    @cache.operation("value")
    def value() -> int:
        calls.append(1)
        if len(calls) == 1:
            cache.clear()
        return len(calls)

    assert [cache.cached_api_call_sync(operation="value") for _ in range(3)] == [1, 2, 2]


def test_followers_that_fill_the_loops_threads_do_not_hold_up_the_leader(tmp_path: Path) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path)
    gate = asyncio.Event()
    cache.operation("f")(lambda n: n)

    async def run() -> list[int]:
        async with asyncio.timeout(20):
            leader = asyncio.create_task(cache.cached_api_call(operation="f", n=1))
            followers = [asyncio.to_thread(cache.cached_api_call_sync, operation="f", n=1) for _ in range(40)]
            gate.set()
            return [*await asyncio.gather(*followers), await leader]

    assert asyncio.run(run()) == [1] * 41
    cache.close()


def test_a_response_made_by_hand_is_returned_as_it_is(cache: UnifiedAPICache) -> None:
    cache.operation("made")(lambda: httpx.Response(200, json={"a": 1}))
    cache.operation("bare")(requests.Response)
    assert cache.cached_api_call_sync(operation="made").json() == {"a": 1}
    assert cache.cached_api_call_sync(operation="bare").status_code is None


def test_a_cancelled_calls_cleanup_ends_before_the_call_does(cache: UnifiedAPICache) -> None:
    steps: list[str] = []

    @cache.operation("slow")
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cache.cached_api_call(operation="slow"), timeout=0.02)
        steps.append("ended")

    asyncio.run(run())
    assert steps == ["cleaned up", "ended"]


def test_a_stopped_loop_holds_nobody_up(cache: UnifiedAPICache) -> None:
    entered = threading.Event()
    first = True

    @cache.operation("value")
    async def value() -> str:
        nonlocal first
        if first:
            first = False
            entered.set()
            await asyncio.Event().wait()
        return "fine"

    loop = asyncio.new_event_loop()
    task = loop.create_task(cache.cached_api_call(operation="value"))
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert entered.is_set()
    assert asyncio.run(cache.cached_api_call(operation="value")) == "fine"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_a_sync_decorator_over_an_async_function_stays_awaitable(cache: UnifiedAPICache) -> None:
    def retry(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            return function(*args)

        return call

    @cache.cached(prefix="sum")
    @retry
    async def add(one: int, other: int) -> int:
        return one + other

    assert asyncio.run(add(1, 2)) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://h/data?appid=SECRET",
        "https://h/f?code=SECRET&x=1",
        "https://h/bot123456:AAEabcdefghijklmnopqrSECRET1/send",
        "https://SECRET@h/",
        "https://u:SECRET@h/x#SECRET",
    ],
)
def test_no_part_of_a_stored_url_that_may_be_secret_is_kept(url: str) -> None:
    assert "SECRET" not in storable_url(url)
    assert storable_url(url).startswith("https://h/")


def test_stored_headers_lack_credentials_and_keep_the_rest() -> None:
    headers = [("X-Auth-Token", "s"), ("Set-Cookie", "s"), ("x-ratelimit-remaining-tokens", "5"), ("ETag", "e")]
    assert storable_headers(headers) == [["x-ratelimit-remaining-tokens", "5"], ["ETag", "e"]]
    assert storable_headers([("Location", "https://h/x?X-Amz-Signature=s")]) == [
        ["Location", "https://h/x?X-Amz-Signature=REDACTED"]
    ]


def test_the_names_inside_a_callers_data_are_not_logged(
    cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.operation("f")(lambda data: 1)
    for n in range(3):
        cache.cached_api_call_sync(operation="f", data={f"sk-SECRET-{n}": object()})
    assert "SECRET" not in caplog.text
    assert len(caplog.records) == 1


def test_a_client_certificate_needs_a_scope_of_its_own(cache: UnifiedAPICache, api: Any) -> None:
    """A certificate cannot be read off a client: the documented way to tell such callers apart is their scope."""
    for name in ("one", "other"):
        with httpx.Client(verify=ssl.create_default_context()) as client:
            cache.using(scope=name).cached_api_call_sync(client.get, f"{api.url}/x")
    assert len(api.seen) == 2
