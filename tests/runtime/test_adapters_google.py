"""What the shared suite does not reach of the google adapter."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.auth.credentials import AnonymousCredentials
from google.genai import types

from apicache.adapters import google as adapter
from apicache.errors import UnidentifiableError

ASK: dict[str, Any] = {"model": "m-1", "contents": "hello"}
PLACE = {"base_url": "http://127.0.0.1:1"}


@pytest.fixture
def client() -> Iterator[genai.Client]:
    with genai.Client(vertexai=False, api_key="k", http_options=PLACE) as client:
        yield client


def test_other_libraries_of_the_package_are_not_known_and_do_not_load_it() -> None:
    program = """
import sys
from apicache.adapters import google

class Foreign:
    def call(self): pass

Foreign.__module__ = "google.cloud.storage.client"
assert google.identify(Foreign().call, (), {}) is None
assert google.snapshot(Foreign()) is None
assert not any(name.startswith("google") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_headers_that_carry_credentials_are_not_stored() -> None:
    headers = {"content-type": "application/json", "set-cookie": "session=planted"}
    answer = types.CountTokensResponse(total_tokens=1, sdk_http_response=types.HttpResponse(headers=headers))
    found = adapter.snapshot(answer)
    assert found is not None
    assert "planted" not in repr(found.data)
    replayed = adapter.replay(found.data, None)
    assert replayed.sdk_http_response.headers == {"content-type": "application/json"}
    assert headers["set-cookie"] == answer.sdk_http_response.headers["set-cookie"]


@pytest.mark.parametrize("reason", [None, "SAFETY", "OTHER", "MALFORMED_FUNCTION_CALL"])
def test_blocked_and_failed_answers_are_refused(reason: Any) -> None:
    content = types.Content(role="model", parts=[types.Part(text="a")])
    answer = types.GenerateContentResponse(candidates=[types.Candidate(content=content, finish_reason=reason)])
    found = adapter.snapshot(answer)
    assert found is not None
    assert found.refusal == f"an answer that ended in {reason}"


def test_empty_answers_are_refused() -> None:
    for answer in (types.GenerateContentResponse(), types.EmbedContentResponse(), types.CountTokensResponse()):
        found = adapter.snapshot(answer)
        assert found is not None
        assert found.refusal == "an answer without content"


def test_credentials_that_do_not_say_whose_they_are_are_refused() -> None:
    with (
        genai.Client(
            vertexai=True, project="p", location="here", credentials=AnonymousCredentials(), http_options=PLACE
        ) as client,
        pytest.raises(UnidentifiableError, match="AnonymousCredentials"),
    ):
        adapter.identify(client.models.generate_content, (), ASK)


def test_another_transport_and_other_arguments_of_it_are_refused(client: genai.Client) -> None:
    client._api_client._async_client_session_request_args["proxy"] = "http://127.0.0.1:2"
    with pytest.raises(UnidentifiableError, match="'proxy'"):
        adapter.identify(client.aio.models.generate_content, (), ASK)
    client._api_client._httpx_client.send = lambda *_, **__: None
    with pytest.raises(UnidentifiableError, match="its own send"):
        adapter.identify(client.models.generate_content, (), ASK)


def test_what_is_kept_upstream_is_refused(client: genai.Client) -> None:
    with pytest.raises(UnidentifiableError, match="upstream"):
        adapter.identify(client.models.generate_content, (), {**ASK, "config": {"store": True}})


def test_streams_and_uploads_are_not_known(client: genai.Client) -> None:
    assert adapter.identify(client.models.generate_content_stream, (), ASK) is None
    assert adapter.identify(client.files.upload, (), {"file": "a"}) is None
