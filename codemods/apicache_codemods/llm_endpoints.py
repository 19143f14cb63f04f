"""Endpoints of LLM providers' HTTP APIs, and the operation each is.

Sources: platform.openai.com/docs/api-reference, docs.anthropic.com/en/api, docs.mistral.ai/api,
docs.cohere.com/reference, ai.google.dev/api, console.groq.com/docs/api-reference,
github.com/ollama/ollama/blob/main/docs/api.md, learn.microsoft.com/azure/ai-services/openai/reference.
"""

import re

import msgspec

_ANY_HOST = r"[^/]+"
_GEMINI = r"(?:generativelanguage\.googleapis\.com|[^/]*aiplatform\.googleapis\.com)"
_OPENAI = r"(?:[^/]*openai[^/]*|\{\})"
_COHERE = r"api\.cohere\.(?:ai|com)"
_BEDROCK = r"bedrock-runtime\.[^/]*"
_GROQ = r"api\.groq\.com"
_OLLAMA = r"[^/]+:11434"


class _Row(msgspec.Struct, frozen=True):
    operation: str
    host: str
    path: str


_ROWS = (
    _Row("completion", _ANY_HOST, r"(?:.*/)?chat/completions"),
    _Row("completion", _ANY_HOST, r"(?:.*/)?v1/completions"),
    _Row("completion", _OPENAI, r"(?:v1/|.*/deployments/\{?[^/]*\}?/)(?:completions|responses)"),
    _Row("completion", r"api\.openai\.com", r"v1/responses"),
    _Row("completion", r"api\.anthropic\.com", r"v1/(?:messages|complete)"),
    _Row("completion", r"api\.mistral\.ai", r"v1/(?:fim|agents)/completions"),
    _Row("completion", _COHERE, r"v\d/(?:chat|generate)"),
    _Row("completion", _GROQ, r"openai/v1/responses"),
    _Row("completion", _BEDROCK, r"model/[^/]*/(?:invoke|converse)(?:-\w+)*"),
    _Row("completion", _GEMINI, r".*:(?:generateContent|streamGenerateContent|rawPredict|streamRawPredict)"),
    _Row("completion", _OLLAMA, r"api/(?:chat|generate)"),
    _Row("embedding", _ANY_HOST, r"(?:.*/)?v1/embeddings"),
    _Row("embedding", _OPENAI, r".*/deployments/\{?[^/]*\}?/embeddings"),
    _Row("embedding", _COHERE, r"v\d/embed"),
    _Row("embedding", _GEMINI, r".*:(?:embedContent|batchEmbedContents)"),
    _Row("embedding", _OLLAMA, r"api/embed(?:dings)?"),
    _Row("rerank", _COHERE, r"v\d/rerank"),
    _Row("moderation", _OPENAI, r"v1/moderations"),
    _Row("moderation", r"api\.mistral\.ai", r"v1/(?:chat/)?moderations"),
    _Row("image", _OPENAI, r"v1/images/(?:generations|edits|variations)"),
    _Row("speech", _OPENAI, r"v1/audio/speech"),
    _Row("transcription", _OPENAI, r"v1/audio/transcriptions"),
    _Row("translation", _OPENAI, r"v1/audio/translations"),
)
_PATTERNS = tuple((row.operation, re.compile(rf"POST {row.host}/{row.path}/?", re.IGNORECASE)) for row in _ROWS)
_SDK_PATHS = {
    "/chat/completions": "completion",
    "/completions": "completion",
    "/responses": "completion",
    "/embeddings": "embedding",
    "/api/chat": "completion",
    "/api/generate": "completion",
    "/v1/messages": "completion",
    "/api/embed": "embedding",
    "/api/embeddings": "embedding",
    "/converse": "completion",
    "/converse-stream": "completion",
    "/invoke": "completion",
    ":generateContent": "completion",
    "/pipeline/feature-extraction": "embedding",
    "/rerank": "rerank",
    "/moderations": "moderation",
    "/images/generations": "image",
    "/images/edits": "image",
    "/images/variations": "image",
    "/audio/speech": "speech",
    "/audio/transcriptions": "transcription",
    "/audio/translations": "translation",
}


def llm_operation(endpoint: str) -> str | None:
    """The operation of a known LLM endpoint (`completion`, `embedding`, ...); None for any other endpoint."""
    return next((operation for operation, pattern in _PATTERNS if pattern.fullmatch(endpoint)), None)


def sdk_operation(endpoint: str) -> str | None:
    """The operation of an LLM SDK's call: by the end of its path, whatever base URL the client was given."""
    known = llm_operation(endpoint)
    if known is not None or not endpoint.startswith("POST "):
        return known
    return next((operation for path, operation in _SDK_PATHS.items() if endpoint.endswith(path)), None)
