"""The adapter of groq, https://github.com/groq/groq-python."""

from typing import Final

import groq
from groq.resources.chat.completions import AsyncCompletions, Completions
from groq.resources.embeddings import AsyncEmbeddings, Embeddings
from groq.types import CreateEmbeddingResponse
from groq.types.chat import ChatCompletion

from apicache.sdk.stainless_family import StainlessFamily, without

_family: Final = StainlessFamily(
    groq,
    clients=(groq.Groq, groq.AsyncGroq),
    calls={
        **{kind: {"create": "chat/completions"} for kind in (Completions, AsyncCompletions)},
        **{kind: {"create": "embeddings"} for kind in (Embeddings, AsyncEmbeddings)},
    },
    answers={ChatCompletion: without("choices"), CreateEmbeddingResponse: without("data")},
    keys=("api_key",),
    own_auth=("custom_auth",),
)
identify = _family.identify
identify_stream = _family.identify_stream
snapshot = _family.snapshot
replay = _family.replay
