import math
import os
import signal
import socket
import statistics
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from apicache_scenarios.upstream import DEFAULT_MEAN_MS, UpstreamError, running_upstream
from apicache_scenarios.upstream.latency import LatencySource

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Analyze emergency fund"}]}


@pytest.fixture(scope="module")
def running():
    with running_upstream(latency_ms=0) as upstream:
        yield upstream


@pytest.fixture
def upstream(running):
    running.behave(latency_ms=0, fail_share=0)
    return running


@pytest.fixture
def http(upstream):
    with httpx.Client(base_url=upstream.url, trust_env=False) as client:
        yield client


@pytest.fixture
def sdk(upstream):
    with openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="not-a-key", max_retries=0) as client:
        yield client


def test_the_openai_sdk_reads_a_chat_completion(sdk):
    answer = sdk.chat.completions.create(**QUESTION)
    assert answer.model == "gpt-4o"
    assert answer.choices[0].message.content.endswith("to: Analyze emergency fund")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_sdk_reads_a_response(sdk):
    assert sdk.responses.create(model="gpt-4o", input="hello").output_text.endswith("to: hello")
    assert sdk.responses.create(model="gpt-4o", input=QUESTION["messages"]).output_text.endswith("emergency fund")


def test_the_openai_sdk_reads_embeddings_packed_and_as_floats(sdk):
    # Without encoding_format the SDK asks for base64 and unpacks it.
    packed = sdk.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=64)
    floats = sdk.embeddings.create(
        model="text-embedding-3-small", input=["one", "two"], dimensions=64, encoding_format="float"
    )
    for left, right in zip(packed.data, floats.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding, abs=1e-7)
        assert math.hypot(*right.embedding) == pytest.approx(1)
    assert packed.data[0].embedding != packed.data[1].embedding


def test_the_source_documents_bare_prompt_is_answered(http):
    assert http.post(CHAT, json={"prompt": "hi"}).json()["choices"][0]["message"]["content"].endswith("to: hi")
    assert len(http.post("/v1/embeddings", json={"prompt": "hi"}).json()["data"]) == 1


def test_a_list_of_tokens_is_one_text(http):
    assert len(http.post("/v1/embeddings", json={"input": [1, 2, 3]}).json()["data"]) == 1
    assert len(http.post("/v1/embeddings", json={"input": [[1, 2], [3]]}).json()["data"]) == 2


@pytest.mark.parametrize("path", ["/v1/quotes/aapl", "/v1/users/7", "/v1/users/7/transactions?limit=3"])
def test_equal_requests_get_equal_answers_in_every_process(http, path):
    with running_upstream(latency_ms=0, seed=9) as other:
        assert http.get(path).content == httpx.get(other.url + path, trust_env=False).content
        assert http.post(CHAT, json=QUESTION).content == httpx.post(other.url + CHAT, json=QUESTION).content


def test_other_requests_get_other_answers(http):
    asked = [{"temperature": 0}, {"temperature": 1}, {"model": "gpt-4o-mini"}]
    assert len({http.post(CHAT, json=QUESTION | other).json()["id"] for other in asked}) == 3
    assert http.get("/v1/quotes/aapl").json() != http.get("/v1/quotes/msft").json()
    assert len(http.get("/v1/users/7/transactions", params={"limit": 3}).json()["transactions"]) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, b"{"),
        (CHAT, b"\xff"),
        (CHAT, b"[]"),
        (CHAT, b"{}"),
        (CHAT, b'{"messages": []}'),
        ("/v1/responses", b'{"input": "x", "stream": true}'),
        ("/v1/embeddings", b"{}"),
        ("/v1/embeddings", b'{"input": []}'),
        ("/v1/embeddings", b'{"input": "x", "dimensions": 0}'),
        ("/v1/responses", b'{"input": 5}'),
    ],
)
def test_a_request_that_lacks_something_is_refused_in_openais_words(http, path, body):
    refused = http.post(path, content=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("limit", ["-1", "1001", "x", "\u00b2"])
def test_a_limit_out_of_range_is_refused(http, limit):
    assert http.get("/v1/users/7/transactions", params={"limit": limit}).status_code == 400


def test_every_request_is_counted_by_endpoint_and_user_agent():
    with running_upstream(latency_ms=0) as upstream, httpx.Client(base_url=upstream.url, trust_env=False) as client:
        assert upstream.requests_served() == 0
        client.get("/v1/quotes/aapl")
        client.get("/v1/gone")
        client.post(CHAT, json={}, headers={"User-Agent": "arm"})
        served = upstream.served()
    assert served.requests == 3
    assert served.by_endpoint == {"GET /v1/quotes/aapl": 1, "GET /v1/gone": 1, f"POST {CHAT}": 1}
    assert served.by_user_agent["arm"] == 1


def test_a_share_of_the_requests_fails_the_same_way_every_time(upstream, http):
    upstream.behave(fail_share=0.3, fail_status=503)
    statuses = [http.get("/v1/quotes/aapl").status_code for _ in range(20)]
    assert statuses[:10] == statuses[10:]
    assert statuses.count(503) == 6
    assert statuses.count(200) == 14


def test_a_rate_limited_request_says_when_to_come_back(upstream, http, sdk):
    upstream.behave(fail_share=1, fail_status=429)
    assert http.get("/v1/quotes/aapl").headers["Retry-After"] == "1"
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(**QUESTION)


@pytest.mark.parametrize("change", [{"fail_share": 2}, {"latency_ms": -1}, {"fail_status": 42}, {"latency": 5}])
def test_a_behaviour_that_makes_no_sense_is_refused(upstream, change):
    with pytest.raises(UpstreamError, match=r"PATCH /_behaviour on the embedded upstream"):
        upstream.behave(**change)


def test_an_upstream_that_cannot_start_says_why():
    with (
        pytest.raises(UpstreamError, match=r"did not start \(exit code 1\): (.*\n)*.*fail_share"),
        running_upstream(fail_share=2),
    ):
        pass


def test_latencies_have_the_source_documents_mean_and_a_tail_to_the_right():
    source = LatencySource(DEFAULT_MEAN_MS, seed=1)
    draws = [source.draw() * 1000 for _ in range(50_000)]
    assert statistics.fmean(draws) == pytest.approx(101.79, rel=0.01)
    assert statistics.median(draws) == pytest.approx(98.7, rel=0.01)
    assert statistics.quantiles(draws, n=100)[98] == pytest.approx(176, rel=0.02)
    assert min(draws) > 0


def test_latencies_of_one_seed_are_the_same_and_of_another_others():
    def draws(seed):
        source = LatencySource(100, seed=seed)
        return [source.draw() for _ in range(5)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_a_mean_of_zero_is_no_latency():
    assert LatencySource(0).draw() == 0


def test_the_upstream_waits_as_long_as_it_is_told(upstream, http):
    upstream.behave(latency_ms=100)
    response = http.get("/v1/quotes/aapl")
    assert response.elapsed.total_seconds() > 0.04


def connection_to(url):
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def test_the_upstream_ends_with_its_block():
    with running_upstream(latency_ms=0) as upstream:
        connection = connection_to(upstream.url)
    with connection:
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connection_to(upstream.url)


PARENT = """
from apicache_scenarios.upstream import running_upstream
with running_upstream(latency_ms=0) as upstream:
    print(upstream.url, flush=True)
    try:
        input()
    except KeyboardInterrupt:
        print(upstream.requests_served(), flush=True)
"""


@pytest.fixture
def parent():
    """A process of its own session that holds an upstream and waits; its first line is the URL."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def test_the_upstream_ends_when_its_parent_is_killed(parent):
    with connection_to(parent.stdout.readline().strip()) as connection:
        parent.send_signal(signal.SIGKILL)
        assert connection.recv(1) == b"", "the end of the process closes its connections"


def test_an_interrupt_of_the_terminal_leaves_the_upstream_to_its_parent(parent):
    url = parent.stdout.readline().strip()
    httpx.get(f"{url}/v1/users/7", trust_env=False)
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.stdout.readline() == "1\n"
    assert parent.wait(10) == 0


def test_run_by_hand_it_announces_its_url_and_ends_on_an_interrupt():
    command = [sys.executable, "-m", "apicache_scenarios.upstream", "--latency-ms=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/v1/users/7", trust_env=False).json()["id"] == "7"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_streamed_chat_completion_is_the_whole_one_in_words(sdk):
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Analyze emergency fund"}]}
    whole = sdk.chat.completions.create(**asked)
    chunks = list(sdk.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(words) > 3
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 0
    assert "".join(words).split()[:3] == whole.choices[0].message.content.split()[:3]


def test_other_endpoints_refuse_to_stream(sdk):
    with pytest.raises(openai.BadRequestError, match="streams chat completions only"):
        sdk.responses.create(model="gpt-4o-mini", input="x", stream=True)
