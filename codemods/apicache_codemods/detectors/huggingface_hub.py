"""huggingface_hub, inference only; https://huggingface.co/docs/huggingface_hub/package_reference/inference_client.

Endpoints are those of the default provider: the router for chat completions, `hf-inference` for other tasks.
"""

from apicache_codemods.detector import Argument, Constructor, Detector
from apicache_codemods.sdk_cards import requests

_TASK = "https://router.huggingface.co/hf-inference/models/{}"
_TASKS = (
    "audio_classification",
    "audio_to_audio",
    "automatic_speech_recognition",
    "document_question_answering",
    "fill_mask",
    "image_classification",
    "image_segmentation",
    "image_to_image",
    "image_to_text",
    "image_to_video",
    "object_detection",
    "question_answering",
    "summarization",
    "table_question_answering",
    "tabular_classification",
    "tabular_regression",
    "text_classification",
    "text_generation",
    "text_to_image",
    "text_to_speech",
    "text_to_video",
    "token_classification",
    "translation",
    "visual_question_answering",
    "zero_shot_classification",
    "zero_shot_image_classification",
)
_PAYLOAD = (Argument("messages", 0), Argument("prompt", 0), Argument("text", 0), "model", "inputs", "json", "data")
_CALLS = requests(
    {
        "chat_completion": "POST /chat/completions",
        "chat.completions.create": "POST /chat/completions",
        **dict.fromkeys(_TASKS, f"POST {_TASK}"),
        "feature_extraction": f"POST {_TASK}/pipeline/feature-extraction",
        "sentence_similarity": f"POST {_TASK}/pipeline/sentence-similarity",
        "post": f"POST {_TASK}",
        "get_endpoint_info": f"GET {_TASK}/info",
        "health_check": f"GET {_TASK}/health",
    },
    _PAYLOAD,
)
_BASE_URL = "https://router.huggingface.co/v1"
_SYNC = Constructor(base_urls={"base_url": ""}, base_url=_BASE_URL)
_ASYNC = Constructor(is_async=True, base_urls={"base_url": ""}, base_url=_BASE_URL)

DETECTOR = Detector(
    documentation="https://huggingface.co/docs/huggingface_hub/package_reference/inference_client",
    constructors={
        "huggingface_hub.InferenceClient": _SYNC,
        "huggingface_hub.inference._client.InferenceClient": _SYNC,
        "huggingface_hub.AsyncInferenceClient": _ASYNC,
        "huggingface_hub.inference._generated._async_client.AsyncInferenceClient": _ASYNC,
    },
    calls=_CALLS,
    kind="llm",
    completion="chat.completions.create",
)
