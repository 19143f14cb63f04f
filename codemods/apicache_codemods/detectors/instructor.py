"""instructor: proxies of SDK clients that give typed answers; https://python.useinstructor.com/."""

from apicache_codemods.detector import Argument, Constructor, Detector, Variant, Wrapper
from apicache_codemods.sdk_cards import requests

_METHODS = ("create", "create_with_completion", "create_partial", "create_iterable")
_COMPLETIONS = frozenset(
    f"{resource}{method}"
    for resource in ("", "chat.completions.", "messages.", "completions.", "responses.")
    for method in _METHODS
)
_CLIENT = (Argument("client", 0),)
_OPENAI = ("openai.OpenAI", "openai.AsyncOpenAI")
_UNKNOWN = ("instructor.Instructor", "instructor.AsyncInstructor")
_WRAPPING = {
    **dict.fromkeys(("from_openai", "from_perplexity", "from_together", "from_anyscale", "from_databricks"), _OPENAI),
    **dict.fromkeys(("from_deepseek", "from_openrouter"), _OPENAI),
    "from_anthropic": ("anthropic.Anthropic", "anthropic.AsyncAnthropic"),
    "from_cohere": ("cohere.ClientV2", "cohere.AsyncClientV2"),
    "from_groq": ("groq.Groq", "groq.AsyncGroq"),
    "from_mistral": ("mistralai.Mistral",),
    "from_genai": ("google.genai.Client",),
    "from_gemini": ("google.generativeai.GenerativeModel",),
    "from_bedrock": ("boto3.client[bedrock-runtime]",),
    **dict.fromkeys(("from_vertexai", "from_writer", "from_cerebras", "from_fireworks", "from_xai"), _UNKNOWN),
}
_PROVIDERS = {
    "openai": "POST https://api.openai.com/v1/chat/completions",
    "anthropic": "POST https://api.anthropic.com/v1/messages",
    "google": "POST https://generativelanguage.googleapis.com/v1beta/models/{}:generateContent",
    "mistral": "POST https://api.mistral.ai/v1/chat/completions",
    "cohere": "POST https://api.cohere.com/v2/chat",
    "groq": "POST https://api.groq.com/openai/v1/chat/completions",
    "ollama": "POST http://localhost:11434/v1/chat/completions",
    "deepseek": "POST https://api.deepseek.com/chat/completions",
    "openrouter": "POST https://openrouter.ai/api/v1/chat/completions",
    "xai": "POST https://api.x.ai/v1/chat/completions",
}


def _made(endpoint: str, *, is_async: bool) -> Constructor:
    return Constructor(is_async=is_async, calls=requests(dict.fromkeys(_COMPLETIONS, endpoint), ("messages", "model")))


def _of_provider(provider: str) -> tuple[Variant, Variant]:
    model = (Argument("model", 0), f"{provider}/")
    return (
        Variant((model, (Argument("async_client", 1), True)), f"instructor.from_provider[{provider}, async]"),
        Variant((model,), f"instructor.from_provider[{provider}]"),
    )


DETECTOR = Detector(
    documentation="https://python.useinstructor.com/",
    constructors={
        "instructor.Instructor": _made("POST ", is_async=False),
        "instructor.AsyncInstructor": _made("POST ", is_async=True),
        "instructor.from_provider": Constructor(
            calls=_made("POST ", is_async=False).calls,
            variants=(
                *(variant for provider in _PROVIDERS for variant in _of_provider(provider)),
                Variant(((Argument("async_client", 1), True),), "instructor.AsyncInstructor"),
            ),
        ),
        **{
            f"instructor.from_provider[{provider}]": _made(endpoint, is_async=False)
            for provider, endpoint in _PROVIDERS.items()
        },
        **{
            f"instructor.from_provider[{provider}, async]": _made(endpoint, is_async=True)
            for provider, endpoint in _PROVIDERS.items()
        },
    },
    kind="llm",
    wrappers={
        **{f"instructor.{name}": Wrapper(_CLIENT, _COMPLETIONS, takes) for name, takes in _WRAPPING.items()},
        "instructor.from_litellm": Wrapper((Argument("completion", 0),), _COMPLETIONS),
        "instructor.patch": Wrapper((*_CLIENT, Argument("create")), _COMPLETIONS, _OPENAI),
        "instructor.apatch": Wrapper((*_CLIENT, Argument("create")), _COMPLETIONS, _OPENAI),
    },
)
