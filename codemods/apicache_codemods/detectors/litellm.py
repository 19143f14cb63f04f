"""litellm: the module's functions and its router; https://docs.litellm.ai/docs/.

The model decides which provider is called, so the host is known only when the call names an `api_base`. The path is
that of OpenAI's API, which litellm's calls follow.
"""

from apicache_codemods.detector import Argument, Constructor, Detector
from apicache_codemods.sdk_cards import requests

_PATHS = {
    "completion": "POST /chat/completions",
    "text_completion": "POST /completions",
    "responses": "POST /responses",
    "embedding": "POST /embeddings",
    "rerank": "POST /rerank",
    "moderation": "POST /moderations",
    "image_generation": "POST /images/generations",
    "image_edit": "POST /images/edits",
    "image_variation": "POST /images/variations",
    "transcription": "POST /audio/transcriptions",
    "speech": "POST /audio/speech",
    "create_batch": "POST /batches",
    "retrieve_batch": "GET /batches/{}",
    "create_file": "POST /files",
    "ocr": "POST /ocr",
    "search": "POST /search",
}
_TWINS = {f"a{name}": endpoint for name, endpoint in _PATHS.items()}
_PAYLOAD = (Argument("model", 0), Argument("messages", 1), Argument("input", 1), "prompt", "query", "documents")
_BASES = ("api_base", "base_url")
_ROUTED = requests({**_PATHS, **_TWINS}, _PAYLOAD, awaited=_TWINS, base_urls=_BASES)
_FUNCTIONS = requests(
    {
        **_PATHS,
        **_TWINS,
        "completion_with_retries": "POST /chat/completions",
        "acompletion_with_retries": "POST /chat/completions",
        "batch_completion": "POST /chat/completions",
        "batch_completion_models": "POST /chat/completions",
    },
    _PAYLOAD,
    awaited=(*_TWINS, "acompletion_with_retries"),
    base_urls=_BASES,
)

DETECTOR = Detector(
    documentation="https://docs.litellm.ai/docs/",
    constructors={"litellm.Router": Constructor(), "litellm.router.Router": Constructor()},
    calls=_ROUTED,
    functions={
        **{f"litellm.{name}": request for name, request in _FUNCTIONS.items()},
        **{
            f"litellm.main.{name}": _FUNCTIONS[name]
            for name in ("completion", "acompletion", "embedding", "aembedding")
        },
    },
    kind="llm",
    base_attributes=("api_base",),
    completion="completion",
)
