"""The adapter of cohere, https://github.com/cohere-ai/cohere-python."""

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final

import cohere
from cohere.base_client import AsyncBaseCohere, BaseCohere
from cohere.core.client_wrapper import AsyncClientWrapper, SyncClientWrapper
from cohere.core.http_client import AsyncHttpClient, HttpClient
from cohere.types.embed_by_type_response import EmbedByTypeResponse
from cohere.types.embed_response import EmbeddingsByTypeEmbedResponse, EmbeddingsFloatsEmbedResponse
from cohere.types.non_streamed_chat_response import NonStreamedChatResponse
from cohere.types.rerank_response import RerankResponse
from cohere.v2.client import AsyncV2Client, V2Client
from cohere.v2.types.v2chat_response import V2ChatResponse
from cohere.v2.types.v2rerank_response import V2RerankResponse

from apicache.adapter import Identified
from apicache.errors import UnidentifiableError
from apicache.sdk.clients import Request, arguments_of, attribute, check_unpatched, http_side, identified
from apicache.sdk.models import ModelStore

_CLIENTS: Final = (
    cohere.Client,
    cohere.AsyncClient,
    cohere.ClientV2,
    cohere.AsyncClientV2,
    V2Client,
    AsyncV2Client,
)
_VERSIONS: Final[dict[Any, str]] = {
    BaseCohere: "v1",
    AsyncBaseCohere: "v1",
    cohere.Client: "v1",
    cohere.AsyncClient: "v1",
    V2Client: "v2",
    AsyncV2Client: "v2",
}
_CALLS: Final[dict[Any, str]] = {
    vars(kind)[name]: f"{version}.{name}"
    for kind, version in _VERSIONS.items()
    for name in ("chat", "embed", "rerank")
    if name in vars(kind)
}
_WRAPPED_BY: Final = ("validate_args.<locals>.", "experimental_kwarg_decorator.<locals>.")
_WRAPPED: Final = ("func", "method")
_OMITTED: Final = Ellipsis
_OPTIONS: Final = ("additional_headers", "additional_query_parameters", "additional_body_parameters")


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The call's arguments, with the client's settings."""
    method = _unwrapped(function)
    client: Any = getattr(method, "__self__", None)
    plain = getattr(method, "__func__", None)
    path = _CALLS.get(plain)
    if path is None or plain is None:
        return None
    if type(client) not in _CLIENTS:
        raise UnidentifiableError(f"its client is a {type(client).__name__}")
    given = {
        name: value for name, value in arguments_of(plain, (client, *args), kwargs).items() if value is not _OMITTED
    }
    if given.get("stream"):
        raise UnidentifiableError("its response is streamed")
    if given.get("conversation_id"):
        raise UnidentifiableError("it continues a conversation that is kept upstream")
    options = given.pop("request_options", None) or {}
    raw = attribute(client, "_raw_client")
    wrapper = attribute(raw, "_client_wrapper")
    _check_wrapper(raw, wrapper)
    given["options"] = {name: options.get(name) or {} for name in _OPTIONS[1:]}
    headers = {**wrapper.get_headers(), **(options.get(_OPTIONS[0]) or {})}
    return identified(
        Request(
            library="cohere",
            path=path,
            url=wrapper.get_base_url(),
            arguments=given,
            headers=headers.items(),
            settings=None,
            credentials=None,  # the token is a header
            http=http_side(wrapper.httpx_client.httpx_client),
        )
    )


def _unwrapped(function: Any) -> Any:
    """The bound method in the functions that the client's constructor puts in the place of its `chat`."""
    while isinstance(function, FunctionType) and function.__qualname__.startswith(_WRAPPED_BY):
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        inner = next((cells[name].cell_contents for name in _WRAPPED if name in cells), None)
        if inner is None:
            return function
        function = inner
    return function


def _check_wrapper(raw: Any, wrapper: Any) -> None:
    """Refuse what sends in a way of its own, or with a token that cannot be read off."""
    if not type(raw).__module__.startswith("cohere."):
        raise UnidentifiableError(f"its client sends by a {type(raw).__name__}")
    if type(wrapper) not in (SyncClientWrapper, AsyncClientWrapper):
        raise UnidentifiableError(f"its client sends by a {type(wrapper).__name__}")
    if not isinstance(attribute(wrapper, "_token"), str) or getattr(wrapper, "_async_token", None) is not None:
        raise UnidentifiableError("its API key is a function, which may give another each time; give using(key=...)")
    if type(wrapper.httpx_client) not in (HttpClient, AsyncHttpClient):
        raise UnidentifiableError(f"its client sends by a {type(wrapper.httpx_client).__name__}")
    check_unpatched(wrapper.httpx_client, ("request",), "cohere")


def _unfinished(response: Any) -> str | None:
    """Why a completion must not be stored."""
    if str(response.finish_reason).startswith(("ERROR", "TIMEOUT")):
        return f"an answer that ended in {response.finish_reason}"
    if isinstance(response, V2ChatResponse):
        message = response.message
        return None if message.content or message.tool_calls or message.tool_plan else "an answer without content"
    found = response.text or response.tool_calls or response.search_queries
    return None if found else "an answer without content"


_models = ModelStore(
    {
        V2ChatResponse: _unfinished,
        NonStreamedChatResponse: _unfinished,
        **{
            kind: lambda response: None if response.embeddings else "an answer without content"
            for kind in (EmbedByTypeResponse, EmbeddingsByTypeEmbedResponse, EmbeddingsFloatsEmbedResponse)
        },
        **{
            kind: lambda response: None if response.results else "an answer without content"
            for kind in (RerankResponse, V2RerankResponse)
        },
    },
    modules=("cohere",),
    volatile=frozenset({"id", "generation_id", "response_id"}),
)
snapshot = _models.snapshot
replay = _models.replay
