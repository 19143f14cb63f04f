"""The adapter of litellm, https://docs.litellm.ai.

litellm's functions answer by their arguments, by some two hundred settings of its module, by class attributes of its
providers' configurations, and by environment variables. All of them are part of a call's identity. Providers are known
one by one, as each reads its credentials from variables of its own.
"""

import importlib.metadata
import os
import urllib.request
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final

import litellm
import pydantic
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import EmbeddingResponse, LlmProviders, ModelResponse, TextCompletionResponse
from litellm.utils import ProviderConfigManager

from apicache.adapter import Identified, Snapshot
from apicache.credentials import is_credential, storable_headers, storable_url
from apicache.errors import UnidentifiableError
from apicache.sdk.clients import HttpSide, Request, arguments_of, identified
from apicache.sdk.models import ModelStore

_NAMES: Final = ("completion", "embedding", "text_completion", "responses")
_CALLS: Final[dict[Any, str]] = {
    getattr(module, f"{prefix}{name}"): name
    for module in (litellm, litellm.main)
    for name in _NAMES
    for prefix in ("", "a")
    if isinstance(getattr(module, f"{prefix}{name}", None), FunctionType)
}
_VERSION: Final = importlib.metadata.version("litellm")

_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("ANTHROPIC_",),
    "azure": ("AZURE_", "OPENAI_"),
    "cohere": ("COHERE_", "CO_"),
    "cohere_chat": ("COHERE_", "CO_"),
    "deepseek": ("DEEPSEEK_",),
    "fireworks_ai": ("FIREWORKS",),
    "gemini": ("GEMINI_", "GOOGLE_"),
    "groq": ("GROQ_",),
    "hosted_vllm": ("HOSTED_VLLM_",),
    "mistral": ("MISTRAL_",),
    "ollama": ("OLLAMA_",),
    "ollama_chat": ("OLLAMA_",),
    "openai": ("OPENAI_",),
    "openrouter": ("OPENROUTER_", "OR_"),
    "perplexity": ("PERPLEXITY", "PPLX"),
    "text-completion-openai": ("OPENAI_",),
    "together_ai": ("TOGETHER",),
}
"""By provider, how the names of the environment variables begin that tell where it is and who calls."""
_EVERY_PROVIDER: Final = ("LITELLM_", "SSL_", "AIOHTTP_", "DISABLE_AIOHTTP_", "DEFAULT_", "OPENAI_LIKE_")
_PROVIDERS: Final = frozenset(str(provider.value) for provider in LlmProviders)
_CONFIGS: Final[dict[str, tuple[str, ...]]] = {
    "azure": ("AzureOpenAIConfig", "AzureOpenAIO1Config"),
    "groq": ("GroqChatConfig",),
    "openai": ("OpenAIConfig",),
    "openrouter": ("OpenrouterConfig",),
    "text-completion-openai": ("OpenAITextCompletionConfig",),
}
"""By provider, the classes whose attributes `litellm.completion` itself merges into a request."""

_EMPTY_SETTINGS: Final[dict[str, str]] = {
    **dict.fromkeys(("input_callback", "success_callback", "failure_callback", "service_callback", "callbacks"), ""),
    **dict.fromkeys(("_async_input_callback", "_async_success_callback", "_async_failure_callback"), ""),
    **dict.fromkeys(("pre_call_rules", "post_call_rules"), ""),
    "cache": "answers from a cache of its own",
    **dict.fromkeys(("client_session", "aclient_session"), "is a client of the caller's"),
    **dict.fromkeys(("custom_provider_map", "credential_list"), "decides who answers"),
    **dict.fromkeys(("secret_manager_client",), "gives credentials that cannot be read off"),
    **dict.fromkeys(("fallbacks", "default_fallbacks", "model_fallbacks"), "may have another model answer"),
    **dict.fromkeys(("context_window_fallbacks", "content_policy_fallbacks"), "may have another model answer"),
}
"""Settings of the module that must be empty, each with the reason; "" for what a hit would not run."""
_LEFT_OUT: Final = frozenset(
    {"in_memory_llm_clients_cache", "caching", "error_logs", "models_by_provider", "initialized_langfuse_clients"}
    | {"request_timeout", "request_timeout_explicitly_set", "num_retries", "num_retries_per_request"}
)
_UNANNOTATED: Final = ("drop_params", "modify_params", "headers", "organization", "project", "check_provider_endpoint")
_SETTINGS: Final = sorted(
    name
    for name in {*litellm.__annotations__, *_UNANNOTATED} - _LEFT_OUT - _EMPTY_SETTINGS.keys()
    if not name.startswith("_") and not name.endswith("_models") and not name.isupper()
)
_SECRET_SETTINGS: Final = frozenset(name for name in _SETTINGS if is_credential(name) or name == "headers")

_WITHOUT_EFFECT: Final = frozenset({"timeout", "request_timeout", "stream_timeout", "num_retries", "max_retries"})
_REFUSED: Final[dict[str, str]] = {
    "stream": "its response is streamed",
    "background": "it starts a job upstream",
    "conversation": "it changes a conversation upstream",
    "store": "it is stored upstream",
    "mock_response": "its answer is a mock",
    **dict.fromkeys(("client", "shared_session"), "it is given a client, which may answer from anywhere"),
    **dict.fromkeys(("fallbacks", "model_list", "context_window_fallback_dict"), "another model may answer"),
    **dict.fromkeys(("logger_fn", "azure_ad_token_provider"), "it is given a function, which a hit would not run"),
    **dict.fromkeys(("caching", "cache"), "litellm's own cache may answer"),
    **dict.fromkeys(("litellm_credential_name", "router"), "its credentials cannot be read off"),
    **dict.fromkeys(("acompletion", "aembedding", "aresponses"), "it returns an awaitable"),
}
_SECRET_ARGUMENTS: Final = ("api_key", "azure_ad_token", "azure_password", "client_secret")
_SECRET_SOURCES: Final = ("oidc/", "os.environ/")
_UNFINISHED: Final = frozenset({"queued", "in_progress", "failed", "cancelled"})
_PLAIN: Final = (str, int, float, bool, type(None), list, dict, tuple)


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The call's arguments, with the module's settings and the provider's variables."""
    name = _CALLS.get(function) if isinstance(function, FunctionType) else None
    if name is None:
        return None
    given = {
        each: value
        for each, value in arguments_of(function, args, kwargs).items()
        if each not in _WITHOUT_EFFECT and value is not None
    }
    _check_given(given)
    _check_module()
    model, provider, api_base = _resolved(given)
    headers = {**(given.pop("headers", None) or {}), **(given.pop("extra_headers", None) or {})}
    secrets = {each: given.pop(each) for each in _SECRET_ARGUMENTS if each in given}
    settings = {each: getattr(litellm, each, None) for each in _SETTINGS}
    secret_settings = {each: settings.pop(each) for each in _SECRET_SETTINGS}
    variables = _variables(provider)
    known = {
        *secrets,
        *(each for each, value in secret_settings.items() if isinstance(value, str) and value),
        *(each for each in variables if is_credential(each)),
    }
    return identified(
        Request(
            library=f"litellm {_VERSION}",
            path=f"{name} {provider}",
            url=api_base,
            arguments=given,
            headers=headers.items(),
            settings={
                "module": settings,
                "provider": _provider_settings(name, model, provider),
                "model": [litellm.model_cost.get(each) for each in (model, f"{provider}/{model}")],
            },
            credentials=None,
            http=HttpSide(None, [secrets, secret_settings, variables, urllib.request.getproxies()], bool(known)),
        )
    )


def _check_given(given: Mapping[str, Any]) -> None:
    """Refuse arguments with which the answer is no shareable read."""
    for name, reason in _REFUSED.items():
        if given.get(name):
            raise UnidentifiableError(reason)
    for name in ("response_format", "text_format"):
        if isinstance(given.get(name), type):
            raise UnidentifiableError(f"its {name} is a class; give its JSON schema instead")
    for value in given.values():
        if isinstance(value, str) and value.startswith(_SECRET_SOURCES):
            raise UnidentifiableError("it names where a credential is to be found; give the credential itself")


def _check_module() -> None:
    """Refuse settings of the module whose effect cannot be read off."""
    for name, reason in _EMPTY_SETTINGS.items():
        if getattr(litellm, name, None):
            raise UnidentifiableError(f"litellm.{name} {reason or 'holds functions, which a hit would not run'}")


def _resolved(given: Mapping[str, Any]) -> tuple[str, str, str]:
    """A call's model, its provider and its base URL ("" for the provider's own), as litellm itself finds them.

    Raises UnidentifiableError for a provider that is not known here.
    """
    model = str(given.get("model"))
    model = litellm.model_alias_map.get(model, model)
    asked = given.get("custom_llm_provider") or model.partition("/")[0]
    if asked in _PROVIDERS and asked not in _VARIABLES:  # before litellm resolves it: some log in on the way
        raise UnidentifiableError(_unknown_provider(asked))
    api_base = given.get("api_base") or given.get("base_url") or litellm.api_base
    model, provider, _, resolved = litellm.get_llm_provider(
        model=model,
        custom_llm_provider=given.get("custom_llm_provider"),
        api_base=api_base,
        api_key=given.get("api_key"),
    )
    if provider not in _VARIABLES:
        raise UnidentifiableError(_unknown_provider(provider))
    return model, provider, str(api_base or resolved or "")


def _unknown_provider(provider: str) -> str:
    known = ", ".join(sorted(_VARIABLES))
    return f"where its provider {provider!r} finds its credentials is not known (known: {known}); give using(key=...)"


def _variables(provider: str) -> dict[str, str]:
    """The environment variables that the provider, or litellm for any, reads."""
    prefixes = (*_VARIABLES[provider], *_EVERY_PROVIDER)
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


def _provider_settings(name: str, model: str, provider: str) -> list[Any]:
    """Class attributes of the provider's configuration: what `litellm.OpenAIConfig(max_tokens=10)` sets."""
    kind = LlmProviders(provider)
    manager: Any = ProviderConfigManager
    found = {
        "completion": lambda: manager.get_provider_chat_config(model=model, provider=kind),
        "embedding": lambda: manager.get_provider_embedding_config(model=model, provider=kind),
        "text_completion": lambda: manager.get_provider_text_completion_config(model=model, provider=kind),
        "responses": lambda: manager.get_provider_responses_api_config(model=model, provider=kind),
    }[name]()
    classes = [*type(found).__mro__, *(getattr(litellm, each) for each in _CONFIGS.get(provider, ()))]
    return [
        {key: value for key, value in vars(each).items() if not key.startswith("_") and isinstance(value, _PLAIN)}
        for each in classes
        if each.__module__.startswith("litellm.")
    ]


def _incomplete(response: Any) -> str | None:
    """Why a completion must not be stored."""
    if not response.choices:
        return "an answer without content"
    for choice in response.choices:
        if choice.finish_reason == "error":
            return "an answer that ended in an error"
        message = getattr(choice, "message", None)
        if message is not None and not any(
            getattr(message, part, None) for part in ("content", "tool_calls", "function_call", "audio", "images")
        ):
            return "an answer without content"
    return None


def _unfinished(response: Any) -> str | None:
    """Why a response of the responses API must not be stored."""
    if response.status in _UNFINISHED:
        return f"status {response.status}"
    return None if response.output else "an answer without content"


_models = ModelStore(
    {
        ModelResponse: _incomplete,
        TextCompletionResponse: _incomplete,
        EmbeddingResponse: lambda response: None if response.data else "an answer without content",
        ResponsesAPIResponse: _unfinished,
    },
    modules=("litellm", "openai"),
    volatile=frozenset({"id", "created", "created_at", "system_fingerprint"}),
)


def snapshot(response: Any) -> Snapshot | None:
    """The model's state, without headers that carry credentials."""
    private = getattr(response, "__pydantic_private__", None)
    if private:
        response = response.model_copy()
        object.__setattr__(response, "__pydantic_private__", _without_secrets("", private))
    return _models.snapshot(response)


def _without_secrets(name: str, value: Any) -> Any:
    """A copy of what litellm keeps beside an answer: headers of the response, the URL that was asked."""
    if name == "api_base" and isinstance(value, str):
        return storable_url(value)
    if isinstance(value, pydantic.BaseModel):
        copied = value.model_copy()
        for part in ("__dict__", "__pydantic_extra__"):
            object.__setattr__(copied, part, _without_secrets("", getattr(value, part)))
        return copied
    if not isinstance(value, Mapping):
        return value
    if name.endswith("headers"):
        return {each: item for each, item in value.items() if _is_storable(each.removeprefix("llm_provider-"))}
    return {each: _without_secrets(each, item) for each, item in value.items()}


def _is_storable(header: str) -> bool:
    return bool(storable_headers([(header, "")]))


replay = _models.replay
