"""The sender over real HTTP, sync and async."""

import asyncio
import contextlib
import gc
import gzip
import importlib.util
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from apicache.chain import senders
from apicache.chain.senders import HTTPSender
from apicache.provider import ProviderError, Request, Response

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

SECRET = "planted-secret-9931"
Send = Callable[..., Response]


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Any:
    sender = HTTPSender()

    def by_sync(given: Request, seconds: float = 5.0) -> Response:
        return sender.send_sync("someone", given, seconds)

    def by_async(given: Request, seconds: float = 5.0) -> Response:
        return asyncio.run(sender.send("someone", given, seconds))

    yield by_sync if request.param == "sync" else by_async
    sender.close()


def request_to(url: str, **headers: str) -> Request:
    return Request(method="POST", url=url, headers={"Authorization": f"Bearer {SECRET}", **headers}, body=b'{"a": 1}')


def refused(send: Send, *given: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        send(*given)
    error = raised.value
    assert SECRET not in repr(error)
    assert error.__context__ is None  # httpx's error would bring the request with it
    assert error.__cause__ is None
    return error


def test_a_request_arrives_as_it_is_and_its_response_is_read_to_its_end(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(b"body", 418, {"X-Told": "Yes"}))
    found = send(request_to(f"{upstream.url}/any", **{"X-Own": "1"}))
    assert (found.status, found.body, found.headers["x-told"]) == (418, b"body", "Yes")
    asked = upstream.asked[-1]
    assert (asked.method, asked.body, asked.headers["x-own"]) == ("POST", b'{"a": 1}', "1")
    assert asked.headers["authorization"] == f"Bearer {SECRET}"


def test_a_redirect_is_a_response_like_any_other(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(b"", 307, {"Location": f"{upstream.url}/elsewhere"}))
    assert send(request_to(f"{upstream.url}/any")).status == 307
    assert upstream.count("/elsewhere") == 0


def test_cookies_are_not_kept(upstream: Any) -> None:
    upstream.script("/any", wire.Answer(b"", 200, {"Set-Cookie": "a=b"}))
    sender = HTTPSender()
    for _ in range(2):
        sender.send_sync("someone", request_to(f"{upstream.url}/any"), 5)
    sender.close()
    assert "cookie" not in upstream.asked[-1].headers


def test_a_proxy_in_the_environment_is_not_asked(upstream: Any, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream.script("/any", wire.Answer(b"ok"))
    assert send(request_to(f"{upstream.url}/any")).body == b"ok"


def test_the_configured_proxy_is_asked(upstream: Any) -> None:
    sender = HTTPSender(proxy=upstream.url)
    sender.send_sync("someone", request_to("http://nowhere.test/any"), 5)
    sender.close()
    assert upstream.asked[-1].path == "http://nowhere.test/any"


def test_a_compressed_body_is_decoded(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(gzip.compress(b"plain"), 200, {"Content-Encoding": "gzip"}))
    assert send(request_to(f"{upstream.url}/any")).body == b"plain"


def test_a_broken_compression_is_a_broken_answer(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(b"no gzip", 200, {"Content-Encoding": "gzip"}))
    assert refused(send, request_to(f"{upstream.url}/any")).kind == "broken"


def test_a_body_past_the_bound_is_a_broken_answer(upstream: Any, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "BODY_MAX", 2**20)
    upstream.script("/any", wire.Answer(gzip.compress(b"x" * (2**20 + 1)), 200, {"Content-Encoding": "gzip"}))
    error = refused(send, request_to(f"{upstream.url}/any"))
    assert error.kind == "broken"
    assert "more than 1 MiB" in str(error)


def test_no_answer_in_time_is_a_timeout(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(hangs=True))
    error = refused(send, request_to(f"{upstream.url}/any"), 0.05)
    assert error.kind == "timeout"
    assert "someone did not answer within 0.05 s" in str(error)


def drip(head: bytes, rest: bytes) -> str:
    """The URL of a server that answers one request, `rest` of it a byte at a time."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with server, server.accept()[0] as taken, contextlib.suppress(OSError):  # the client gives up
            taken.recv(65536)
            taken.sendall(head)
            for byte in rest:
                taken.sendall(bytes([byte]))
                time.sleep(0.02)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a" * 20 + b"\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n", b"a" * 40),
    ],
)
def test_a_response_that_drips_has_as_long_as_any(send: Send, head: bytes, rest: bytes) -> None:
    assert refused(send, request_to(drip(head, rest)), 0.1).kind == "timeout"


def test_a_stream_whose_head_drips_has_as_long_as_any() -> None:
    sender = HTTPSender()
    with pytest.raises(ProviderError, match=r"did not answer within 0\.1 s"):
        sender.stream_sync("someone", request_to(drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a" * 40)), 0.1)
    sender.close()


def test_the_pieces_of_a_stream_have_the_time_each_and_not_together() -> None:
    sender = HTTPSender()
    body = b"data: %d\n\n"
    url = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n", b"".join(body % n for n in range(4)) + b"\n" * 4)
    events = sender.stream_sync("someone", request_to(url), 0.5)
    assert list(events) == [b"0", b"1", b"2", b"3"]
    sender.close()


def test_threads_that_send_at_once_share_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    together = threading.Barrier(4)

    class Slow(httpx.HTTPTransport):
        def __init__(self, **options: Any) -> None:
            made.append(self)
            threading.Event().wait(0.02)
            super().__init__(**options)

    monkeypatch.setattr(httpx, "HTTPTransport", Slow)
    sender = HTTPSender()

    def first() -> None:
        together.wait()
        sender._sync_transport(httpx)

    threads = [threading.Thread(target=first) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    sender.close()


def test_a_cut_connection_is_unavailable(upstream: Any, send: Send) -> None:
    upstream.script("/any", wire.Answer(b"half", is_cut=True))
    assert refused(send, request_to(f"{upstream.url}/any")).kind == "unavailable"


@pytest.mark.parametrize(
    ("url", "headers", "kind"),
    [
        ("http://127.0.0.1:1/", {}, "unavailable"),
        ("ftp://127.0.0.1/", {}, "bad_request"),
        ("http://127.0.0.1:1/", {"x-key": f"{SECRET}\nmore"}, "auth"),
        ("http://127.0.0.1:1/", {"x-key": f"{SECRET}€"}, "auth"),
    ],
)
def test_what_cannot_be_sent_says_why_and_shows_nothing(
    upstream: Any, send: Send, url: str, headers: dict[str, str], kind: str
) -> None:
    if "127.0.0.1:1/" in url and headers:
        url = upstream.url
    assert refused(send, request_to(url, **headers)).kind == kind


def test_nothing_is_logged_of_a_request(upstream: Any, send: Send, caplog: pytest.LogCaptureFixture) -> None:
    upstream.script("/any", wire.Answer(b"ok"))
    with caplog.at_level(logging.DEBUG):
        send(request_to(f"{upstream.url}/any?key={SECRET}"))
    assert SECRET not in caplog.text


def test_connections_are_used_again_and_close_with_their_event_loop(upstream: Any) -> None:
    sender = HTTPSender()
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    transports = []

    async def twice() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        for _ in range(2):
            await sender.send("someone", request_to(upstream.url), 5)
            transports.append(sender._own().transport())

    for _ in range(2):
        asyncio.run(twice())
    assert transports[0] is transports[1]
    assert transports[1] is not transports[2]
    gc.collect()
    assert [loop() for loop in loops] == [None, None]


def test_after_closing_the_next_request_opens_anew(upstream: Any) -> None:
    sender = HTTPSender()

    async def run() -> None:
        await sender.send("someone", request_to(upstream.url), 5)
        first = sender._own().transport()
        sender.close()
        await sender.send("someone", request_to(upstream.url), 5)
        assert sender._own().transport() is not first

    asyncio.run(run())
    sender.send_sync("someone", request_to(upstream.url), 5)
    sender.close()
    assert sender.send_sync("someone", request_to(upstream.url), 5).status == 404
    sender.close()


@pytest.mark.parametrize("opens_again", [False, True])
@pytest.mark.parametrize("is_inside", [False, True])
def test_an_event_loop_that_ends_right_after_closing_logs_nothing(
    upstream: Any, caplog: pytest.LogCaptureFixture, is_inside: bool, opens_again: bool
) -> None:
    sender = HTTPSender()
    transports = []

    async def run() -> None:
        for _ in range(1 + opens_again):
            sender.close()
            await sender.send("someone", request_to(upstream.url), 5)
            transports.append(sender._own().transport())
        if is_inside:
            sender.close()

    with caplog.at_level(logging.ERROR), asyncio.Runner() as runner:
        runner.run(run())
        if not is_inside:
            sender.close()
    gc.collect()
    assert caplog.text == ""
    assert len(transports) == 1 + opens_again
    assert all(not transport._pool.connections for transport in transports)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_opens_connections_of_its_own(upstream: Any) -> None:
    sender = HTTPSender()
    sender.send_sync("someone", request_to(upstream.url), 5)
    before = sender._transport
    child = os.fork()
    if child == 0:
        os._exit(0 if sender._transport is None and before in sender._abandoned else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sender._transport is before
    sender.close()
