"""A real HTTP server that records what it is asked, and isolated caches on a clock that stands still."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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

    The query parameters `header=Name:value` add response headers.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
        content = json.dumps(document(parts.path, body, count)).encode()
        if parts.path == "/redirect":
            status, content = 302, b""
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        if parts.path == "/redirect":
            request.send_header("Location", "/landed")
        for extra in parse_qs(parts.query).get("header", []):
            name, _, value = extra.partition(":")
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
