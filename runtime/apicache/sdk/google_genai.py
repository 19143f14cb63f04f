"""What the adapter `google` knows of google-genai, https://github.com/googleapis/python-genai.

It stands by itself because other libraries share the package `google`: their objects shall not load this one.
"""

import ssl
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.genai import _api_client, types
from google.genai.models import AsyncModels, Models
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from apicache.adapter import Identified, Snapshot
from apicache.credentials import storable_headers
from apicache.errors import UnidentifiableError
from apicache.sdk.clients import HttpSide, Request, arguments_of, attribute, check_unpatched, http_side, identified
from apicache.sdk.models import ModelStore

_NAMES: Final = ("generate_content", "embed_content", "count_tokens")
_CALLS: Final[dict[Any, str]] = {getattr(kind, name): name for kind in (Models, AsyncModels) for name in _NAMES}
_OPTIONS: Final = ("base_url", "base_url_resource_scope", "api_version", "extra_body")
"""Of `HttpOptions`, what decides where a request goes and what is in it, beside its headers."""
_SENDING: Final = ("_build_request", "request", "async_request", "_request", "_async_request")
_COMPLETE: Final = frozenset({"STOP", "MAX_TOKENS"})


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The call's arguments, with the client's settings."""
    resource: Any = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", None)
    name = None if plain is None else _CALLS.get(plain)
    if name is None or plain is None:
        return None
    if type(resource) not in (Models, AsyncModels):
        raise UnidentifiableError(f"its resource is a {type(resource).__name__}")
    client = attribute(resource, "_api_client")
    if type(client) is not _api_client.BaseApiClient:
        raise UnidentifiableError(f"its client is a {type(client).__name__}")
    check_unpatched(client, _SENDING, "google")
    given = arguments_of(plain, (resource, *args), kwargs)
    config, own_options = _split_config(given.pop("config", None))
    _check_config(config)
    options = attribute(client, "_http_options")
    side = _async_side(client) if isinstance(resource, AsyncModels) else _sync_side(client)
    return identified(
        Request(
            library="google.genai",
            path=f"models.{name}",
            url=own_options.base_url or options.base_url or "",
            arguments={**given, "config": config},
            headers=[*(options.headers or {}).items(), *(own_options.headers or {}).items()],
            settings={
                "vertexai": client.vertexai,
                "project": client.project,
                "location": client.location,
                "custom_base_url": client.custom_base_url,
                "options": [{each: getattr(given, each) for each in _OPTIONS} for given in (options, own_options)],
            },
            credentials=_credentials(client),
            http=side,
        )
    )


def _split_config(config: Any) -> tuple[dict[str, Any], types.HttpOptions]:
    """A call's config without its HTTP options, and those."""
    if config is None:
        return {}, types.HttpOptions()
    if isinstance(config, Mapping):
        fields = dict(config)
        options = fields.pop("http_options", None) or fields.pop("httpOptions", None)
    else:
        fields = {name: value for name, value in vars(config).items() if value is not None}
        options = fields.pop("http_options", None)
    if not isinstance(options, types.HttpOptions):
        options = types.HttpOptions.model_validate(options or {})
    return fields, options


def _check_config(config: Mapping[str, Any]) -> None:
    """Refuse what would run the caller's code, make the caller's objects, or keep something upstream."""
    if any(callable(tool) or hasattr(tool, "call_tool") for tool in config.get("tools") or ()):
        raise UnidentifiableError("its tools are functions, which a hit would not run")
    for name in ("response_schema", "responseSchema", "response_json_schema", "responseJsonSchema"):
        if not isinstance(config.get(name), Mapping | types.Schema | None):
            raise UnidentifiableError(
                f"its {name} is a class; give response_json_schema=TheClass.model_json_schema() instead"
            )
    if config.get("store"):
        raise UnidentifiableError("it is stored upstream")


def _credentials(client: Any) -> Any:
    """Whose call it is beyond the headers: a Google Cloud account where there is no API key."""
    if not client.vertexai or client.api_key or not (client.project or client.location):
        return client.api_key
    held = attribute(client, "_credentials")
    if type(held) is service_account.Credentials:
        account = [held.service_account_email, attribute(held, "_subject"), held.quota_project_id]
        return ["service account", *account]
    if type(held) is user_credentials.Credentials:
        return ["user", held.client_id, held.refresh_token or held.token, held.quota_project_id]
    kind = "found by the library itself" if held is None else f"a {type(held).__name__}"
    raise UnidentifiableError(f"its Google Cloud credentials are {kind}, which does not say whose they are")


def _sync_side(client: Any) -> HttpSide:
    if attribute(client, "_use_google_auth_sync")():
        raise UnidentifiableError("its client sends through a session of google.auth")
    return http_side(attribute(client, "_httpx_client"), also="google.genai")


def _async_side(client: Any) -> HttpSide:
    """The HTTP client that async calls go through: aiohttp where it is installed, else httpx."""
    if attribute(client, "_use_google_auth_async")():
        raise UnidentifiableError("its client sends through a session of google.auth")
    if not attribute(client, "_use_aiohttp")():
        return http_side(attribute(client, "_async_httpx_client"), also="google.genai")
    if attribute(client, "_http_options").aiohttp_client is not None:
        raise UnidentifiableError("its client sends through an aiohttp session of the caller's")
    arguments = attribute(client, "_async_client_session_request_args")
    unknown = sorted(set(arguments) - {"ssl"})
    if unknown:
        raise UnidentifiableError(f"its async_client_args hold {unknown[0]!r}, which may change the answer")
    verifies = arguments.get("ssl")
    if isinstance(verifies, ssl.SSLContext):
        verifies = int(verifies.verify_mode)
    elif not isinstance(verifies, bool | None):
        raise UnidentifiableError("its async_client_args hold an ssl setting that cannot be compared")
    _check_aiohttp_unpatched()
    # The library's session is one with trust_env.
    proxies = urllib.request.getproxies()
    return HttpSide({"library": "aiohttp", "verifies": verifies}, proxies, carries_credentials=False)


def _check_aiohttp_unpatched() -> None:
    session: Any = getattr(getattr(_api_client, "aiohttp", None), "ClientSession", None)
    if not str(getattr(getattr(session, "_request", None), "__module__", "")).startswith("aiohttp"):
        raise UnidentifiableError("aiohttp's ClientSession has been replaced")


def _unfinished(response: types.GenerateContentResponse) -> str | None:
    """Why a completion must not be stored."""
    candidates = response.candidates or []
    if not any(each.content is not None and each.content.parts for each in candidates):
        return "an answer without content"
    for each in candidates:
        reason = None if each.finish_reason is None else each.finish_reason.value
        if reason not in _COMPLETE:
            return f"an answer that ended in {reason}"
    return None


_models = ModelStore(
    {
        types.GenerateContentResponse: _unfinished,
        types.EmbedContentResponse: lambda response: None if response.embeddings else "an answer without content",
        types.CountTokensResponse: lambda response: (
            "an answer without content" if response.total_tokens is None else None
        ),
    },
    modules=("google.genai",),
    volatile=frozenset({"sdk_http_response", "create_time", "response_id"}),
)


def snapshot(response: Any) -> Snapshot | None:
    """The model's state, without headers that carry credentials."""
    sent = getattr(response, "sdk_http_response", None)
    if isinstance(sent, types.HttpResponse) and sent.headers:
        kept = dict(storable_headers(sent.headers.items()))
        response = response.model_copy(update={"sdk_http_response": sent.model_copy(update={"headers": kept})})
    return _models.snapshot(response)


replay = _models.replay
