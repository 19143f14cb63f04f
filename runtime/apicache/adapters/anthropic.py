"""The adapter of anthropic, https://github.com/anthropics/anthropic-sdk-python."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import anthropic
from anthropic.resources.messages import AsyncMessages, Messages
from anthropic.types import Message, MessageTokensCount

from apicache.adapter import Identified
from apicache.errors import UnidentifiableError
from apicache.sdk.stainless_family import StainlessFamily, without

_BETA: Final = "anthropic.resources.beta."
_BATCHES: Final = "anthropic.resources.messages.batches"
_MESSAGES: Final = {"create": "messages", "count_tokens": "messages/count_tokens"}
_UNFINISHED: Final = frozenset({None, "pause_turn"})
"""Stop reasons of a turn that the model has not ended, nor a limit that the caller has set."""


def _refused(given: Mapping[str, Any]) -> str | None:
    return "it runs in a container, whose state it changes" if given.get("container") else None


def _unfinished(response: Message) -> str | None:
    """Why a message must not be stored."""
    empty = without("content")(response)
    if empty is None and response.stop_reason in _UNFINISHED:
        return f"stop reason {response.stop_reason}"
    return empty


_family: Final = StainlessFamily(
    anthropic,
    clients=(anthropic.Anthropic, anthropic.AsyncAnthropic),
    calls=dict.fromkeys((Messages, AsyncMessages), _MESSAGES),
    answers={
        Message: _unfinished,
        MessageTokensCount: lambda count: "an answer without content" if count.input_tokens is None else None,
    },
    keys=("api_key", "auth_token"),
    own_auth=("credentials", "custom_auth", "_token_cache", "_credential_headers"),
    ids=("request_id", "workspace_id"),
    refuse=_refused,
    ends=(b"event: message_stop",),
)


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The call's arguments, with the client's settings; refuses what the library offers beside the plain calls."""
    _check_plain(function)
    return _family.identify(function, args, kwargs)


def identify_stream(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Identified | None:
    """As `identify`, of a call with `stream=True`; None for any other."""
    _check_plain(function)
    return _family.identify_stream(function, args, kwargs)


def _check_plain(function: Callable[..., Any]) -> None:
    """Say of calls that are left out why they are, whatever name the caller has for them."""
    owner = type(getattr(function, "__self__", None))
    if owner.__module__.startswith(_BETA):
        raise UnidentifiableError("it belongs to the beta namespace, where anything may change; give using(key=...)")
    if owner.__module__ == _BATCHES:
        raise UnidentifiableError("it is about a batch, whose state changes upstream")
    if owner in {Messages, AsyncMessages} and getattr(function, "__name__", "") == "stream":
        raise UnidentifiableError("its response is streamed")


snapshot = _family.snapshot
replay = _family.replay
