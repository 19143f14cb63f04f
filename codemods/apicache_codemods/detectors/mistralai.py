"""mistralai, the SDK from 0.0 to 3: its client with both kinds of calls; https://github.com/mistralai/client-python."""

from apicache_codemods.detector import Constructor, Detector
from apicache_codemods.sdk_cards import requests, resources, twins

_BASE_URL = "https://api.mistral.ai"
_PAYLOAD = ("messages", "model", "input", "inputs", "prompt", "document", "file")
_PATHS = {
    "chat.complete": "POST /v1/chat/completions",
    "chat.parse": "POST /v1/chat/completions",
    "chat.stream": "POST /v1/chat/completions",
    "chat.parse_stream": "POST /v1/chat/completions",
    "fim.complete": "POST /v1/fim/completions",
    "fim.stream": "POST /v1/fim/completions",
    "agents.complete": "POST /v1/agents/completions",
    "agents.stream": "POST /v1/agents/completions",
    "embeddings.create": "POST /v1/embeddings",
    "classifiers.moderate": "POST /v1/moderations",
    "classifiers.moderate_chat": "POST /v1/chat/moderations",
    "classifiers.classify": "POST /v1/classifications",
    "classifiers.classify_chat": "POST /v1/chat/classifications",
    "ocr.process": "POST /v1/ocr",
    "audio.transcriptions.complete": "POST /v1/audio/transcriptions",
    "audio.transcriptions.stream": "POST /v1/audio/transcriptions",
    "audio.speech.complete": "POST /v1/audio/speech",
    **resources(
        {
            "models": "/v1/models list retrieve delete",
            "files": "/v1/files list retrieve delete",
            "batch.jobs": "/v1/batch/jobs create list get cancel",
            "fine_tuning.jobs": "/v1/fine_tuning/jobs create list get cancel",
            "beta.agents": "/v1/agents create list get",
            "beta.conversations": "/v1/conversations list get",
            "beta.libraries": "/v1/libraries create list get delete",
        }
    ),
    "files.upload": "POST /v1/files",
    "files.download": "GET /v1/files/{}/content",
    "files.get_signed_url": "GET /v1/files/{}/url",
    "beta.conversations.start": "POST /v1/conversations",
    "beta.conversations.start_stream": "POST /v1/conversations",
    "beta.conversations.append": "POST /v1/conversations/{}",
    "beta.conversations.append_stream": "POST /v1/conversations/{}",
    "beta.conversations.restart": "POST /v1/conversations/{}/restart",
    "beta.conversations.get_history": "GET /v1/conversations/{}/history",
    "beta.conversations.get_messages": "GET /v1/conversations/{}/messages",
}
_AWAITED = twins(_PATHS, "{}_async")
# The SDK before 1.0: github.com/mistralai/client-python/tree/0.4.2/src/mistralai.
_OLD = requests(
    {
        "chat": "POST /v1/chat/completions",
        "chat_stream": "POST /v1/chat/completions",
        "completion": "POST /v1/fim/completions",
        "completion_stream": "POST /v1/fim/completions",
        "embeddings": "POST /v1/embeddings",
        "list_models": "GET /v1/models",
        "delete_model": "DELETE /v1/models/{}",
    },
    _PAYLOAD,
)
_CLIENT = Constructor(base_urls={"server_url": ""}, base_url=_BASE_URL)

DETECTOR = Detector(
    documentation="https://github.com/mistralai/client-python",
    constructors={
        "mistralai.Mistral": _CLIENT,
        "mistralai.client.Mistral": _CLIENT,
        "mistralai.sdk.Mistral": _CLIENT,
        "mistralai.client.MistralClient": Constructor(base_urls={"endpoint": ""}, base_url=_BASE_URL, calls=_OLD),
        "mistralai.async_client.MistralAsyncClient": Constructor(
            is_async=True, base_urls={"endpoint": ""}, base_url=_BASE_URL, calls=_OLD
        ),
    },
    calls=requests({**_PATHS, **_AWAITED}, _PAYLOAD, awaited=_AWAITED),
    kind="llm",
    completion="chat.complete",
)
