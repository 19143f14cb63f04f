"""openai, the SDK from 0.27 to 3: clients, Azure's, the module's own; https://github.com/openai/openai-python.

Paths are those of the SDK's resources; its administration calls are left out. A client whose constructor is not seen
(an annotated parameter) is taken to talk to OpenAI itself, the SDK's default.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Request
from apicache_codemods.sdk_cards import requests, resources

_BASE_URL = "https://api.openai.com/v1"
_PAYLOAD = ("messages", "input", "prompt", "model", "file", "image", "extra_body")

_RESOURCES = {
    "chat.completions": "/chat/completions create list retrieve update delete",
    "beta.chat.completions": "/chat/completions create",
    "completions": "/completions create",
    "responses": "/responses create retrieve delete cancel",
    "conversations": "/conversations create retrieve update delete",
    "conversations.items": "/conversations/{}/items create list retrieve delete",
    "embeddings": "/embeddings create",
    "moderations": "/moderations create",
    "audio.speech": "/audio/speech create",
    "audio.transcriptions": "/audio/transcriptions create",
    "audio.translations": "/audio/translations create",
    "videos": "/videos create list retrieve delete",
    "models": "/models list retrieve delete",
    "files": "/files create list retrieve delete",
    "uploads": "/uploads create cancel",
    "uploads.parts": "/uploads/{}/parts create",
    "batches": "/batches create list retrieve cancel",
    "fine_tuning.jobs": "/fine_tuning/jobs create list retrieve cancel",
    "fine_tuning.jobs.checkpoints": "/fine_tuning/jobs/{}/checkpoints list",
    "beta.assistants": "/assistants create list retrieve update delete",
    "beta.threads": "/threads create retrieve update delete",
    "beta.threads.messages": "/threads/{}/messages create list retrieve update delete",
    "beta.threads.runs": "/threads/{}/runs create list retrieve update cancel",
    "beta.threads.runs.steps": "/threads/{}/runs/{}/steps list retrieve",
    "beta.realtime.sessions": "/realtime/sessions create",
    "beta.realtime.transcription_sessions": "/realtime/transcription_sessions create",
    "beta.chatkit.sessions": "/chatkit/sessions create cancel",
    "beta.chatkit.threads": "/chatkit/threads list retrieve delete",
    "realtime.client_secrets": "/realtime/client_secrets create",
    "realtime.calls": "/realtime/calls create",
    "vector_stores": "/vector_stores create list retrieve update delete",
    "vector_stores.files": "/vector_stores/{}/files create list retrieve update delete",
    "vector_stores.file_batches": "/vector_stores/{}/file_batches create retrieve cancel",
    "containers": "/containers create list retrieve delete",
    "containers.files": "/containers/{}/files create list retrieve delete",
    "evals": "/evals create list retrieve update delete",
    "evals.runs": "/evals/{}/runs create list retrieve delete",
    "evals.runs.output_items": "/evals/{}/runs/{}/output_items list retrieve",
    "skills": "/skills create list retrieve update delete",
    "skills.versions": "/skills/{}/versions create list retrieve delete",
}
_PATHS = {
    **resources(_RESOURCES),
    "chat.completions.parse": "POST /chat/completions",
    "chat.completions.stream": "POST /chat/completions",
    "chat.completions.messages.list": "GET /chat/completions/{}/messages",
    "beta.chat.completions.parse": "POST /chat/completions",
    "beta.chat.completions.stream": "POST /chat/completions",
    "responses.parse": "POST /responses",
    "responses.stream": "POST /responses",
    "responses.compact": "POST /responses/compact",
    "responses.input_items.list": "GET /responses/{}/input_items",
    "responses.input_tokens.count": "POST /responses/input_tokens",
    "images.generate": "POST /images/generations",
    "images.edit": "POST /images/edits",
    "images.create_variation": "POST /images/variations",
    "videos.create_and_poll": "POST /videos",
    "videos.download_content": "GET /videos/{}/content",
    "videos.remix": "POST /videos/{}/remix",
    "files.content": "GET /files/{}/content",
    "files.retrieve_content": "GET /files/{}/content",
    "files.wait_for_processing": "GET /files/{}",
    "uploads.complete": "POST /uploads/{}/complete",
    "uploads.upload_file_chunked": "POST /uploads",
    "fine_tuning.jobs.list_events": "GET /fine_tuning/jobs/{}/events",
    "fine_tuning.jobs.pause": "POST /fine_tuning/jobs/{}/pause",
    "fine_tuning.jobs.resume": "POST /fine_tuning/jobs/{}/resume",
    "beta.threads.create_and_run": "POST /threads/runs",
    "beta.threads.create_and_run_poll": "POST /threads/runs",
    "beta.threads.create_and_run_stream": "POST /threads/runs",
    "beta.threads.runs.create_and_poll": "POST /threads/{}/runs",
    "beta.threads.runs.create_and_stream": "POST /threads/{}/runs",
    "beta.threads.runs.stream": "POST /threads/{}/runs",
    "beta.threads.runs.poll": "GET /threads/{}/runs/{}",
    "beta.threads.runs.submit_tool_outputs": "POST /threads/{}/runs/{}/submit_tool_outputs",
    "beta.threads.runs.submit_tool_outputs_and_poll": "POST /threads/{}/runs/{}/submit_tool_outputs",
    "beta.threads.runs.submit_tool_outputs_stream": "POST /threads/{}/runs/{}/submit_tool_outputs",
    "vector_stores.search": "POST /vector_stores/{}/search",
    "vector_stores.files.content": "GET /vector_stores/{}/files/{}/content",
    "vector_stores.files.create_and_poll": "POST /vector_stores/{}/files",
    "vector_stores.files.upload": "POST /files",
    "vector_stores.files.upload_and_poll": "POST /files",
    "vector_stores.file_batches.create_and_poll": "POST /vector_stores/{}/file_batches",
    "vector_stores.file_batches.upload_and_poll": "POST /files",
    "vector_stores.file_batches.list_files": "GET /vector_stores/{}/file_batches/{}/files",
    "containers.files.content.retrieve": "GET /containers/{}/files/{}/content",
    "evals.runs.cancel": "POST /evals/{}/runs/{}/cancel",
}
_SDK = requests(_PATHS, _PAYLOAD)
# "Undocumented endpoints" of the SDK's README: `client.post("/path", cast_to=...)`.
_RAW = {
    verb: Request(method=verb.upper(), url=Argument("path", 0), payload=(Argument("body"),))
    for verb in ("get", "post", "put", "patch", "delete")
}
# Before 1.0 the module's classes made the calls: github.com/openai/openai-python/tree/v0.28.1/openai/api_resources.
_OLD = {
    "ChatCompletion.create": "POST /chat/completions",
    "Completion.create": "POST /completions",
    "Edit.create": "POST /edits",
    "Embedding.create": "POST /embeddings",
    "Moderation.create": "POST /moderations",
    "Image.create": "POST /images/generations",
    "Image.create_edit": "POST /images/edits",
    "Image.create_variation": "POST /images/variations",
    "Audio.transcribe": "POST /audio/transcriptions",
    "Audio.translate": "POST /audio/translations",
    "Model.list": "GET /models",
    "Model.retrieve": "GET /models/{}",
    "Model.delete": "DELETE /models/{}",
    "Engine.list": "GET /engines",
    "File.create": "POST /files",
    "File.list": "GET /files",
    "File.retrieve": "GET /files/{}",
    "File.delete": "DELETE /files/{}",
    "File.download": "GET /files/{}/content",
    "FineTune.create": "POST /fine-tunes",
    "FineTune.list": "GET /fine-tunes",
    "FineTune.retrieve": "GET /fine-tunes/{}",
    "FineTune.cancel": "POST /fine-tunes/{}/cancel",
    "FineTuningJob.create": "POST /fine_tuning/jobs",
    "FineTuningJob.list": "GET /fine_tuning/jobs",
    "FineTuningJob.retrieve": "GET /fine_tuning/jobs/{}",
    "FineTuningJob.cancel": "POST /fine_tuning/jobs/{}/cancel",
    "FineTuningJob.list_events": "GET /fine_tuning/jobs/{}/events",
}
_OLD_AWAITED = {f"{name.partition('.')[0]}.a{name.partition('.')[2]}": endpoint for name, endpoint in _OLD.items()}
_DIRECT = {"base_url": ""}
_AZURE = {"base_url": "", "azure_endpoint": "/openai/deployments/{}"}
_AZURE_BASE_URL = "{}/openai/deployments/{}"

DETECTOR = Detector(
    documentation="https://github.com/openai/openai-python",
    constructors={
        **dict.fromkeys(("openai.OpenAI", "openai.Client"), Constructor(base_urls=_DIRECT, base_url=_BASE_URL)),
        **dict.fromkeys(
            ("openai.AsyncOpenAI", "openai.AsyncClient"),
            Constructor(is_async=True, base_urls=_DIRECT, base_url=_BASE_URL),
        ),
        **dict.fromkeys(
            ("openai.AzureOpenAI", "openai.lib.azure.AzureOpenAI"),
            Constructor(base_urls=_AZURE, base_url=_AZURE_BASE_URL),
        ),
        **dict.fromkeys(
            ("openai.AsyncAzureOpenAI", "openai.lib.azure.AsyncAzureOpenAI"),
            Constructor(is_async=True, base_urls=_AZURE, base_url=_AZURE_BASE_URL),
        ),
    },
    calls={**_SDK, **_RAW},
    functions={
        **{f"openai.{call}": request for call, request in _SDK.items()},
        **{
            f"openai.{call}": request
            for call, request in requests(
                {**_OLD, **_OLD_AWAITED}, (*_PAYLOAD, "engine"), awaited=_OLD_AWAITED, base_urls=("api_base",)
            ).items()
        },
    },
    same_client=frozenset({"with_options", "copy"}),
    transparent=frozenset({"with_raw_response", "with_streaming_response"}),
    kind="llm",
    base_url=_BASE_URL,
    base_attributes=("api_base", "base_url"),
    completion="chat.completions.create",
)
