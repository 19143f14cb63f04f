"""The responses format.

https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from apicache.chain.completions import completed
from apicache.chain.errors import broken, reported_error
from apicache.chain.parameters import Chat
from apicache.chain.replies import count_at, event_json, part, text_at
from apicache.errors import InputError
from apicache.provider import Reply, Tokens

_INCOMPLETE: Final[Mapping[str, str]] = {"max_output_tokens": "length", "content_filter": "filter"}
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ModelResponse(msgspec.Struct):
    """The part of a response that is read."""

    object: Literal["response"]
    status: str
    output: Sequence[Mapping[str, Any]]
    model: str = ""
    usage: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    incomplete_details: Mapping[str, Any] | None = None


def responses_body(model: str, chat: Chat) -> dict[str, Any]:
    """The body of a request; raises InputError for `stop`, which this API has not."""
    if chat.stop:
        raise InputError(
            "parameter 'stop' is not taken by the responses API; leave it out, or set the option api = 'chat'"
        )
    body: dict[str, Any] = {"model": model, "input": chat.messages if chat.prompt is None else chat.prompt}
    if chat.system:
        body["instructions"] = chat.system
    if chat.max_tokens is not None:
        body["max_output_tokens"] = chat.max_tokens
    if chat.temperature is not None:
        body["temperature"] = chat.temperature
    return body | dict(chat.extra)


def responses_reply(provider: str, model: str, found: ModelResponse) -> Reply:
    """The messages' texts; raises ProviderError for a response that failed or is not finished."""
    if found.status == "failed":
        raise reported_error(provider, {"error": found.error})
    if found.status not in {"completed", "incomplete"}:
        raise broken(provider, "a response that is not finished")
    parts = [each for item in found.output if item.get("type") == "message" for each in _parts(item)]
    text = "".join(text_at(each, "text") for each in parts if each.get("type") == "output_text")
    refusal = "".join(text_at(each, "refusal") for each in parts if each.get("type") == "refusal")
    return completed(
        provider, found.model or model, text or refusal, _finish(found, refusal), _tokens(found.usage or {})
    )


class ResponsesReader:
    """Reads `response.output_text.delta` and what ends a stream: the last event holds the response as a whole."""

    def __init__(self, provider: str, model: str) -> None:
        self.ended = False
        self._provider = provider
        self._model = model
        self._whole: ModelResponse | None = None

    def take(self, data: bytes, /) -> str:
        """The text in one event's data; raises ProviderError for an error event."""
        event = event_json(self._provider, data)
        kind = event.get("type")
        if kind == "error" or event.get("error"):
            raise reported_error(self._provider, event)
        if kind in _LAST:
            self._end(event)
        return text_at(event, "delta") if kind in {"response.output_text.delta", "response.refusal.delta"} else ""

    def _end(self, event: Mapping[str, Any]) -> None:
        try:
            whole = msgspec.convert(event.get("response"), ModelResponse)
        except msgspec.ValidationError:
            raise broken(self._provider, "a last event without the response") from None
        if whole.status == "failed":
            raise reported_error(self._provider, event)
        self.ended, self._whole = True, whole

    def reply(self) -> Reply:
        """The whole answer; raises ProviderError when the stream ended before it was complete."""
        if self._whole is None:
            raise broken(self._provider, "a stream that ends before its last event")
        return responses_reply(self._provider, self._model, self._whole)


def _parts(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = item.get("content")
    return [each for each in content if isinstance(each, Mapping)] if isinstance(content, list) else []


def _finish(found: ModelResponse, refusal: str) -> str | None:
    if found.status == "incomplete":
        return _INCOMPLETE.get(text_at(found.incomplete_details or {}, "reason"), "length")
    if refusal:
        return "filter"
    return "tool" if any(str(item.get("type", "")).endswith("_call") for item in found.output[-1:]) else "stop"


def _tokens(usage: Mapping[str, Any]) -> Tokens:
    details = part(usage, "input_tokens_details")
    return Tokens(
        input=count_at(usage, "input_tokens"),
        cached=count_at(details, "cached_tokens"),
        cache_writes=count_at(details, "cache_write_tokens"),
        output=count_at(usage, "output_tokens"),
    )
