"""groq: sync and async clients; https://github.com/groq/groq-python."""

from apicache_codemods.detector import Argument, Constructor, Detector, Request
from apicache_codemods.sdk_cards import requests, resources

_BASE_URL = "https://api.groq.com"
_PATHS = {
    **resources(
        {
            "chat.completions": "/openai/v1/chat/completions create",
            "embeddings": "/openai/v1/embeddings create",
            "audio.speech": "/openai/v1/audio/speech create",
            "audio.transcriptions": "/openai/v1/audio/transcriptions create",
            "audio.translations": "/openai/v1/audio/translations create",
            "models": "/openai/v1/models list retrieve delete",
            "batches": "/openai/v1/batches create list retrieve cancel",
            "files": "/openai/v1/files create list delete",
        }
    ),
    "files.info": "GET /openai/v1/files/{}",
    "files.content": "GET /openai/v1/files/{}/content",
}
_RAW = {
    verb: Request(method=verb.upper(), url=Argument("path", 0), payload=(Argument("body"),))
    for verb in ("get", "post", "put", "patch", "delete")
}
_SYNC = Constructor(base_urls={"base_url": ""}, base_url=_BASE_URL)
_ASYNC = Constructor(is_async=True, base_urls={"base_url": ""}, base_url=_BASE_URL)

DETECTOR = Detector(
    documentation="https://github.com/groq/groq-python",
    constructors={
        "groq.Groq": _SYNC,
        "groq.Client": _SYNC,
        "groq.AsyncGroq": _ASYNC,
        "groq.AsyncClient": _ASYNC,
    },
    calls={**requests(_PATHS, ("messages", "model", "input", "file")), **_RAW},
    same_client=frozenset({"with_options", "copy"}),
    transparent=frozenset({"with_raw_response", "with_streaming_response"}),
    kind="llm",
    completion="chat.completions.create",
)
