"""boto3, its bedrock-runtime service only; https://docs.aws.amazon.com/boto3/latest/reference/services/bedrock-runtime.html.

Any other service's client is none here. aioboto3 and aiobotocore give the same calls, awaited.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Variant
from apicache_codemods.sdk_cards import requests

_CALLS = requests(
    {
        "invoke_model": "POST /model/{}/invoke",
        "invoke_model_with_response_stream": "POST /model/{}/invoke-with-response-stream",
        "invoke_model_with_bidirectional_stream": "POST /model/{}/invoke-with-bidirectional-stream",
        "converse": "POST /model/{}/converse",
        "converse_stream": "POST /model/{}/converse-stream",
        "count_tokens": "POST /model/{}/count-tokens",
        "apply_guardrail": "POST /guardrail/{}/version/{}/apply",
        "start_async_invoke": "POST /async-invoke",
        "get_async_invoke": "GET /async-invoke/{}",
        "list_async_invokes": "GET /async-invoke",
    },
    ("modelId", "body", "messages", "system", "inferenceConfig", "toolConfig"),
)


def _service(name: str) -> tuple[Variant, ...]:
    return (Variant(((Argument("service_name", 0), "bedrock-runtime"),), name),)


def _runtime(*, is_async: bool) -> Constructor:
    return Constructor(
        is_async=is_async,
        base_urls={"endpoint_url": ""},
        base_url="https://bedrock-runtime.{}.amazonaws.com",
        calls=_CALLS,
    )


_SYNC, _ASYNC = "boto3.client[bedrock-runtime]", "aioboto3.client[bedrock-runtime]"
_SESSION = Constructor(calls={}, opens={"client": "boto3.client"})
_ASYNC_SESSION = Constructor(
    calls={}, opens={"client": "aioboto3.Session.client", "create_client": "aioboto3.Session.client"}
)

DETECTOR = Detector(
    documentation="https://docs.aws.amazon.com/boto3/latest/reference/services/bedrock-runtime.html",
    modules=("boto3", "aioboto3", "aiobotocore"),
    constructors={
        "boto3.client": Constructor(calls={}, variants=_service(_SYNC)),
        "boto3.Session": _SESSION,
        "boto3.session.Session": _SESSION,
        _SYNC: _runtime(is_async=False),
        "aioboto3.Session.client": Constructor(calls={}, variants=_service(_ASYNC)),
        "aioboto3.Session": _ASYNC_SESSION,
        "aioboto3.session.Session": _ASYNC_SESSION,
        "aiobotocore.session.get_session": _ASYNC_SESSION,
        "aiobotocore.session.AioSession": _ASYNC_SESSION,
        _ASYNC: _runtime(is_async=True),
    },
    kind="llm",
    completion="converse",
)
