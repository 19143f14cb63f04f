"""What the embedded upstream answers: OpenAI's wire format and a few plain JSON endpoints.

Every answer is a function of the request alone: equal requests get equal answers, in every process and on every day.
Wire format: https://platform.openai.com/docs/api-reference
"""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from typing import Any

DEFAULT_DIMENSIONS = 1536
MAX_DIMENSIONS = 4096
EPOCH = 1_754_524_800  # 2025-08-07, the source document's date: answers carry no clock


_OF_STREAMING = frozenset({"stream", "stream_options"})
"""What decides how an answer comes, not which one."""


class RefusedRequest(Exception):  # noqa: N818 - it carries an HTTP answer, not a fault of the server
    """The request lacks what the endpoint needs; `message` goes into an OpenAI error body with status 400."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def digest(*parts: object) -> str:
    """Hex sha256 over JSON parts, keys sorted."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI words it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def chat_completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to POST /v1/chat/completions.

    Takes `messages`, or the source document's bare `prompt`. A stream's chunks are made of it: `chat_chunks`.
    """
    text = _last_text(body.get("messages")) if "messages" in body else body.get("prompt")
    if not isinstance(text, str):
        raise RefusedRequest("Missing required parameter: 'messages'.", "messages")
    mark = digest("chat", {name: value for name, value in body.items() if name not in _OF_STREAMING})
    answer = _answer_to(text, mark)
    return {
        "id": f"chatcmpl-{mark[:29]}",
        "object": "chat.completion",
        "created": EPOCH,
        "model": _model(body, "gpt-4o-mini"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _usage("prompt_tokens", text, "completion_tokens", answer),
        "service_tier": "default",
        "system_fingerprint": "fp_embedded",
    }


def chat_chunks(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The documents of a streamed chat completion: a word each, why it ended, and the usage if that is asked for."""
    whole = chat_completion(body)
    (choice,) = whole["choices"]
    words = re.findall(r"\s*\S+", choice["message"]["content"])
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in words), {}]
    head = {name: whole[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"
    chunks = [
        head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append(head | {"choices": [], "usage": whole["usage"]})
    return chunks


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to POST /v1/embeddings, as floats or base64 of little-endian float32.

    `input` is a text, a list of texts, a list of tokens or a list of lists of tokens; the source document's bare
    `prompt` is taken too.
    """
    given = body.get("input", body.get("prompt"))
    if not given or not isinstance(given, str | list):
        raise RefusedRequest("Missing required parameter: 'input'.", "input")
    # A list of integers is one text as tokens, not several texts.
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    dimensions = body.get("dimensions", DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise RefusedRequest(f"'dimensions' must be an integer from 1 to {MAX_DIMENSIONS}.", "dimensions")
    model = _model(body, "text-embedding-3-small")
    vectors = [_unit_vector(digest("embedding", model, text), dimensions) for text in inputs]
    packed = body.get("encoding_format") == "base64"
    tokens = sum(_tokens(text) for text in inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def response(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to POST /v1/responses; `input` is a text or a list of messages."""
    _refuse_streaming(body)
    given = body.get("input")
    text = given if isinstance(given, str) else _last_text(given)
    if text is None:
        raise RefusedRequest("Missing required parameter: 'input'.", "input")
    mark = digest("response", body)
    answer = _answer_to(text, mark)
    return {
        "id": f"resp_{mark[:48]}",
        "object": "response",
        "created_at": EPOCH,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": _model(body, "gpt-4o-mini"),
        "output": [
            {
                "type": "message",
                "id": f"msg_{mark[:48]}",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": answer, "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage("input_tokens", text, "output_tokens", answer)
        | {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
        "user": None,
        "metadata": {},
    }


def quote(symbol: str) -> dict[str, Any]:
    """The answer to GET /v1/quotes/{symbol}: a price between 10 and 510."""
    mark = int(digest("quote", symbol.upper())[:8], 16)
    return {"symbol": symbol.upper(), "price": 10 + mark % 50_000 / 100, "currency": "USD", "as_of": "2025-08-07"}


def user(user_id: str) -> dict[str, Any]:
    """The answer to GET /v1/users/{id}."""
    mark = digest("user", user_id)
    plan = ("free", "team", "enterprise")[int(mark[:2], 16) % 3]
    return {"id": user_id, "name": f"User {mark[:6]}", "email": f"{mark[:6]}@example.com", "plan": plan}


def transactions(user_id: str, limit: int) -> dict[str, Any]:
    """The answer to GET /v1/users/{id}/transactions?limit=: newest first."""
    amounts = [int(digest("transaction", user_id, number)[:6], 16) % 100_000 / 100 for number in range(limit)]
    return {"user": user_id, "transactions": [{"number": n, "amount": amount} for n, amount in enumerate(amounts)]}


def _refuse_streaming(body: Mapping[str, Any]) -> None:
    if body.get("stream"):
        raise RefusedRequest("The embedded upstream streams chat completions only; leave 'stream' out.", "stream")


def _model(body: Mapping[str, Any], default: str) -> str:
    return str(body.get("model", default))


def _last_text(messages: object) -> str | None:
    """The text of the last message: a string, or the text parts of a list of parts."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None


def _answer_to(text: str, mark: str) -> str:
    return f"Answer {mark[:8]} to: {text[:200]}"


def _tokens(text: object) -> int:
    """A stand-in for a tokenizer: four characters a token."""
    return max(1, len(str(text)) // 4)


def _usage(asked_name: str, asked: str, answered_name: str, answered: str) -> dict[str, Any]:
    counts = {asked_name: _tokens(asked), answered_name: _tokens(answered)}
    return counts | {"total_tokens": sum(counts.values())}


def _unit_vector(mark: str, dimensions: int) -> list[float]:
    raw = hashlib.shake_256(mark.encode()).digest(2 * dimensions)
    values = struct.unpack(f"<{dimensions}h", raw)
    length = sum(value * value for value in values) ** 0.5
    return [round(value / length, 8) for value in values]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
