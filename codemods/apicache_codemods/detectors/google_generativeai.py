"""google.generativeai: models, chats and functions; https://github.com/google-gemini/deprecated-generative-ai-python.

The module's default transport is gRPC; the endpoints are those of the same calls over HTTP.
"""

from apicache_codemods.detector import Argument, Constructor, Detector
from apicache_codemods.sdk_cards import requests, resources

_BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
_PAYLOAD = (Argument("contents", 0), Argument("content", 0), "generation_config", "tools", "model")
_MODEL = requests(
    {
        "generate_content": "POST /models/{}:generateContent",
        "generate_content_async": "POST /models/{}:generateContent",
        "count_tokens": "POST /models/{}:countTokens",
        "count_tokens_async": "POST /models/{}:countTokens",
    },
    _PAYLOAD,
    awaited=("generate_content_async", "count_tokens_async"),
)
_CHAT = requests(
    {
        "send_message": "POST /models/{}:generateContent",
        "send_message_async": "POST /models/{}:generateContent",
    },
    _PAYLOAD,
    awaited=("send_message_async",),
)
_FUNCTIONS = requests(
    {
        "embed_content": "POST /models/{}:embedContent",
        "embed_content_async": "POST /models/{}:embedContent",
        "generate_text": "POST /models/{}:generateText",
        "generate_embeddings": "POST /models/{}:embedText",
        "chat": "POST /models/{}:generateMessage",
        "chat_async": "POST /models/{}:generateMessage",
        "count_message_tokens": "POST /models/{}:countMessageTokens",
        "list_models": "GET /models",
        "get_model": "GET /models/{}",
        "get_base_model": "GET /models/{}",
        "list_tuned_models": "GET /tunedModels",
        "get_tuned_model": "GET /tunedModels/{}",
        "create_tuned_model": "POST /tunedModels",
        "delete_tuned_model": "DELETE /tunedModels/{}",
        "upload_file": "POST https://generativelanguage.googleapis.com/upload/v1beta/files",
        "list_files": "GET /files",
        "get_file": "GET /files/{}",
        "delete_file": "DELETE /files/{}",
    },
    (*_PAYLOAD, "prompt", "text", "messages"),
    awaited=("embed_content_async", "chat_async"),
)
_CACHED = requests(
    {
        f"CachedContent.{call.rpartition('.')[2]}": endpoint
        for call, endpoint in resources({"caching": "/cachedContents create list get"}).items()
    },
    _PAYLOAD,
)
_GENERATIVE_MODEL = Constructor(
    base_url=_BASE_URL, calls=_MODEL, opens={"start_chat": "google.generativeai.ChatSession"}
)

DETECTOR = Detector(
    documentation="https://github.com/google-gemini/deprecated-generative-ai-python",
    library="google-generativeai",
    modules=("google.generativeai",),
    constructors={
        "google.generativeai.GenerativeModel": _GENERATIVE_MODEL,
        "google.generativeai.GenerativeModel.from_cached_content": _GENERATIVE_MODEL,
        "google.generativeai.generative_models.GenerativeModel": _GENERATIVE_MODEL,
        "google.generativeai.ChatSession": Constructor(base_url=_BASE_URL, calls=_CHAT),
        "google.generativeai.generative_models.ChatSession": Constructor(base_url=_BASE_URL, calls=_CHAT),
    },
    calls=_MODEL,
    functions={
        **{f"google.generativeai.{call}": request for call, request in _FUNCTIONS.items()},
        **{f"google.generativeai.caching.{call}": request for call, request in _CACHED.items()},
    },
    kind="llm",
    base_url=_BASE_URL,
    completion="generate_content",
)
