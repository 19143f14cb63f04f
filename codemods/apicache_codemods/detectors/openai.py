"""openai, the SDK from 1.0 on: clients, Azure's, the module's own; https://github.com/openai/openai-python.

Paths are those of the SDK's resources. A client whose constructor is not seen (an annotated parameter) is taken to talk
to OpenAI itself, the SDK's default.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Request

_BASE_URL = "https://api.openai.com/v1"
_PAYLOAD = tuple(Argument(name) for name in ("messages", "input", "prompt", "model", "file", "image", "extra_body"))

_PATHS = {
    "chat.completions.create": "POST /chat/completions",
    "chat.completions.parse": "POST /chat/completions",
    "chat.completions.stream": "POST /chat/completions",
    "beta.chat.completions.create": "POST /chat/completions",
    "beta.chat.completions.parse": "POST /chat/completions",
    "beta.chat.completions.stream": "POST /chat/completions",
    "chat.completions.retrieve": "GET /chat/completions/{}",
    "chat.completions.list": "GET /chat/completions",
    "completions.create": "POST /completions",
    "responses.create": "POST /responses",
    "responses.parse": "POST /responses",
    "responses.stream": "POST /responses",
    "responses.retrieve": "GET /responses/{}",
    "responses.delete": "DELETE /responses/{}",
    "responses.cancel": "POST /responses/{}/cancel",
    "responses.input_items.list": "GET /responses/{}/input_items",
    "conversations.create": "POST /conversations",
    "conversations.retrieve": "GET /conversations/{}",
    "embeddings.create": "POST /embeddings",
    "moderations.create": "POST /moderations",
    "images.generate": "POST /images/generations",
    "images.edit": "POST /images/edits",
    "images.create_variation": "POST /images/variations",
    "audio.speech.create": "POST /audio/speech",
    "audio.transcriptions.create": "POST /audio/transcriptions",
    "audio.translations.create": "POST /audio/translations",
    "videos.create": "POST /videos",
    "videos.retrieve": "GET /videos/{}",
    "models.list": "GET /models",
    "models.retrieve": "GET /models/{}",
    "models.delete": "DELETE /models/{}",
    "files.create": "POST /files",
    "files.list": "GET /files",
    "files.retrieve": "GET /files/{}",
    "files.delete": "DELETE /files/{}",
    "files.content": "GET /files/{}/content",
    "files.retrieve_content": "GET /files/{}/content",
    "uploads.create": "POST /uploads",
    "uploads.complete": "POST /uploads/{}/complete",
    "batches.create": "POST /batches",
    "batches.list": "GET /batches",
    "batches.retrieve": "GET /batches/{}",
    "batches.cancel": "POST /batches/{}/cancel",
    "fine_tuning.jobs.create": "POST /fine_tuning/jobs",
    "fine_tuning.jobs.list": "GET /fine_tuning/jobs",
    "fine_tuning.jobs.retrieve": "GET /fine_tuning/jobs/{}",
    "fine_tuning.jobs.cancel": "POST /fine_tuning/jobs/{}/cancel",
    "fine_tuning.jobs.list_events": "GET /fine_tuning/jobs/{}/events",
    "beta.assistants.create": "POST /assistants",
    "beta.assistants.list": "GET /assistants",
    "beta.assistants.retrieve": "GET /assistants/{}",
    "beta.assistants.update": "POST /assistants/{}",
    "beta.assistants.delete": "DELETE /assistants/{}",
    "beta.threads.create": "POST /threads",
    "beta.threads.create_and_run": "POST /threads/runs",
    "beta.threads.retrieve": "GET /threads/{}",
    "beta.threads.delete": "DELETE /threads/{}",
    "beta.threads.messages.create": "POST /threads/{}/messages",
    "beta.threads.messages.list": "GET /threads/{}/messages",
    "beta.threads.messages.retrieve": "GET /threads/{}/messages/{}",
    "beta.threads.runs.create": "POST /threads/{}/runs",
    "beta.threads.runs.create_and_poll": "POST /threads/{}/runs",
    "beta.threads.runs.stream": "POST /threads/{}/runs",
    "beta.threads.runs.list": "GET /threads/{}/runs",
    "beta.threads.runs.retrieve": "GET /threads/{}/runs/{}",
    "beta.threads.runs.cancel": "POST /threads/{}/runs/{}/cancel",
    "beta.threads.runs.submit_tool_outputs": "POST /threads/{}/runs/{}/submit_tool_outputs",
    "beta.threads.runs.steps.list": "GET /threads/{}/runs/{}/steps",
    "vector_stores.create": "POST /vector_stores",
    "vector_stores.list": "GET /vector_stores",
    "vector_stores.retrieve": "GET /vector_stores/{}",
    "vector_stores.update": "POST /vector_stores/{}",
    "vector_stores.delete": "DELETE /vector_stores/{}",
    "vector_stores.search": "POST /vector_stores/{}/search",
    "vector_stores.files.create": "POST /vector_stores/{}/files",
    "vector_stores.files.list": "GET /vector_stores/{}/files",
    "vector_stores.files.delete": "DELETE /vector_stores/{}/files/{}",
    "vector_stores.file_batches.create": "POST /vector_stores/{}/file_batches",
}


def _request(endpoint: str) -> Request:
    method, path = endpoint.split(" ")
    return Request(method=method, url=path, payload=_PAYLOAD)


_SDK = {call: _request(endpoint) for call, endpoint in _PATHS.items()}
# "Undocumented endpoints" of the SDK's README: `client.post("/path", cast_to=...)`.
_RAW = {
    verb: Request(method=verb.upper(), url=Argument("path", 0), payload=(Argument("body"),))
    for verb in ("get", "post", "put", "patch", "delete")
}
_DIRECT = {"base_url": ""}
_AZURE = {"base_url": "", "azure_endpoint": "/openai/deployments/{}"}

DETECTOR = Detector(
    documentation="https://github.com/openai/openai-python",
    constructors={
        "openai.OpenAI": Constructor(base_urls=_DIRECT, base_url=_BASE_URL),
        "openai.Client": Constructor(base_urls=_DIRECT, base_url=_BASE_URL),
        "openai.AsyncOpenAI": Constructor(is_async=True, base_urls=_DIRECT, base_url=_BASE_URL),
        "openai.AsyncClient": Constructor(is_async=True, base_urls=_DIRECT, base_url=_BASE_URL),
        "openai.AzureOpenAI": Constructor(base_urls=_AZURE, base_url="{}/openai/deployments/{}"),
        "openai.AsyncAzureOpenAI": Constructor(is_async=True, base_urls=_AZURE, base_url="{}/openai/deployments/{}"),
        "openai.lib.azure.AzureOpenAI": Constructor(base_urls=_AZURE, base_url="{}/openai/deployments/{}"),
        "openai.lib.azure.AsyncAzureOpenAI": Constructor(
            is_async=True, base_urls=_AZURE, base_url="{}/openai/deployments/{}"
        ),
    },
    calls={**_SDK, **_RAW},
    functions={f"openai.{call}": request for call, request in _SDK.items()},
    same_client=frozenset({"with_options", "copy"}),
    transparent=frozenset({"with_raw_response", "with_streaming_response"}),
    kind="llm",
    base_url=_BASE_URL,
)
