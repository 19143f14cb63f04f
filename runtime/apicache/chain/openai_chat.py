"""The chat completions format, which many servers speak.

https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from apicache.chain.completions import completed, finish_of
from apicache.chain.errors import broken, reported_error
from apicache.chain.parameters import Chat
from apicache.chain.replies import count_at, event_json, part, text_at
from apicache.provider import Reply, Tokens

_BOUNDS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_LAST: Final = b"[DONE]"


class ChatCompletion(msgspec.Struct):
    """The part of a response that is read."""

    choices: Sequence[Mapping[str, Any]]
    model: str | None = None
    usage: Mapping[str, Any] | None = None


def chat_body(model: str, chat: Chat, *, bound: str) -> dict[str, Any]:
    """The body of a request; `bound` is the server's name for the most tokens it may write."""
    system = [{"role": "system", "content": chat.system}] if chat.system else []
    body: dict[str, Any] = {"model": model, "messages": [*system, *chat.messages]}
    if chat.max_tokens is not None and not _BOUNDS & chat.extra.keys():
        body[bound] = chat.max_tokens
    if chat.temperature is not None:
        body["temperature"] = chat.temperature
    if chat.stop:
        body["stop"] = chat.stop
    return body | dict(chat.extra)


def chat_reply(provider: str, model: str, found: ChatCompletion) -> Reply:
    """The first choice's answer; raises ProviderError when there is none."""
    if not found.choices:
        raise broken(provider, "a response without choices")
    choice = found.choices[0]
    message = part(choice, "message")
    refusal = text_at(message, "refusal")
    finish = "filter" if refusal else finish_of(text_at(choice, "finish_reason"))
    return completed(provider, found.model or model, _content(message) or refusal, finish, _tokens(found.usage or {}))


class ChatReader:
    """Reads `chat.completion.chunk` events up to `[DONE]`.

    A stream without it is complete with its finish_reason: some servers end there.
    """

    def __init__(self, provider: str, model: str) -> None:
        self.ended = False
        self._provider = provider
        self._model = model
        self._texts: list[str] = []
        self._finish: str | None = None
        self._is_finished = False
        self._is_refused = False
        self._usage: Mapping[str, Any] = {}

    def take(self, data: bytes, /) -> str:
        """The text in one event's data; raises ProviderError for an error event."""
        if data.strip() == _LAST:
            self.ended = True
            return ""
        event = event_json(self._provider, data)
        if event.get("error"):
            raise reported_error(self._provider, event)
        self._model = text_at(event, "model") or self._model
        self._usage = part(event, "usage") or self._usage
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and choice.get("index", 0) == 0:
                return self._take_choice(choice)
        return ""

    def _take_choice(self, choice: Mapping[str, Any]) -> str:
        reason = text_at(choice, "finish_reason")
        if reason:
            self._is_finished, self._finish = True, finish_of(reason)
        delta = part(choice, "delta")
        refusal = text_at(delta, "refusal")
        self._is_refused = self._is_refused or bool(refusal)
        text = _content(delta) or refusal
        if text:
            self._texts.append(text)
        return text

    def reply(self) -> Reply:
        """The whole answer; raises ProviderError when the stream ended before it was complete."""
        if not (self.ended or self._is_finished):
            raise broken(self._provider, "a stream that ends before its last event")
        finish = "filter" if self._is_refused else self._finish
        return completed(self._provider, self._model, "".join(self._texts), finish, _tokens(self._usage))


def _content(message: Mapping[str, Any]) -> str:
    """The message's text; some servers give it in parts."""
    parts = message.get("content")
    if not isinstance(parts, list):
        return text_at(message, "content")
    return "".join(text_at(each, "text") for each in parts if isinstance(each, Mapping) and each.get("type") == "text")


def _tokens(usage: Mapping[str, Any]) -> Tokens:
    details = part(usage, "prompt_tokens_details")
    return Tokens(
        input=count_at(usage, "prompt_tokens"),
        cached=count_at(details, "cached_tokens"),
        cache_writes=count_at(details, "cache_write_tokens"),
        output=count_at(usage, "completion_tokens"),
    )
