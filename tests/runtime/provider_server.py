"""A server that speaks the providers' wire formats over real HTTP, and answers as it is told.

Tests are no package; load it by its path:

    spec = importlib.util.spec_from_file_location("provider_server", Path(__file__).with_name("provider_server.py"))
    wire = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wire)
    upstream = wire.upstream  # the fixture; `wire.waits` is another

`upstream.script("anthropic", wire.failure(529), wire.message("hello"))` queues answers, the last of which stays;
`upstream.script("openai", lambda asked: ...)` decides by what is asked. Unscripted, each answers in its own format.
"""

import asyncio
import collections
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from apicache.clock import ManualClock

PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
}
KEYS = {"ANTHROPIC_API_KEY": "planted-anthropic-key-8841", "OPENAI_API_KEY": "planted-openai-key-7312"}
JSON_TYPE = {"content-type": "application/json"}
EVENT_STREAM = {"content-type": "text/event-stream"}


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    number: int
    """1 for the first request of its path."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    pieces: Sequence[bytes] = ()
    """In the place of a body: each is sent by itself, then the connection is closed."""
    is_cut: bool = False
    """The connection is closed before the whole body that its Content-Length promises."""
    hangs: bool = False
    """Nothing is answered until the server closes."""


Script = Callable[[Asked], Answer]


class ProviderServer:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._counts: collections.Counter[str] = collections.Counter()
        self._scripts: dict[str, Script] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 0
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                outer._answer(self)

            do_GET = do_PUT = do_POST  # noqa: N815 - http.server's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.openai_url = f"{self.url}/v1"

    def script(self, place: str, *answers: Answer | Script) -> None:
        """What a provider (`PATHS`), or a path, answers from now on; the last one stays."""
        queue = collections.deque(answers)

        def next_answer(asked: Asked) -> Answer:
            step = queue[0] if len(queue) == 1 else queue.popleft()
            return step(asked) if callable(step) else step

        self._scripts[PATHS.get(place, place)] = next_answer

    def count(self, place: str) -> int:
        """How often a provider, or a path, was asked."""
        return self._counts[PATHS.get(place, place)]

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        path = request.path.partition("?")[0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._lock:
            self._counts[path] += 1
            asked = Asked(request.command, request.path, headers, body, self._counts[path])
            self.asked.append(asked)
            answer = self._scripts.get(path, _by_format)(asked)
        if answer.hangs:
            self._closing.wait()
            request.close_connection = True
            return
        try:
            _send(request, answer)
        except OSError:  # the client gave up
            request.close_connection = True


def _send(request: BaseHTTPRequestHandler, answer: Answer) -> None:
    request.send_response(answer.status)
    for name, value in (JSON_TYPE | dict(answer.headers)).items():
        request.send_header(name, value)
    if answer.pieces:
        request.close_connection = True
        request.send_header("connection", "close")
        request.end_headers()
        for piece in answer.pieces:
            request.wfile.write(piece)
        return
    request.send_header("content-length", str(len(answer.body) + (10 if answer.is_cut else 0)))
    request.close_connection = request.close_connection or answer.is_cut
    request.end_headers()
    request.wfile.write(answer.body)


def _by_format(asked: Asked) -> Answer:
    path = asked.path.partition("?")[0]
    if path not in PATHS.values():
        return failure(404)
    if path == PATHS["embeddings"]:
        given = asked.json["input"]
        return embeddings([given] if isinstance(given, str) else given)
    build = {PATHS["anthropic"]: message, PATHS["openai"]: chat, PATHS["responses"]: response}[path]
    return build(f"answer {asked.number}", model=asked.json["model"])


def of_json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(json.dumps(document).encode(), status, headers or {})


def failure(status: int, headers: Mapping[str, str] | None = None, **error: Any) -> Answer:
    """An error in a shape that both Anthropic and OpenAI use; its message must never reach a user."""
    document = {"type": "error", "error": {"message": "upstream's own words, planted-body-5520", **error}}
    return of_json(document, status, headers)


def message(text: str, model: str = "claude-haiku-5-5", stop_reason: str = "end_turn", **usage: Any) -> Answer:
    return of_json(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 3, **usage},
        }
    )


def chat(text: str | None, model: str = "gpt-6-luna", finish_reason: str = "stop", **usage: Any) -> Answer:
    return of_json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "finish_reason": finish_reason,
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, **usage},
        }
    )


def response_document(text: str, model: str = "gpt-6-luna", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    output = [{"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": model,
        "output": [{"id": "r", "type": "reasoning", "summary": []}, *output],
        "error": None,
        "incomplete_details": None,
        "usage": {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
        },
        **fields,
    }


def response(text: str, model: str = "gpt-6-luna", **fields: Any) -> Answer:
    return of_json(response_document(text, model, **fields))


def vector(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)) % 97)]


def embeddings(texts: Sequence[str], indexes: Sequence[int | None] | None = None, model: str = "e-1") -> Answer:
    """Items in the order of `indexes`, each with its own text's vector; None for an item without an index."""
    order = range(len(texts)) if indexes is None else indexes
    items = [
        {"object": "embedding", "embedding": vector(texts[place if index is None else index % len(texts)])}
        | ({} if index is None else {"index": index})
        for place, index in enumerate(order)
    ]
    usage = {"prompt_tokens": 10 * len(texts), "total_tokens": 10 * len(texts)}
    return of_json({"object": "list", "data": items, "model": model, "usage": usage})


def events(*documents: Any, with_names: bool = False) -> list[bytes]:
    """Server-sent events, each a piece; texts go as they are."""
    pieces = []
    for document in documents:
        name = f"event: {document['type']}\n" if with_names else ""
        data = document if isinstance(document, str) else json.dumps(document)
        pieces.append(f"{name}data: {data}\n\n".encode())
    return pieces


def stream(pieces: Sequence[bytes]) -> Answer:
    return Answer(headers=EVENT_STREAM, pieces=pieces)


def message_events(*texts: str) -> list[bytes]:
    """Anthropic's, with a ping and a thinking block among them."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 1}
    start = json.loads(message("").body) | {"stop_reason": None, "usage": usage}
    deltas = [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    return events(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hmm"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
        with_names=True,
    )


def chat_events(*texts: str, last: Sequence[str] = ("[DONE]",)) -> list[bytes]:
    """OpenAI's chunks, the usage in one of its own before the last."""

    def chunk(choices: list[Any], **more: Any) -> dict[str, Any]:
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices, **more}

    def choice(delta: Mapping[str, Any], finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "finish_reason": finish}]

    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    return events(
        chunk(choice({"role": "assistant", "content": ""})),
        *(chunk(choice({"content": text})) for text in texts),
        chunk(choice({}, "stop")),
        chunk([], usage=usage),
        *last,
    )


def response_events(*texts: str) -> list[bytes]:
    whole = response_document("".join(texts))
    deltas = [
        {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": text}
        for text in texts
    ]
    return events(
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        *deltas,
        {"type": "response.completed", "response": whole},
        with_names=True,
    )


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    """The server, with the environment set so that anthropic and openai lead to it; nothing else of theirs is set."""
    server = ProviderServer()
    for name in (
        "ANTHROPIC_MODEL",
        "ANTHROPIC_AUTH_TOKEN",
        "OPENAI_MODEL",
        "OPENAI_EMBEDDING_MODEL",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "APICACHE_MOCK",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> list[float]:
    """What is waited, without waiting: the clock is advanced by it."""
    waited: list[float] = []
    sleep = asyncio.sleep

    def advance(seconds: float) -> None:
        if seconds:
            waited.append(seconds)
            clock.advance(seconds)

    async def advance_async(seconds: float, result: Any = None) -> Any:
        advance(seconds)
        await sleep(0)
        return result

    monkeypatch.setattr(time, "sleep", advance)
    monkeypatch.setattr(asyncio, "sleep", advance_async)
    return waited
