"""anthropic: clients for Anthropic, Bedrock, Vertex and Foundry; https://github.com/anthropics/anthropic-sdk-python.

Paths are those of the SDK's resources; its administration calls are left out.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Request
from apicache_codemods.sdk_cards import requests, resources, twins

_PAYLOAD = ("messages", "model", "system", "prompt", "requests", "file", "extra_body")
_MESSAGES = {
    **resources({"messages.batches": "/v1/messages/batches create list retrieve delete cancel"}),
    "messages.create": "POST /v1/messages",
    "messages.parse": "POST /v1/messages",
    "messages.stream": "POST /v1/messages",
    "messages.count_tokens": "POST /v1/messages/count_tokens",
    "messages.batches.results": "GET /v1/messages/batches/{}/results",
}
_FILES = {
    **resources({"files": "/v1/files list delete", "models": "/v1/models list retrieve"}),
    "files.upload": "POST /v1/files",
    "files.download": "GET /v1/files/{}/content",
    "files.retrieve_metadata": "GET /v1/files/{}",
    **resources(
        {
            "skills": "/v1/skills create list retrieve delete",
            "skills.versions": "/v1/skills/{}/versions create list retrieve delete",
        }
    ),
}
_BETA = {
    **_MESSAGES,
    **_FILES,
    **resources(
        {
            "agents": "/v1/agents create list retrieve update archive",
            "sessions": "/v1/sessions create list retrieve update delete archive",
            "environments": "/v1/environments create list retrieve update delete archive",
            "memory_stores": "/v1/memory_stores create list retrieve update delete archive",
            "memory_stores.memories": "/v1/memory_stores/{}/memories create list retrieve update delete",
            "vaults": "/v1/vaults create list retrieve update delete archive",
        }
    ),
    "sessions.events.list": "GET /v1/sessions/{}/events",
    "sessions.events.send": "POST /v1/sessions/{}/events",
    "sessions.events.stream": "GET /v1/sessions/{}/events/stream",
}
_SDK = requests({**_MESSAGES, **_FILES, **twins(_BETA, "beta.{}"), "completions.create": "POST /v1/complete"}, _PAYLOAD)
# `client.completion(...)` and `client.acompletion(...)` are the SDK's before 0.3; `client.post` is its way out.
_OLD = requests({"completion": "POST /v1/complete", "acompletion": "POST /v1/complete"}, _PAYLOAD, {"acompletion"})
_RAW = {
    verb: Request(method=verb.upper(), url=Argument("path", 0), payload=(Argument("body"),))
    for verb in ("get", "post", "put", "patch", "delete")
}

_BEDROCK = {
    "messages.create": "POST /model/{}/invoke",
    "messages.parse": "POST /model/{}/invoke",
    "messages.stream": "POST /model/{}/invoke-with-response-stream",
    "completions.create": "POST /model/{}/invoke",
}
_MODELS = "/projects/{}/locations/{}/publishers/anthropic/models"
_VERTEX = {
    "messages.create": f"POST {_MODELS}/{{}}:rawPredict",
    "messages.parse": f"POST {_MODELS}/{{}}:rawPredict",
    "messages.stream": f"POST {_MODELS}/{{}}:streamRawPredict",
    "messages.count_tokens": f"POST {_MODELS}/count-tokens:rawPredict",
}


def _beta_too(endpoints: dict[str, str]) -> dict[str, Request]:
    return requests({**endpoints, **twins(endpoints, "beta.{}")}, _PAYLOAD)


_CLIENTS = {
    "Anthropic": Constructor(base_urls={"base_url": ""}, base_url="https://api.anthropic.com"),
    "AnthropicBedrock": Constructor(
        base_urls={"base_url": ""}, base_url="https://bedrock-runtime.{}.amazonaws.com", calls=_beta_too(_BEDROCK)
    ),
    "AnthropicVertex": Constructor(
        base_urls={"base_url": ""}, base_url="https://{}-aiplatform.googleapis.com/v1", calls=_beta_too(_VERTEX)
    ),
    "AnthropicFoundry": Constructor(base_urls={"base_url": ""}, base_url="https://{}.services.ai.azure.com/anthropic"),
}


def _asynchronous(client: Constructor) -> Constructor:
    return Constructor(is_async=True, base_urls=client.base_urls, base_url=client.base_url, calls=client.calls)


DETECTOR = Detector(
    documentation="https://github.com/anthropics/anthropic-sdk-python",
    constructors={
        **{f"anthropic.{name}": client for name, client in _CLIENTS.items()},
        **{f"anthropic.Async{name}": _asynchronous(client) for name, client in _CLIENTS.items()},
        "anthropic.Client": _CLIENTS["Anthropic"],
        "anthropic.AsyncClient": _asynchronous(_CLIENTS["Anthropic"]),
        "anthropic.lib.bedrock.AnthropicBedrock": _CLIENTS["AnthropicBedrock"],
        "anthropic.lib.bedrock.AsyncAnthropicBedrock": _asynchronous(_CLIENTS["AnthropicBedrock"]),
        "anthropic.lib.vertex.AnthropicVertex": _CLIENTS["AnthropicVertex"],
        "anthropic.lib.vertex.AsyncAnthropicVertex": _asynchronous(_CLIENTS["AnthropicVertex"]),
    },
    calls={**_SDK, **_OLD, **_RAW},
    same_client=frozenset({"with_options", "copy"}),
    transparent=frozenset({"with_raw_response", "with_streaming_response"}),
    kind="llm",
    completion="messages.create",
)
