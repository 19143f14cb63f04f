"""The openai detector against the SDK itself: its paths, and the requests it really makes."""

import operator

import httpx
import openai
import pytest

from apicache_codemods.detectors.openai import DETECTOR

MESSAGES = [{"role": "user", "content": "hi"}]
MADE = [
    ("chat.completions.create", {"model": "m", "messages": MESSAGES}),
    ("completions.create", {"model": "m", "prompt": "hi"}),
    ("responses.create", {"model": "m", "input": "hi"}),
    ("embeddings.create", {"model": "m", "input": "hi"}),
    ("moderations.create", {"input": "hi"}),
    ("images.generate", {"prompt": "hi"}),
    ("audio.speech.create", {"model": "m", "voice": "v", "input": "hi"}),
    ("models.list", {}),
    ("models.retrieve", {"model": "m"}),
    ("files.list", {}),
    ("batches.retrieve", {"batch_id": "b"}),
]


def client(requests, **options):
    def answer(request):
        requests.append(request)
        return httpx.Response(
            200, json={"data": [{"embedding": [0.0], "index": 0, "object": "embedding"}], "object": "list"}
        )

    transport = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(api_key="none", http_client=transport, max_retries=0, **options)


@pytest.mark.parametrize("call", DETECTOR.calls)
def test_the_sdk_has_the_call(call):
    assert callable(operator.attrgetter(call)(client([])))


@pytest.mark.parametrize(("call", "arguments"), MADE)
def test_the_endpoint_is_that_of_the_request_the_sdk_makes(project, call, arguments):
    requests = []
    operator.attrgetter(call)(client(requests))(**arguments)
    (site,) = project.scan(f"from openai import OpenAI\nOpenAI().{call}()\n").call_sites
    (request,) = requests
    static = site.endpoint.replace("{}", next(iter(arguments.values())) if "{}" in site.endpoint else "")
    assert static == f"{request.method} {request.url.host}{request.url.path}"


def test_a_relative_base_url_of_the_sdk_is_the_one_it_calls(project):
    requests = []
    client(requests, base_url="https://llm.example.com/api/").models.list()
    source = "from openai import OpenAI\nOpenAI(base_url='https://llm.example.com/api/').models.list()\n"
    (site,) = project.scan(source).call_sites
    assert site.endpoint == f"GET {requests[0].url.host}{requests[0].url.path}"


def test_azure_calls_carry_the_deployment(project):
    source = """
        from openai import AsyncAzureOpenAI
        client = AsyncAzureOpenAI(azure_endpoint="https://x.openai.azure.com/", api_version="1")
        async def ask():
            await client.chat.completions.create(model="m", messages=[])
    """
    (site,) = project.scan(source).call_sites
    assert site.endpoint == "POST x.openai.azure.com/openai/deployments/{}/chat/completions"
    assert site.is_async
