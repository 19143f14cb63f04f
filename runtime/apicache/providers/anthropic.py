"""Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from apicache.chain.completions import completed, finish_of
from apicache.chain.errors import broken, reported_error
from apicache.chain.models import configured_model
from apicache.chain.parameters import (
    DEFAULT_MAX_TOKENS,
    Chat,
    base_url,
    chat_of,
    check_operation,
    header_value,
    json_body,
)
from apicache.chain.replies import answered, count_at, event_json, part, text_at
from apicache.credentials import storable_url
from apicache.errors import InputError
from apicache.provider import ProviderCall, Reply, Request, Response, Tokens

DEFAULT_MODEL: Final = "claude-haiku-5-5"
"""The cheapest that Anthropic lists in November 2026."""
_VERSION: Final = "2026-10-21"
_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_SAMPLING_VERSION: Final = "2023-06-01"
"""The last version of the API that takes those: https://docs.anthropic.com/en/api/versioning"""
_ORIGIN: Final = "https://api.anthropic.com"
_KEY: Final = "ANTHROPIC_API_KEY"
_WITH_TEMPERATURE: Final = re.compile(
    r"claude-(?:instant|[123](?!\d)|(?:haiku|sonnet|opus)-4(?:$|-(?:[0-6](?!\d)|\d{8}|latest)))"
)
"""Models up to 4.6; later ones refuse every temperature but 1, as Anthropic's migration guides say."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's settings; the environment's win."""

    base_url: str | None = None
    model: str | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS
    """When a call names none: the API demands one."""


class _Message(msgspec.Struct):
    type: Literal["message"]
    content: Sequence[Mapping[str, Any]]
    model: str = ""
    stop_reason: str | None = None
    usage: Mapping[str, Any] | None = None


class Anthropic:
    """The provider."""

    operations = frozenset({"completion", "analysis"})
    key_variable = _KEY
    batch_size = 1

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options

    def model_for(self, operation: str) -> str:
        """`ANTHROPIC_MODEL`, the configured one, or the default; raises InputError for an operation it has not."""
        check_operation(self.name, operation, self.operations)
        return configured_model("ANTHROPIC_MODEL", self._options.model, DEFAULT_MODEL)

    def account(self) -> tuple[Any, Any]:
        """The base URL and the bound of tokens that a call without one gets; and the key."""
        url = base_url("ANTHROPIC_BASE_URL", self._options.base_url, _ORIGIN)
        return [storable_url(url), self._options.max_tokens], [url, os.environ.get(_KEY)]

    def request(self, call: ProviderCall) -> Request:
        """The request for a whole answer; raises InputError."""
        return self._request(call, {})

    def stream_request(self, call: ProviderCall) -> Request:
        """The request for server-sent events; raises InputError."""
        return self._request(call, {"stream": True})

    def _request(self, call: ProviderCall, mode: Mapping[str, Any]) -> Request:
        check_operation(self.name, call.operation, self.operations)
        chat = chat_of(self.name, call)
        origin = base_url("ANTHROPIC_BASE_URL", self._options.base_url, _ORIGIN)
        body: dict[str, Any] = {
            "model": call.model,
            "messages": chat.messages,
            "max_tokens": chat.max_tokens or self._options.max_tokens,
        }
        if chat.system:
            body["system"] = chat.system
        if chat.stop:
            body["stop_sequences"] = chat.stop
        if chat.temperature is not None:
            body |= _temperature(call.model, chat)
        body |= {**chat.extra, **mode}
        return Request(
            method="POST",
            url=f"{origin}/v1/messages",
            headers={
                "x-api-key": header_value(_KEY, self.name) or "",
                "anthropic-version": _SAMPLING_VERSION if _SAMPLING & body.keys() else _VERSION,
                "content-type": "application/json",
            },
            body=json_body(body, call),
        )

    def reply(self, call: ProviderCall, response: Response) -> Reply:
        """The answer of a whole response; raises ProviderError."""
        message = answered(self.name, response, _Message, key_variable=_KEY)
        text = "".join(text_at(block, "text") for block in message.content if block.get("type") == "text")
        finish = finish_of(message.stop_reason or "")
        return completed(self.name, message.model or call.model, text, finish, _tokens(message.usage or {}))

    def stream_reader(self, call: ProviderCall) -> "MessageReader":
        """What reads a streamed answer."""
        return MessageReader(self.name, call.model)


class MessageReader:
    """Reads `message_start`, `content_block_*`, `message_delta`, `message_stop`, `ping` and `error` events.

    Others are passed over, as the API's versioning policy asks.
    """

    def __init__(self, provider: str, model: str) -> None:
        self.ended = False
        self._provider = provider
        self._model = model
        self._texts: list[str] = []
        self._stop_reason = ""
        self._usage: dict[str, Any] = {}

    def take(self, data: bytes, /) -> str:
        """The text in one event's data; raises ProviderError for an error event."""
        event = event_json(self._provider, data)
        kind = event.get("type")
        if kind == "error":
            raise reported_error(self._provider, event)
        text = ""
        if kind == "message_start":
            self._model = text_at(part(event, "message"), "model") or self._model
            self._use(part(event, "message", "usage"))
        elif kind == "content_block_start":
            text = _block_text(part(event, "content_block"), "text")
        elif kind == "content_block_delta":
            text = _block_text(part(event, "delta"), "text_delta")
        elif kind == "message_delta":
            self._stop_reason = text_at(part(event, "delta"), "stop_reason") or self._stop_reason
            self._use(part(event, "usage"))
        elif kind == "message_stop":
            self.ended = True
        if text:
            self._texts.append(text)
        return text

    def _use(self, usage: Mapping[str, Any]) -> None:
        """Later counts are totals too: they replace the earlier ones."""
        self._usage.update((name, value) for name, value in usage.items() if value is not None)

    def reply(self) -> Reply:
        """The whole answer; raises ProviderError when `message_stop` has not come."""
        if not self.ended:
            raise broken(self._provider, "a stream that ends before its message_stop")
        finish = finish_of(self._stop_reason)
        return completed(self._provider, self._model, "".join(self._texts), finish, _tokens(self._usage))


def _temperature(model: str, chat: Chat) -> Mapping[str, Any]:
    if not model.startswith("claude-") or _WITH_TEMPERATURE.match(model):
        return {"temperature": chat.temperature}
    if chat.temperature == 1:
        return {}
    raise InputError(
        f"parameter 'temperature' is not taken by model {model!r} of provider 'anthropic'; "
        "leave it out, or name a model that takes it, such as 'claude-haiku-4-5'"
    )


def _block_text(block: Mapping[str, Any], kind: str) -> str:
    return text_at(block, "text") if block.get("type") == kind else ""


def _tokens(usage: Mapping[str, Any]) -> Tokens:
    """Anthropic counts what its cache gave and took beside `input_tokens`, not in it."""
    cached = count_at(usage, "cache_read_input_tokens")
    writes = count_at(usage, "cache_creation_input_tokens")
    return Tokens(
        input=count_at(usage, "input_tokens") + cached + writes,
        cached=cached,
        cache_writes=writes,
        output=count_at(usage, "output_tokens"),
    )


def build(name: str, options: Options) -> Anthropic:
    """The provider with its settings."""
    return Anthropic(name, options)
