"""Streams of httpx and of the SDKs, over real HTTP."""

import asyncio
import contextlib
import importlib.util
import socket
import threading
from pathlib import Path

import anthropic
import groq
import httpx
import httpx2
import openai
import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock

_spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
wire = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)
upstream = wire.upstream

LIBRARIES = {"httpx": httpx, "httpx2": httpx2}
PIECES = [b'data: {"n": 1}\n\n', b'data: {"n"', b": 2}\n\n", b"data: [DONE]\n\n"]
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def cache():
    return UnifiedAPICache.create()


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]


def pieces(*given, status=200, **headers):
    return wire.Answer(pieces=given, status=status, headers={**wire.EVENT_STREAM, **headers})


def read(cache, library, url, **options):
    """All lines of a streamed POST, async, and the response."""

    async def main():
        async with (
            library.AsyncClient() as client,
            cache.cached_stream(client.stream, "POST", url, json={"stream": True}, **options) as response,
        ):
            return [line async for line in response.aiter_lines()], response

    return asyncio.run(main())


def read_sync(cache, library, url, **options):
    with (
        library.Client() as client,
        cache.cached_stream_sync(client.stream, "POST", url, json={"stream": True}, **options) as response,
    ):
        return list(response.iter_lines()), response


@pytest.mark.parametrize("reading", [read, read_sync])
def test_a_streamed_response_is_replayed_as_the_librarys_own(cache, upstream, library, reading):
    upstream.script("openai", pieces(*PIECES, **{"x-request-id": "r1"}))
    url = f"{upstream.url}/v1/chat/completions"
    lines, first = reading(cache, library, url)
    assert cache.flush()
    again, second = reading(cache, library, url)
    assert again == lines == ['data: {"n": 1}', "", 'data: {"n": 2}', "", "data: [DONE]", ""]
    assert len(upstream.asked) == 1
    assert type(second) is library.Response
    assert second.status_code == 200
    assert second.headers["x-request-id"] == first.headers["x-request-id"] == "r1"
    assert second.is_closed
    assert second.request.method == "POST"
    assert second.http_version == "HTTP/1.1"


def test_a_replay_has_the_chunks_of_the_first_stream(cache, upstream):
    upstream.script("openai", pieces(*PIECES))

    async def chunks():
        async with httpx.AsyncClient() as client:
            stream = cache.cached_stream(client.stream, "POST", f"{upstream.url}/v1/chat/completions")
            return [chunk async for chunk in stream]

    first = asyncio.run(chunks())
    assert b"".join(first) == b"".join(PIECES)
    assert asyncio.run(chunks()) == first
    assert len(upstream.asked) == 1


NOT_TO_BE_STORED = [wire.failure(500), wire.failure(429), pieces(b"x", **{"cache-control": "no-store"})]


@pytest.mark.parametrize("answer", NOT_TO_BE_STORED, ids=["500", "429", "no-store"])
def test_what_must_not_be_stored_is_received_each_time(cache, upstream, answer):
    upstream.script("openai", answer)
    url = f"{upstream.url}/v1/chat/completions"
    (first, one), (second, two) = read(cache, httpx, url), read(cache, httpx, url)
    assert first == second
    assert one.status_code == two.status_code == answer.status
    assert len(upstream.asked) == 2


def test_a_stream_of_events_that_says_no_cache_is_stored(cache, upstream):
    upstream.script("openai", pieces(*PIECES, **{"cache-control": "no-cache"}))
    url = f"{upstream.url}/v1/chat/completions"
    (first, _), (second, _) = read(cache, httpx, url), read(cache, httpx, url)
    assert first == second
    assert len(upstream.asked) == 1


def test_calls_that_differ_share_no_stream(cache, upstream):
    upstream.script("openai", lambda asked: pieces(asked.body, asked.headers.get("authorization", "").encode()))
    url = f"{upstream.url}/v1/chat/completions"
    read(cache, httpx, url)
    read(cache, httpx, url, headers={"Authorization": "Bearer a"})
    read(cache, httpx, url, headers={"Authorization": "Bearer b"})
    read(cache, httpx, f"{url}?other=1")
    with httpx.Client() as client:
        cache.cached_api_call_sync(client.post, url, json={"stream": True})
    assert len(upstream.asked) == 5


def test_a_connection_that_fails_raises_what_the_client_raises(cache):
    with pytest.raises(httpx.ConnectError):
        read(cache, httpx, "http://127.0.0.1:9/v1/chat/completions")
    with pytest.raises(httpx.ConnectError):
        read_sync(cache, httpx, "http://127.0.0.1:9/v1/chat/completions")


def test_a_body_that_is_cut_raises_and_is_not_stored(cache, upstream):
    upstream.script("openai", wire.Answer(body=b"data: x\n\n", is_cut=True))
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            read(cache, httpx, f"{upstream.url}/v1/chat/completions")
    assert len(upstream.asked) == 2


@contextlib.contextmanager
def stalling_server():
    """An HTTP server that sends one chunk, then waits for the client to hang up; gives its URL and when that was."""
    listening, hung_up = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            connection.settimeout(10)
            if connection.recv(1) == b"":
                hung_up.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", hung_up
    finally:
        thread.join(10)
        listening.close()


def test_a_sync_response_that_all_have_left_is_hung_up_on_amid_its_silence():
    cache = UnifiedAPICache.create()
    with stalling_server() as (url, hung_up), httpx.Client(timeout=10, trust_env=False) as client:
        with cache.cached_stream_sync(client.stream, "GET", url) as response:
            assert next(response.iter_raw()) == b"abc"
            assert not hung_up.is_set()
        assert hung_up.wait(5)
        assert cache.flush()
    stats = cache.get_stats()
    assert (stats["stored"], stats["load_errors"]) == (0, 0)


@pytest.mark.parametrize(("status", "is_replayed"), [(503, True), (429, True), (404, False)])
@pytest.mark.parametrize("reading", [read, read_sync])
def test_a_stale_response_is_replayed_for_one_that_says_that_the_upstream_failed(
    upstream, reading, status, is_replayed
):
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)
    upstream.script("openai", pieces(*PIECES), wire.failure(status))
    url, view = f"{upstream.url}/v1/chat/completions", cache.using(ttl=100, grace=100)
    lines, _ = reading(view, httpx, url)
    assert cache.flush()
    clock.advance(150)
    again, response = reading(view, httpx, url)
    assert (again == lines, response.status_code) == (is_replayed, 200 if is_replayed else status)
    assert len(upstream.asked) == 2
    stats = cache.get_stats()
    assert (stats["stale"], stats["load_errors"]) == ((1, 1) if is_replayed else (0, 0))


def chat_events(*texts, done=True):
    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = '{"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": ['
        return head + wire.json.dumps(choice) + "]}"

    events = [chunk({"role": "assistant", "content": text}) for text in texts] + [chunk({}, "stop")]
    given = [f"data: {event}\n\n".encode() for event in events]
    return [*given, b"data: [DONE]\n\n"] if done else given


def message_events(*texts, done=True):
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "m1", "type": "message", "role": "assistant", "content": [], "model": "m", "stop_reason": None,
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    block = {"type": "text", "text": ""}
    events = [
        ("message_start", {"message": message}),
        ("content_block_start", {"index": 0, "content_block": block}),
        *(("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}) for text in texts),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}),
        *([("message_stop", {})] if done else []),
    ]
    return [f"event: {name}\ndata: {wire.json.dumps({'type': name, **data})}\n\n".encode() for name, data in events]


class Sdk:
    """One SDK's streamed chat."""

    def __init__(self, name):
        self.name = name
        self.events = message_events if name == "anthropic" else chat_events
        self.path = "anthropic" if name == "anthropic" else "openai"

    def client(self, url, *, is_async):
        kinds = {
            "openai": (openai.OpenAI, openai.AsyncOpenAI),
            "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic),
            "groq": (groq.Groq, groq.AsyncGroq),
        }
        base = {"openai": f"{url}/v1", "anthropic": url, "groq": url}[self.name]
        return kinds[self.name][is_async](api_key="k", base_url=base, max_retries=0)

    def create(self, client):
        return client.messages.create if self.name == "anthropic" else client.chat.completions.create

    def arguments(self):
        return {"model": "m", "messages": MESSAGES, "max_tokens": 10, "stream": True}

    def script(self, upstream, *answers):
        if self.name == "groq":
            upstream.script("/openai/v1/chat/completions", *answers)
        else:
            upstream.script(self.path, *answers)

    def collect(self, upstream, cache=None, *, is_async):
        """The events of one call, with their types; through the cache, or without it."""

        async def main():
            async with self.client(upstream.url, is_async=True) as client:
                create, arguments = self.create(client), self.arguments()
                stream = await (cache.cached_api_call(create, **arguments) if cache else create(**arguments))
                return type(stream), [(type(event), event.to_dict()) async for event in stream]

        if is_async:
            return asyncio.run(main())
        with self.client(upstream.url, is_async=False) as client:
            create, arguments = self.create(client), self.arguments()
            stream = cache.cached_api_call_sync(create, **arguments) if cache else create(**arguments)
            return type(stream), [(type(event), event.to_dict()) for event in stream]


@pytest.fixture(params=["openai", "anthropic", "groq"])
def sdk(request):
    return Sdk(request.param)


@pytest.fixture(params=[True, False], ids=["async", "sync"])
def is_async(request):
    return request.param


def test_an_sdks_stream_is_replayed_in_the_sdks_own_types(cache, upstream, sdk, is_async):
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo")))
    direct = sdk.collect(upstream, is_async=is_async)
    first = sdk.collect(upstream, cache, is_async=is_async)
    assert cache.flush()
    second = sdk.collect(upstream, cache, is_async=is_async)
    assert first == second == direct
    assert len(upstream.asked) == 2
    assert cache.get_stats()["cache_hits"] == 1


def test_only_what_is_sent_is_logged_as_a_request(cache, upstream, sdk, is_async, caplog):
    for logger in (None, "httpx", "httpx2"):  # some libraries silence them as they are imported
        caplog.set_level("INFO", logger=logger)
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo")))
    for _ in range(2):
        sdk.collect(upstream, cache, is_async=is_async)
        assert cache.flush()
        assert [record.name for record in caplog.records if "HTTP Request" in record.message] in (["httpx"], ["httpx2"])
    sdk.collect(upstream, is_async=is_async)
    assert sum("HTTP Request" in record.message for record in caplog.records) == len(upstream.asked) == 2


def test_a_stream_that_ends_before_its_own_end_is_not_stored(cache, upstream, sdk, is_async):
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo", done=False)))
    first = sdk.collect(upstream, cache, is_async=is_async)
    assert sdk.collect(upstream, cache, is_async=is_async) == first
    assert len(upstream.asked) == 2


def test_an_error_status_raises_the_sdks_error(cache, upstream, sdk, is_async):
    sdk.script(upstream, wire.failure(400))
    error = {"openai": openai, "anthropic": anthropic, "groq": groq}[sdk.name].BadRequestError
    for _ in range(2):
        with pytest.raises(error):
            sdk.collect(upstream, cache, is_async=is_async)
    assert len(upstream.asked) == 2


def test_messages_that_are_appended_to_after_the_answer_do_not_keep_it_from_being_stored(cache, upstream, sdk):
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo")))

    def ask(client):
        messages = list(MESSAGES)
        arguments = {**sdk.arguments(), "messages": messages}
        events = list(cache.cached_api_call_sync(sdk.create(client), **arguments))
        messages.append({"role": "assistant", "content": str(events)})

    with sdk.client(upstream.url, is_async=False) as client:
        ask(client)
        assert cache.flush()
        ask(client)
    assert len(upstream.asked) == 1


def test_followers_of_an_sdks_stream_make_no_call_of_their_own(cache, upstream, sdk):
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo")))

    async def main():
        async with sdk.client(upstream.url, is_async=True) as client:

            async def one():
                stream = await cache.cached_api_call(sdk.create(client), **sdk.arguments())
                return [event.to_dict() async for event in stream]

            return await asyncio.gather(*(one() for _ in range(10)))

    answers = asyncio.run(main())
    assert answers == [answers[0]] * 10
    assert len(upstream.asked) == 1


def test_an_sdks_key_is_nowhere_in_what_is_stored(upstream, sdk, tmp_path):
    cache = UnifiedAPICache.create(directory=tmp_path)
    sdk.script(upstream, pieces(*sdk.events("Hel", "lo")))

    async def main():
        async with sdk.client(upstream.url, is_async=True).with_options(api_key="planted-secret-7741") as client:
            return [event async for event in await cache.cached_api_call(sdk.create(client), **sdk.arguments())]

    assert asyncio.run(main())
    assert cache.flush()
    assert cache.get_stats()["stored"] == 1
    cache.close()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"planted-secret" in content for content in files)
