"""langchain: its chat models, text models and embeddings; https://python.langchain.com/api_reference/.

A chain written with `|` is worth the models in it: its `invoke` makes their request. What agents and ready-made chains
send is not known.
"""

from collections.abc import Iterable

from apicache_codemods.detector import Argument, Constructor, Detector, Variant
from apicache_codemods.sdk_cards import requests

_RUN = ("invoke", "stream", "batch", "batch_as_completed")
_MODEL = (*_RUN, "predict", "predict_messages", "call_as_llm", "generate", "generate_prompt")
_AWAITED_MODEL = (
    *("ainvoke", "astream", "abatch", "abatch_as_completed", "astream_events", "astream_log"),
    *("apredict", "apredict_messages", "agenerate", "agenerate_prompt"),
)
_EMBEDDING = ("embed_query", "embed_documents")
_AWAITED_EMBEDDING = ("aembed_query", "aembed_documents")
_PAYLOAD = (Argument("input", 0), "messages", "text", "texts", "model")

_OLD = "langchain.{kind} langchain.{kind}.{place} langchain_community.{kind} langchain_community.{kind}.{place}"
_OPENAI_BASES = ("base_url", "openai_api_base")
_OPENAI_URL = "https://api.openai.com/v1"
_AZURE = "{}/openai/deployments/{}"
_BEDROCK = "https://bedrock-runtime.{}.amazonaws.com"
_GEMINI = "https://generativelanguage.googleapis.com/v1beta"
_VERTEX = "https://{}-aiplatform.googleapis.com/v1/projects/{}/locations/{}/publishers/google"
_OLLAMA = "http://127.0.0.1:11434"


def _model(
    path: str, base_url: str | None = None, *keywords: str, suffix: str = "", abstract: bool = False
) -> Constructor:
    calls = requests(dict.fromkeys((*_MODEL, *_AWAITED_MODEL), f"POST {path}"), _PAYLOAD, awaited=_AWAITED_MODEL)
    bases = dict.fromkeys(keywords, suffix)
    return Constructor(base_urls=bases, base_url=base_url, calls=calls, abstract=abstract)


def _embedding(path: str, base_url: str, *keywords: str, suffix: str = "") -> Constructor:
    endpoints = dict.fromkeys((*_EMBEDDING, *_AWAITED_EMBEDDING), f"POST {path}")
    calls = requests(endpoints, _PAYLOAD, awaited=_AWAITED_EMBEDDING)
    return Constructor(base_urls=dict.fromkeys(keywords, suffix), base_url=base_url, calls=calls)


def _named(
    constructor: Constructor, name: str, *modules: str, old: str = "", kind: str = "chat_models"
) -> dict[str, Constructor]:
    """The constructor by its qualified names: in its package, and where it was in older ones, in the module `old`."""
    places = [*modules, *(_OLD.format(kind=kind, place=old).split() if old else ())]
    return dict.fromkeys((f"{module}.{name}" for module in places), constructor)


_CHAT_OPENAI = _model("/chat/completions", _OPENAI_URL, *_OPENAI_BASES)
_CHAT_AZURE = _model("/chat/completions", _AZURE, "azure_endpoint", "openai_api_base", suffix="/openai/deployments/{}")
_CHAT_ANTHROPIC = _model("/v1/messages", "https://api.anthropic.com", "base_url", "anthropic_api_url")
_CHAT_GEMINI = _model("/models/{}:generateContent", _GEMINI)
_CHAT_VERTEX = _model("/models/{}:generateContent", _VERTEX)
_CHAT_OLLAMA = _model("/api/chat", _OLLAMA, "base_url")
_CHAT_GROQ = _model("/openai/v1/chat/completions", "https://api.groq.com", "base_url", "groq_api_base")
_CHAT_MISTRAL = _model("/chat/completions", "https://api.mistral.ai/v1", "endpoint", "base_url")
_CHAT_COHERE = _model("/v2/chat", "https://api.cohere.com", "base_url")
_CHAT_BEDROCK = _model("/model/{}/invoke", _BEDROCK, "endpoint_url")
_CHAT_CONVERSE = _model("/model/{}/converse", _BEDROCK, "endpoint_url")
_CHAT_TOGETHER = _model("/chat/completions", "https://api.together.xyz/v1", "base_url")
_CHAT_FIREWORKS = _model("/chat/completions", "https://api.fireworks.ai/inference/v1", "base_url")
_CHAT_DEEPSEEK = _model("/chat/completions", "https://api.deepseek.com/v1", "api_base", "base_url")
_CHAT_XAI = _model("/chat/completions", "https://api.x.ai/v1", "xai_api_base", "base_url")
_CHAT_PERPLEXITY = _model("/chat/completions", "https://api.perplexity.ai")
_CHAT_NVIDIA = _model("/chat/completions", "https://integrate.api.nvidia.com/v1", "base_url")
_CHAT_LITELLM = _model("/chat/completions", None, "api_base")
_ANY = _model("")
_CHAT_MODELS = {
    **_named(
        _CHAT_OPENAI,
        "ChatOpenAI",
        "langchain_openai",
        "langchain_openai.chat_models",
        "langchain_openai.chat_models.base",
        old="openai",
    ),
    **_named(
        _CHAT_AZURE,
        "AzureChatOpenAI",
        "langchain_openai",
        "langchain_openai.chat_models",
        "langchain_openai.chat_models.azure",
        old="azure_openai",
    ),
    **_named(
        _CHAT_ANTHROPIC, "ChatAnthropic", "langchain_anthropic", "langchain_anthropic.chat_models", old="anthropic"
    ),
    **_named(_CHAT_GEMINI, "ChatGoogleGenerativeAI", "langchain_google_genai", "langchain_google_genai.chat_models"),
    **_named(_CHAT_VERTEX, "ChatVertexAI", "langchain_google_vertexai", old="vertexai"),
    **_named(_CHAT_OLLAMA, "ChatOllama", "langchain_ollama", "langchain_ollama.chat_models", old="ollama"),
    **_named(_CHAT_GROQ, "ChatGroq", "langchain_groq", "langchain_groq.chat_models"),
    **_named(_CHAT_MISTRAL, "ChatMistralAI", "langchain_mistralai", "langchain_mistralai.chat_models"),
    **_named(_CHAT_COHERE, "ChatCohere", "langchain_cohere", "langchain_cohere.chat_models", old="cohere"),
    **_named(_CHAT_BEDROCK, "ChatBedrock", "langchain_aws", "langchain_aws.chat_models"),
    **_named(_CHAT_BEDROCK, "BedrockChat", old="bedrock"),
    **_named(_CHAT_CONVERSE, "ChatBedrockConverse", "langchain_aws", "langchain_aws.chat_models"),
    **_named(_CHAT_TOGETHER, "ChatTogether", "langchain_together", "langchain_together.chat_models"),
    **_named(_CHAT_FIREWORKS, "ChatFireworks", "langchain_fireworks", old="fireworks"),
    **_named(_CHAT_DEEPSEEK, "ChatDeepSeek", "langchain_deepseek", "langchain_deepseek.chat_models"),
    **_named(_CHAT_XAI, "ChatXAI", "langchain_xai", "langchain_xai.chat_models"),
    **_named(_CHAT_PERPLEXITY, "ChatPerplexity", "langchain_perplexity", old="perplexity"),
    **_named(_CHAT_NVIDIA, "ChatNVIDIA", "langchain_nvidia_ai_endpoints"),
    **_named(_CHAT_LITELLM, "ChatLiteLLM", "langchain_litellm", old="litellm"),
}
_TEXT_MODELS = {
    **_named(
        _model("/completions", _OPENAI_URL, *_OPENAI_BASES),
        "OpenAI",
        "langchain_openai",
        "langchain_openai.llms",
        old="openai",
        kind="llms",
    ),
    **_named(
        _model("/completions", _AZURE, "azure_endpoint", suffix="/openai/deployments/{}"),
        "AzureOpenAI",
        "langchain_openai",
        "langchain_openai.llms",
        old="openai",
        kind="llms",
    ),
    **_named(_model("/api/generate", _OLLAMA, "base_url"), "OllamaLLM", "langchain_ollama", "langchain_ollama.llms"),
    **_named(_model("/api/generate", _OLLAMA, "base_url"), "Ollama", old="ollama", kind="llms"),
    **_named(
        _model("/v1/complete", "https://api.anthropic.com"),
        "AnthropicLLM",
        "langchain_anthropic",
        "langchain_anthropic.llms",
    ),
    **_named(_model("/v1/complete", "https://api.anthropic.com"), "Anthropic", old="anthropic", kind="llms"),
    **_named(_model("/model/{}/invoke", _BEDROCK), "BedrockLLM", "langchain_aws", "langchain_aws.llms"),
    **_named(_model("/model/{}/invoke", _BEDROCK), "Bedrock", old="bedrock", kind="llms"),
    **_named(_model("/models/{}:generateContent", _GEMINI), "GoogleGenerativeAI", "langchain_google_genai"),
}
_EMBEDDINGS = {
    **_named(
        _embedding("/embeddings", _OPENAI_URL, *_OPENAI_BASES),
        "OpenAIEmbeddings",
        "langchain_openai",
        "langchain_openai.embeddings",
        old="openai",
        kind="embeddings",
    ),
    **_named(
        _embedding("/embeddings", _AZURE, "azure_endpoint", suffix="/openai/deployments/{}"),
        "AzureOpenAIEmbeddings",
        "langchain_openai",
        "langchain_openai.embeddings",
    ),
    **_named(
        _embedding("/models/{}:batchEmbedContents", _GEMINI),
        "GoogleGenerativeAIEmbeddings",
        "langchain_google_genai",
        "langchain_google_genai.embeddings",
    ),
    **_named(
        _embedding("/api/embed", _OLLAMA, "base_url"),
        "OllamaEmbeddings",
        "langchain_ollama",
        "langchain_ollama.embeddings",
        old="ollama",
        kind="embeddings",
    ),
    **_named(
        _embedding("/v2/embed", "https://api.cohere.com", "base_url"),
        "CohereEmbeddings",
        "langchain_cohere",
        "langchain_cohere.embeddings",
        old="cohere",
        kind="embeddings",
    ),
    **_named(
        _embedding("/embeddings", "https://api.mistral.ai/v1", "endpoint"),
        "MistralAIEmbeddings",
        "langchain_mistralai",
        "langchain_mistralai.embeddings",
    ),
    **_named(
        _embedding("/model/{}/invoke", _BEDROCK, "endpoint_url"),
        "BedrockEmbeddings",
        "langchain_aws",
        "langchain_aws.embeddings",
        old="bedrock",
        kind="embeddings",
    ),
}
_BASES = {
    f"{module}.{name}": _model("", abstract=True)
    for module in (
        "langchain_core.language_models",
        "langchain_core.language_models.chat_models",
        "langchain_core.language_models.base",
        "langchain.chat_models.base",
        "langchain.base_language",
        "langchain.schema.language_model",
    )
    for name in ("BaseChatModel", "BaseLanguageModel")
}
_PROVIDERS = {
    "openai": "langchain_openai.ChatOpenAI",
    "azure_openai": "langchain_openai.AzureChatOpenAI",
    "anthropic": "langchain_anthropic.ChatAnthropic",
    "google_genai": "langchain_google_genai.ChatGoogleGenerativeAI",
    "google_vertexai": "langchain_google_vertexai.ChatVertexAI",
    "ollama": "langchain_ollama.ChatOllama",
    "groq": "langchain_groq.ChatGroq",
    "mistralai": "langchain_mistralai.ChatMistralAI",
    "cohere": "langchain_cohere.ChatCohere",
    "bedrock": "langchain_aws.ChatBedrock",
    "bedrock_converse": "langchain_aws.ChatBedrockConverse",
    "together": "langchain_together.ChatTogether",
    "fireworks": "langchain_fireworks.ChatFireworks",
    "deepseek": "langchain_deepseek.ChatDeepSeek",
    "xai": "langchain_xai.ChatXAI",
    "perplexity": "langchain_perplexity.ChatPerplexity",
    "nvidia": "langchain_nvidia_ai_endpoints.ChatNVIDIA",
}


def _init_chat_model() -> Constructor:
    variants = [
        Variant(((argument, value),), class_name)
        for provider, class_name in _PROVIDERS.items()
        for argument, value in ((Argument("model_provider"), provider), (Argument("model", 0), f"{provider}:"))
    ]
    return Constructor(calls=_ANY.calls, variants=tuple(variants))


def _modules(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name.rpartition(".")[0] for name in names}))


_CONSTRUCTORS = {
    **_CHAT_MODELS,
    **_TEXT_MODELS,
    **_EMBEDDINGS,
    **_BASES,
    **dict.fromkeys(
        ("langchain.chat_models.init_chat_model", "langchain.chat_models.base.init_chat_model"), _init_chat_model()
    ),
}

DETECTOR = Detector(
    documentation="https://python.langchain.com/api_reference/",
    modules=_modules(_CONSTRUCTORS),
    constructors=_CONSTRUCTORS,
    same_client=frozenset(
        {
            *("bind", "bind_tools", "bind_functions", "with_structured_output", "with_config", "with_retry"),
            *("with_fallbacks", "with_types", "with_listeners", "with_alisteners", "configurable_fields"),
            *("configurable_alternatives", "pipe", "assign", "pick"),
        }
    ),
    kind="llm",
)
