"""A completion as every provider gives it."""

from collections.abc import Mapping
from typing import Final

from apicache.answers import Completion
from apicache.chain.errors import broken
from apicache.provider import Reply, Tokens

_FINISH: Final[Mapping[str, str]] = {
    "content_filter": "filter",
    "end_turn": "stop",
    "function_call": "tool",
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "tool",
    "refusal": "filter",
    "stop": "stop",
    "stop_sequence": "stop",
    "tool_calls": "tool",
    "tool_use": "tool",
}
"""Anthropic's words and OpenAI's."""


def finish_of(word: str) -> str | None:
    """The `finish_reason` of a Completion that an upstream's word stands for; None for any other word."""
    return _FINISH.get(word)


def completed(provider: str, model: str, text: str, finish: str | None, tokens: Tokens) -> Reply:
    """The reply of that text; raises ProviderError for an empty one that no limit, tool or filter explains."""
    if not text and finish in {None, "stop"}:
        raise broken(provider, "a message without text")
    value = Completion(
        text=text,
        provider=provider,
        model=model,
        finish_reason=finish,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
    )
    return Reply(value=value, model=model, tokens=tokens)
