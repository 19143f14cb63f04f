"""The adapter of openai, https://github.com/openai/openai-python."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import openai
from openai.resources.chat.completions import AsyncCompletions as AsyncChatCompletions
from openai.resources.chat.completions import Completions as ChatCompletions
from openai.resources.completions import AsyncCompletions, Completions
from openai.resources.embeddings import AsyncEmbeddings, Embeddings
from openai.resources.moderations import AsyncModerations, Moderations
from openai.resources.responses import AsyncResponses, Responses
from openai.types import Completion, CreateEmbeddingResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from apicache.adapter import Identified, Snapshot, url_carries_credential
from apicache.credentials import split_headers, storable_url
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.httpx_family import auth_credentials, client_settings, library_of

_PATHS: Final[dict[Any, str]] = {
    ChatCompletions: "chat/completions",
    AsyncChatCompletions: "chat/completions",
    Completions: "completions",
    AsyncCompletions: "completions",
    Embeddings: "embeddings",
    AsyncEmbeddings: "embeddings",
    Moderations: "moderations",
    AsyncModerations: "moderations",
    Responses: "responses",
    AsyncResponses: "responses",
}
_RESPONSES: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (ChatCompletion, Completion, CreateEmbeddingResponse, ModerationCreateResponse, Response)
}
_CONTENT: Final[dict[Any, str]] = {ChatCompletion: "choices", Completion: "choices", CreateEmbeddingResponse: "data"}
_UNFINISHED: Final = frozenset({"queued", "in_progress", "failed", "cancelled"})
_ABSENT: Final = tuple({type(value) for value in (openai.NOT_GIVEN, getattr(openai, "omit", openai.NOT_GIVEN))})
_OWN_AUTH: Final = ("_api_key_provider", "_provider", "custom_auth", "_workload_identity_auth")


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The resource's path and the call's arguments, with the client's settings."""
    resource: Any = getattr(function, "__self__", None)
    kind = type(resource)
    if (
        resource is None
        or kind not in _PATHS
        or getattr(function, "__func__", None) is not getattr(kind, "create", None)
    ):
        return None
    if args:
        raise UnidentifiableError("its arguments must be given by name")
    given = {name: value for name, value in kwargs.items() if name != "timeout" and not isinstance(value, _ABSENT)}
    if given.get("stream"):
        raise UnidentifiableError("its response is streamed")
    if given.get("background") or given.get("conversation"):
        raise UnidentifiableError("it changes state upstream (background or conversation)")
    headers, secret_headers = split_headers((given.pop("extra_headers", None) or {}).items())
    settings, credentials = _client_identity(resource._client)  # noqa: SLF001 - no public reader
    return Identified(
        label=f"{_PATHS[kind]} {settings['host']}",
        parameters={
            "library": "openai",
            "path": _PATHS[kind],
            "arguments": given,
            "headers": headers,
            "settings": settings,
        },
        credentials=[credentials, secret_headers],
        context=None,
        carries_credentials=any((*credentials, secret_headers, url_carries_credential(str(resource._client.base_url)))),  # noqa: SLF001 - same
    )


def _client_identity(client: Any) -> tuple[dict[str, Any], Any]:
    if type(client) not in (openai.OpenAI, openai.AsyncOpenAI):
        raise UnidentifiableError(f"its client is a {type(client).__name__}")
    if any(getattr(client, name, None) is not None for name in _OWN_AUTH):
        raise UnidentifiableError("its client makes its credentials itself; use using(scope=...)")
    transport = client._client  # noqa: SLF001 - no public reader
    library = library_of(transport)
    pairs = [*transport.headers.multi_items(), *client._custom_headers.items()]  # noqa: SLF001 - same
    headers, secret_headers = split_headers((name, value) for name, value in pairs if isinstance(value, str))
    url = str(client.base_url)
    settings = {
        "host": client.base_url.host,
        "base_url": storable_url(url),
        "organization": client.organization,
        "project": client.project,
        "headers": headers,
        "query": [list(transport.params.multi_items()), dict(client._custom_query)],  # noqa: SLF001 - same
        "transport": client_settings(library, transport),
    }
    credentials = [
        [client.api_key, getattr(client, "admin_api_key", None)],
        url,
        secret_headers,
        auth_credentials(library, transport.auth),
        sorted((cookie.name, cookie.value, cookie.domain) for cookie in transport.cookies.jar),
    ]
    return settings, credentials


def snapshot(response: Any) -> Snapshot | None:
    """The model's fields as the API sent them."""
    kind = type(response)
    if _RESPONSES.get(kind.__name__) is not kind:
        return None
    status = getattr(response, "status", None)
    refusal = f"status {status}" if status in _UNFINISHED else None
    if not getattr(response, _CONTENT.get(kind, "model"), None):
        refusal = "an answer without content"  # some compatible servers report an error with status 200
    return Snapshot(
        data={
            "model": kind.__name__,
            "fields": response.to_dict(mode="json", warnings=False),
            "request_id": response._request_id,  # noqa: SLF001 - documented attribute despite its name
        },
        refusal=refusal,
        lifetime=None,
    )


def replay(data: Any, context: None) -> Any:  # noqa: ARG001 - the adapter's shape
    """A new model of the same class with the same fields."""
    response = _RESPONSES[data["model"]].construct(**data["fields"])
    response._request_id = data["request_id"]  # noqa: SLF001 - as above
    return response


def not_modified(response: Any) -> bool:  # noqa: ARG001 - the adapter's shape
    """Never: the API's calls are POSTs, which have no validators."""
    return False


def renewed(data: Any, response: Any) -> Snapshot:  # noqa: ARG001 - the adapter's shape
    """Nothing renews a model; raises UnstorableError."""
    raise UnstorableError(f"a {type(response).__name__}, which renews nothing")
