"""The adapter of openai, https://github.com/openai/openai-python."""

from collections.abc import Mapping
from typing import Any, Final

import openai
from openai.resources.chat.completions import AsyncCompletions as AsyncChatCompletions
from openai.resources.chat.completions import Completions as ChatCompletions
from openai.resources.completions import AsyncCompletions, Completions
from openai.resources.embeddings import AsyncEmbeddings, Embeddings
from openai.resources.moderations import AsyncModerations, Moderations
from openai.resources.responses import AsyncResponses, Responses
from openai.types import Completion, CreateEmbeddingResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from apicache.sdk.stainless_family import StainlessFamily, without

_UNFINISHED: Final = frozenset({"queued", "in_progress", "failed", "cancelled"})


def _refused(given: Mapping[str, Any]) -> str | None:
    if given.get("background") or given.get("conversation"):
        return "it changes state upstream (background or conversation)"
    if given.get("store"):
        return "it is stored upstream (store)"
    return None


def _unfinished(response: Response) -> str | None:
    """Why a response must not be stored."""
    empty = without("model")(response)
    return f"status {response.status}" if empty is None and response.status in _UNFINISHED else empty


_family: Final = StainlessFamily(
    openai,
    clients=(openai.OpenAI, openai.AsyncOpenAI),
    calls={
        **{kind: {"create": "chat/completions"} for kind in (ChatCompletions, AsyncChatCompletions)},
        **{kind: {"create": "completions"} for kind in (Completions, AsyncCompletions)},
        **{kind: {"create": "embeddings"} for kind in (Embeddings, AsyncEmbeddings)},
        **{kind: {"create": "moderations"} for kind in (Moderations, AsyncModerations)},
        **{kind: {"create": "responses"} for kind in (Responses, AsyncResponses)},
    },
    answers={
        ChatCompletion: without("choices"),
        Completion: without("choices"),
        CreateEmbeddingResponse: without("data"),
        ModerationCreateResponse: without("model"),
        Response: _unfinished,
    },
    keys=("api_key", "admin_api_key"),
    settings=("organization", "project"),
    own_auth=("_api_key_provider", "_provider", "custom_auth", "_workload_identity_auth"),
    ids=("request_id",),
    refuse=_refused,
    ends=(b"data: [DONE]", b"event: response.completed", b"event: response.incomplete"),
)
identify = _family.identify
identify_stream = _family.identify_stream
snapshot = _family.snapshot
replay = _family.replay
