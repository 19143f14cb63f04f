"""What providers answer, in their own wire formats: `document(path, body, count)` of drivers, None for other paths."""

import functools
import json
import ssl
from typing import Any


def gemini(path: str, _body: bytes, count: int) -> Any:
    """https://ai.google.dev/api/generate-content."""
    if path.endswith(":generateContent"):
        part = {"text": f'{{"answer": {count}}}'}
        rating = {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}
        candidate = {
            "content": {"role": "model", "parts": [part]},
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [rating],
            "avgLogprobs": -0.25,
        }
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "m-1-001",
            "responseId": f"r-{count}",
        }
    if path.endswith((":batchEmbedContents", ":embedContent")):
        return {"embeddings": [{"values": [0.25, -1.5, count]}]}
    if path.endswith(":countTokens"):
        return {"totalTokens": count}
    return None


def mistral(path: str, _body: bytes, count: int) -> Any:
    """https://docs.mistral.ai/api."""
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    if path.endswith(("/chat/completions", "/fim/completions")):
        message = {"role": "assistant", "content": f"answer {count}", "tool_calls": None}
        return {
            "id": f"cmpl-{count}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    if path.endswith("/embeddings"):
        return {
            "id": f"emb-{count}",
            "object": "list",
            "model": "e-1",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}],
            "usage": usage,
        }
    return None


def cohere(path: str, body: bytes, count: int) -> Any:
    """https://docs.cohere.com/reference/chat."""
    version, _, name = path.removeprefix("/").rpartition("/")
    version = version.rpartition("/")[2]
    meta = {"api_version": {"version": version[1:]}, "billed_units": {"input_tokens": 3.0}, "warnings": []}
    if (version, name) == ("v2", "chat"):
        message = {"role": "assistant", "content": [{"type": "text", "text": f"answer {count}"}]}
        return {
            "id": f"c-{count}",
            "finish_reason": "COMPLETE",
            "message": message,
            "usage": {"tokens": {"input_tokens": 3, "output_tokens": 2}},
            "vendor_extension": {"nested": [1, None]},
        }
    if (version, name) == ("v1", "chat"):
        return {
            "text": f"answer {count}",
            "generation_id": f"g-{count}",
            "finish_reason": "COMPLETE",
            "chat_history": [{"role": "USER", "message": "hello"}],
            "meta": meta,
        }
    if name == "rerank":
        return {"id": f"r-{count}", "results": [{"index": 0, "relevance_score": 0.5}], "meta": meta}
    if name != "embed":
        return None
    by_type = version == "v2" or "embedding_types" in json.loads(body)
    return {
        "response_type": "embeddings_by_type" if by_type else "embeddings_floats",
        "id": f"e-{count}",
        "embeddings": {"float": [[0.25, -1.5]]} if by_type else [[0.25, -1.5]],
        "texts": ["a"],
        "meta": meta,
    }


def ollama(path: str, _body: bytes, count: int) -> Any:
    """https://docs.ollama.com/api."""
    told = {"model": "m-1", "created_at": "2026-01-01T00:00:00.000001Z", "done": True, "done_reason": "stop"}
    took = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 3, "eval_count": 2}
    if path.endswith("/api/chat"):
        call = {"function": {"name": "f", "arguments": {"nested": [1, None]}}}
        return {
            **told,
            **took,
            "message": {"role": "assistant", "content": f"answer {count}", "tool_calls": [call]},
        }
    if path.endswith("/api/generate"):
        return {**told, **took, "response": f"answer {count}", "context": [1, 2]}
    if path.endswith("/api/embed"):
        return {"model": "m-1", "embeddings": [[0.25, -1.5]], "total_duration": 5}
    if path.endswith("/api/embeddings"):
        return {"embedding": [0.25, -1.5, count]}
    return None


def openai(path: str, _body: bytes, count: int) -> Any:
    """https://platform.openai.com/docs/api-reference, what the server itself does not know."""
    if path.endswith("/responses"):
        text = {"type": "output_text", "text": f"answer {count}", "annotations": []}
        message = {"id": "msg", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
        return {
            "id": f"resp-{count}",
            "object": "response",
            "created_at": 1_700_000_000,
            "model": "m-1",
            "status": "completed",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
    if path.endswith("/completions") and not path.endswith("/chat/completions"):
        choice = {"index": 0, "text": f"answer {count}", "finish_reason": "stop", "logprobs": None}
        return {
            "id": f"cmpl-{count}",
            "object": "text_completion",
            "created": 1_700_000_000,
            "model": "m-1",
            "choices": [choice],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
    return None


def anthropic(path: str, body: bytes, count: int) -> Any:
    """https://platform.claude.com/docs/en/api/messages."""
    if path.endswith("/messages/count_tokens"):
        return {"input_tokens": count}
    if path.endswith("/cancel"):
        return {"id": "b-1", "type": "message_batch", "processing_status": "canceling"}
    if not path.endswith("/messages"):
        return None
    content: list[Any] = [{"type": "text", "text": f"answer {count}", "citations": None}]
    if json.loads(body).get("tools"):
        content.append({"type": "tool_use", "id": "t-1", "name": "f", "input": {"nested": [1, None]}})
        content.append({"type": "not_yet_known", "payload": {"nested": [1.5]}})
    return {
        "id": f"msg-{count}",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": content,
        "stop_reason": "tool_use" if len(content) > 1 else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        "vendor_extension": {"nested": [1, None]},
    }


def groq(path: str, _body: bytes, count: int) -> Any:
    """https://console.groq.com/docs/api-reference."""
    if path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": f"answer {count}", "reasoning": "because"}
        return {
            "id": f"chatcmpl-{count}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "queue_time": 0.25},
            "x_groq": {"id": f"req-{count}"},
            "vendor_extension": {"nested": [1, None]},
        }
    if path.endswith("/embeddings"):
        return {
            "object": "list",
            "model": "e-1",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5, count]}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
    return None


def without_time(api: Any) -> None:
    """Let all answers of this server have one Date: what some libraries return, or tell of an error, has it within."""
    api._server.RequestHandlerClass.date_time_string = lambda _self, _timestamp=None: "Thu, 01 Jan 2026 00:00:00 GMT"


@functools.cache
def tls() -> ssl.SSLContext:
    """One for all clients: each would take 0.1 seconds to make its own."""
    return ssl.create_default_context()
