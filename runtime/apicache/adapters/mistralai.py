"""The adapter of mistralai, https://github.com/mistralai/client-python."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from mistralai.client import models
from mistralai.client.chat import Chat
from mistralai.client.embeddings import Embeddings
from mistralai.client.fim import Fim
from mistralai.client.models.chatcompletionresponse import ChatCompletionResponse
from mistralai.client.models.embeddingresponse import EmbeddingResponse
from mistralai.client.models.fimcompletionresponse import FIMCompletionResponse
from mistralai.client.types.basemodel import Unset

from apicache.adapter import Identified
from apicache.errors import UnidentifiableError
from apicache.sdk.clients import Request, arguments_of, attribute, check_unpatched, http_side, identified
from apicache.sdk.models import ModelStore

_NAMES: Final[dict[Any, tuple[str, str]]] = {
    Chat: ("chat", "complete"),
    Embeddings: ("embeddings", "create"),
    Fim: ("fim", "complete"),
}
_CALLS: Final[dict[Any, tuple[Any, str, str]]] = {
    getattr(kind, f"{name}{suffix}"): (kind, f"{part}.{name}", side)
    for kind, (part, name) in _NAMES.items()
    for suffix, side in (("", "client"), ("_async", "async_client"))
}
_WITHOUT_EFFECT: Final = frozenset({"retries", "timeout_ms"})
_SENDING: Final = ("do_request", "do_request_async", "_build_request", "_build_request_async", "_get_url")
_HOOKS: Final = "mistralai.client._hooks."


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The call's arguments, with the SDK's configuration."""
    resource: Any = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", None)
    call = None if plain is None else _CALLS.get(plain)
    if call is None or plain is None:
        return None
    kind, path, side = call
    if type(resource) is not kind:
        raise UnidentifiableError(f"its resource is a {type(resource).__name__}")
    check_unpatched(resource, _SENDING, "mistralai")
    given = {
        name: value
        for name, value in arguments_of(plain, (resource, *args), kwargs).items()
        if name not in _WITHOUT_EFFECT and not isinstance(value, Unset)
    }
    if given.get("stream"):
        raise UnidentifiableError("its response is streamed")
    configuration = attribute(resource, "sdk_configuration")
    _check_hooks(configuration)
    headers = given.pop("http_headers", None) or {}
    server_url = given.pop("server_url", None)
    # As the library does: the call's own URL is taken as it is, the configured one loses a slash at its end.
    url = server_url if server_url is not None else configuration.get_server_details()[0]
    return identified(
        Request(
            library="mistralai",
            path=path,
            url=url,
            arguments=given,
            headers=headers.items(),
            settings={"user_agent": configuration.user_agent},
            credentials=_credentials(configuration),
            http=http_side(getattr(configuration, side)),
        )
    )


def _credentials(configuration: Any) -> str | None:
    """The API key: the client's own, else the one that the library reads from the environment for each request."""
    security = configuration.security
    if isinstance(security, models.Security):
        return security.api_key
    if security is not None:
        raise UnidentifiableError("its API key is a function, which may give another each time; give using(key=...)")
    if os.environ.get("MISTRAL_SA_TOKEN_PATH"):
        raise UnidentifiableError("its credential is a file's content, which changes; give the client an api_key")
    return os.environ.get("MISTRAL_API_KEY") or None


def _check_hooks(configuration: Any) -> None:
    """Refuse hooks other than those that each client has."""
    hooks = vars(configuration).get("_hooks")
    if hooks is None:
        raise UnidentifiableError("its client has no _hooks: this version of the library is not known")
    for hook in (each for group in vars(hooks).values() for each in group):
        if not type(hook).__module__.startswith(_HOOKS):
            raise UnidentifiableError(f"its client has a hook of its own, {type(hook).__name__}")


def _unfinished(response: Any) -> str | None:
    """Why a completion must not be stored."""
    if not response.choices:
        return "an answer without content"
    return (
        "an answer that ended in an error" if any(each.finish_reason == "error" for each in response.choices) else None
    )


_models = ModelStore(
    {
        ChatCompletionResponse: _unfinished,
        FIMCompletionResponse: _unfinished,
        EmbeddingResponse: lambda response: None if response.data else "an answer without content",
    },
    modules=("mistralai.client",),
    volatile=frozenset({"id", "created"}),
)
snapshot = _models.snapshot
replay = _models.replay
