"""ollama: sync and async clients and the module's functions; https://github.com/ollama/ollama-python."""

from apicache_codemods.detector import Argument, Constructor, Detector
from apicache_codemods.sdk_cards import requests

_BASE_URL = "http://127.0.0.1:11434"
_PATHS = {
    "generate": "POST /api/generate",
    "chat": "POST /api/chat",
    "embed": "POST /api/embed",
    "embeddings": "POST /api/embeddings",
    "pull": "POST /api/pull",
    "push": "POST /api/push",
    "create": "POST /api/create",
    "list": "GET /api/tags",
    "delete": "DELETE /api/delete",
    "copy": "POST /api/copy",
    "show": "POST /api/show",
    "ps": "GET /api/ps",
    "web_search": "POST https://ollama.com/api/web_search",
    "web_fetch": "POST https://ollama.com/api/web_fetch",
}
_MODULE = requests(_PATHS, (Argument("model", 0), Argument("prompt", 1), Argument("messages", 1), "input"))
_CALLS = {**_MODULE, **requests({"create_blob": "POST /api/blobs/{}"})}

DETECTOR = Detector(
    documentation="https://github.com/ollama/ollama-python",
    constructors={
        "ollama.Client": Constructor(base_urls={"host": ""}, base_url=_BASE_URL, parameters=("host",)),
        "ollama.AsyncClient": Constructor(
            is_async=True, base_urls={"host": ""}, base_url=_BASE_URL, parameters=("host",)
        ),
    },
    calls=_CALLS,
    functions={f"ollama.{call}": request for call, request in _MODULE.items()},
    kind="llm",
    base_url=_BASE_URL,
    completion="chat",
)
