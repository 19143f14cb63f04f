"""google-genai: the client, its `aio` half and chats, on Gemini's API or Vertex; https://github.com/googleapis/python-genai.

A client is taken to talk to Vertex when it is made with `vertexai=True`; an environment variable can say so too, and is
not seen.
"""

from collections.abc import Mapping

from apicache_codemods.detector import Argument, Constructor, Detector, Request, Variant
from apicache_codemods.sdk_cards import requests, resources, twins

_PAYLOAD = (Argument("message", 0), "contents", "model", "prompt", "config", "file", "input")
_RESOURCES = {
    **resources(
        {
            "caches": "/cachedContents create list get delete",
            "files": "/files list get delete",
            "batches": "/batches list get delete",
            "tunings": "/tunedModels list get",
            "file_search_stores": "/fileSearchStores create list get delete",
            "interactions": "/interactions create get delete cancel",
            "models": "/models list get delete",
        }
    ),
    "caches.update": "PATCH /cachedContents/{}",
    "models.update": "PATCH /models/{}",
    "files.upload": "POST https://generativelanguage.googleapis.com/upload/v1beta/files",
    "files.download": "GET /files/{}:download",
    "batches.create": "POST /models/{}:batchGenerateContent",
    "batches.create_embeddings": "POST /models/{}:asyncBatchEmbedContent",
    "batches.cancel": "POST /batches/{}:cancel",
    "tunings.tune": "POST /tunedModels",
    "file_search_stores.import_file": "POST /fileSearchStores/{}:importFile",
    "operations.get": "GET /operations/{}",
    "auth_tokens.create": "POST /auth_tokens",
}
_GENERATING = {
    "models.generate_content": "generateContent",
    "models.generate_content_stream": "streamGenerateContent",
    "models.count_tokens": "countTokens",
    "models.compute_tokens": "computeTokens",
    "models.generate_images": "predict",
    "models.edit_image": "predict",
    "models.upscale_image": "predict",
    "models.recontext_image": "predict",
    "models.segment_image": "predict",
    "models.generate_videos": "predictLongRunning",
}
_CHAT = {"send_message": "generateContent", "send_message_stream": "streamGenerateContent"}


def _both(endpoints: Mapping[str, str]) -> dict[str, Request]:
    awaited = twins(endpoints, "aio.{}")
    return requests({**endpoints, **awaited}, _PAYLOAD, awaited=awaited)


def _of_models(actions: Mapping[str, str], path: str) -> dict[str, str]:
    return {call: f"POST {path}/{{}}:{action}" for call, action in actions.items()}


_GEMINI = _both(
    {
        **_RESOURCES,
        **_of_models(_GENERATING, "/models"),
        "models.embed_content": "POST /models/{}:batchEmbedContents",
    }
)
_PUBLISHED = "/publishers/google/models"
_VERTEX = _both(
    {
        **_RESOURCES,
        **_of_models(_GENERATING, _PUBLISHED),
        "models.embed_content": f"POST {_PUBLISHED}/{{}}:predict",
        **resources(
            {"batches": "/batchPredictionJobs create list get delete cancel", "tunings": "/tuningJobs list get"}
        ),
        "tunings.tune": "POST /tuningJobs",
    }
)
_GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"
_VERTEX_URL = "https://{}-aiplatform.googleapis.com/v1beta1/projects/{}/locations/{}"
_CHAT_OF = {"chats.create": "google.genai.chats.Chat", "aio.chats.create": "google.genai.chats.AsyncChat"}
_VERTEX_CLIENT = "google.genai.Client[vertexai]"
_CLIENT = Constructor(
    base_url=_GEMINI_URL,
    opens=_CHAT_OF,
    variants=(
        Variant(((Argument("vertexai", 0), True),), _VERTEX_CLIENT),
        Variant(((Argument("enterprise"), True),), _VERTEX_CLIENT),
    ),
)


def _chat(base_url: str, path: str, *, is_async: bool) -> Constructor:
    return Constructor(is_async=is_async, base_url=base_url, calls=requests(_of_models(_CHAT, path), _PAYLOAD))


DETECTOR = Detector(
    documentation="https://github.com/googleapis/python-genai",
    library="google-genai",
    modules=("google.genai",),
    constructors={
        "google.genai.Client": _CLIENT,
        "google.genai.client.Client": _CLIENT,
        _VERTEX_CLIENT: Constructor(
            base_url=_VERTEX_URL,
            calls=_VERTEX,
            opens={call: f"{name}[vertexai]" for call, name in _CHAT_OF.items()},
        ),
        "google.genai.chats.Chat": _chat(_GEMINI_URL, "/models", is_async=False),
        "google.genai.chats.AsyncChat": _chat(_GEMINI_URL, "/models", is_async=True),
        "google.genai.chats.Chat[vertexai]": _chat(_VERTEX_URL, _PUBLISHED, is_async=False),
        "google.genai.chats.AsyncChat[vertexai]": _chat(_VERTEX_URL, _PUBLISHED, is_async=True),
    },
    calls=_GEMINI,
    kind="llm",
    completion="models.generate_content",
)
