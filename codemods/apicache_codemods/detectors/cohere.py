"""cohere: clients of versions 1 and 2 of the API, AWS's too; https://github.com/cohere-ai/cohere-python."""

from apicache_codemods.detector import Constructor, Detector
from apicache_codemods.sdk_cards import requests, resources, twins

_PAYLOAD = ("message", "messages", "model", "prompt", "texts", "text", "query", "documents", "inputs")
_V1 = {
    "chat": "POST /v1/chat",
    "chat_stream": "POST /v1/chat",
    "generate": "POST /v1/generate",
    "generate_stream": "POST /v1/generate",
    "embed": "POST /v1/embed",
    "rerank": "POST /v1/rerank",
    "classify": "POST /v1/classify",
    "summarize": "POST /v1/summarize",
    "tokenize": "POST /v1/tokenize",
    "detokenize": "POST /v1/detokenize",
    "check_api_key": "POST /v1/check-api-key",
    "detect_language": "POST /v1/detect-language",
}
_V2 = {
    "chat": "POST /v2/chat",
    "chat_stream": "POST /v2/chat",
    "embed": "POST /v2/embed",
    "rerank": "POST /v2/rerank",
    "parse": "POST /v2/parse",
}
_RESOURCES = {
    **resources(
        {
            "models": "/v1/models get list",
            "connectors": "/v1/connectors create list get delete",
            "datasets": "/v1/datasets create list get delete",
            "embed_jobs": "/v1/embed-jobs create list get cancel",
            "batches": "/v2/batches create list retrieve",
            "audio.transcriptions": "/v2/audio/transcriptions create",
        }
    ),
    "batches.cancel": "POST /v2/batches/{}:cancel",
    "finetuning.list_finetuned_models": "GET /v1/finetuning/finetuned-models",
    "finetuning.create_finetuned_model": "POST /v1/finetuning/finetuned-models",
    "finetuning.get_finetuned_model": "GET /v1/finetuning/finetuned-models/{}",
    "finetuning.delete_finetuned_model": "DELETE /v1/finetuning/finetuned-models/{}",
    **twins(_V2, "v2.{}"),
}
_FIRST = requests({**_V1, **_RESOURCES}, _PAYLOAD)
_SECOND = requests({**_V1, **_V2, **_RESOURCES}, _PAYLOAD)
# github.com/cohere-ai/cohere-python/blob/main/src/cohere/aws_client.py: every call becomes one of the service's.
_BEDROCK = requests(dict.fromkeys((*_V1, *_V2), "POST /model/{}/invoke"), _PAYLOAD)
_SAGEMAKER = requests(dict.fromkeys((*_V1, *_V2), "POST /endpoints/{}/invocations"), _PAYLOAD)
_BASE_URLS = {"base_url": "", "api_url": ""}
_BASE_URL = "https://api.cohere.com"

DETECTOR = Detector(
    documentation="https://github.com/cohere-ai/cohere-python",
    constructors={
        "cohere.Client": Constructor(base_urls=_BASE_URLS, base_url=_BASE_URL),
        "cohere.AsyncClient": Constructor(is_async=True, base_urls=_BASE_URLS, base_url=_BASE_URL),
        "cohere.ClientV2": Constructor(base_urls=_BASE_URLS, base_url=_BASE_URL, calls=_SECOND),
        "cohere.AsyncClientV2": Constructor(is_async=True, base_urls=_BASE_URLS, base_url=_BASE_URL, calls=_SECOND),
        **dict.fromkeys(
            ("cohere.BedrockClient", "cohere.BedrockClientV2"),
            Constructor(base_url="https://bedrock-runtime.{}.amazonaws.com", calls=_BEDROCK),
        ),
        **dict.fromkeys(
            ("cohere.SagemakerClient", "cohere.SagemakerClientV2"),
            Constructor(base_url="https://runtime.sagemaker.{}.amazonaws.com", calls=_SAGEMAKER),
        ),
    },
    calls=_FIRST,
    transparent=frozenset({"with_raw_response"}),
    kind="llm",
    completion="chat",
)
