"""The adapter of ollama, https://github.com/ollama/ollama-python.

A call is identified by the request that the library itself builds for it: its tools may be functions, and its images
paths, whose content is read only there.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import msgspec
import ollama

from apicache.adapter import Identified
from apicache.errors import UnidentifiableError
from apicache.http.httpx_family import HttpxFamily
from apicache.sdk.clients import arguments_of, attribute, check_unpatched
from apicache.sdk.models import ModelStore

_NAMES: Final = ("generate", "chat", "embed", "embeddings")
_CALLS: Final[dict[Any, str]] = {
    getattr(kind, name): name for kind in (ollama.Client, ollama.AsyncClient) for name in _NAMES
}
_HTTPX: Final = HttpxFamily(httpx)
_UNANSWERED: Final = frozenset({"load", "unload"})


class _Built(Exception):  # noqa: N818 - no error: it carries the request out of the library
    pass


class _Recorder:
    """Stands where the HTTP client does, and sends nothing."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Raise what would be sent."""
        raise _Built(args, kwargs)


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The request that would be sent, with the HTTP client's settings merged in."""
    client: Any = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", None)
    name = _CALLS.get(plain)
    if name is None or plain is None:
        return None
    if type(client) not in (ollama.Client, ollama.AsyncClient):
        raise UnidentifiableError(f"its client is a {type(client).__name__}")
    check_unpatched(client, ("_request", "_request_raw"), "ollama")
    if arguments_of(plain, (client, *args), kwargs).get("stream"):
        raise UnidentifiableError("its response is streamed")
    sending = attribute(client, "_client").request
    built = _built(plain, client, args, kwargs)
    found = _HTTPX.identify(sending, *built.args)
    if found is None:
        raise UnidentifiableError("its HTTP client's request() has been replaced")
    return msgspec.structs.replace(
        found,
        label=f"{name} {found.label.rpartition(' ')[2]}",
        parameters={**found.parameters, "library": "ollama"},
        context=None,
        send=None,
        revalidate=None,
    )


def _built(plain: Any, client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Built:
    """The request of a call, made on a client that sends nothing."""
    stand_in = object.__new__(type(client))
    stand_in._client = _Recorder()
    try:
        result = plain(stand_in, *args, **kwargs)
        if isinstance(client, ollama.AsyncClient):
            result.send(None)
    except _Built as built:
        return built
    raise UnidentifiableError("its client does not send as this version of the library is known to")


def _unfinished(response: Any) -> str | None:
    """Why a completion must not be stored."""
    if response.done is not True:
        return "an unfinished answer"
    if response.done_reason in _UNANSWERED:
        return f"done because of {response.done_reason}: no answer"
    if isinstance(response, ollama.GenerateResponse):
        content = response.response or response.thinking or response.image
    else:
        content = response.message.content or response.message.thinking or response.message.tool_calls
    return None if content else "an answer without content"


_models = ModelStore(
    {
        ollama.GenerateResponse: _unfinished,
        ollama.ChatResponse: _unfinished,
        ollama.EmbedResponse: lambda response: None if response.embeddings else "an answer without content",
        ollama.EmbeddingsResponse: lambda response: None if response.embedding else "an answer without content",
    },
    modules=("ollama",),
    volatile=frozenset(
        {
            "created_at",
            "total_duration",
            "load_duration",
            "prompt_eval_duration",
            "eval_duration",
        }
    ),
)
snapshot = _models.snapshot
replay = _models.replay
