"""What the shared suite does not reach of the litellm adapter."""

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from apicache.errors import UnidentifiableError

pytestmark = pytest.mark.xdist_group("litellm")  # where the suite has loaded it
CHAT: dict[str, Any] = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "a"}], "api_key": "k"}


@pytest.fixture
def library() -> Iterator[Any]:
    """litellm: loading it takes seconds. It shall not ask the network for prices."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it, and pydantic at its models, warn of what is not ours
        import litellm

        yield litellm


@pytest.fixture
def adapter(library: Any) -> Any:
    from apicache.adapters import litellm as adapter

    return adapter


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("success_callback", ["langfuse"]),
        ("callbacks", [print]),
        ("pre_call_rules", [print]),
        ("cache", object()),
        ("client_session", object()),
        ("secret_manager_client", object()),
        ("custom_provider_map", [{}]),
        ("default_fallbacks", ["openai/gpt-4o-mini"]),
    ],
)
def test_settings_whose_effect_cannot_be_read_off_are_refused(
    library: Any, adapter: Any, monkeypatch: pytest.MonkeyPatch, setting: str, value: Any
) -> None:
    assert adapter.identify(library.completion, (), CHAT) is not None
    monkeypatch.setattr(library, setting, value)
    with pytest.raises(UnidentifiableError, match=setting):
        adapter.identify(library.completion, (), CHAT)


@pytest.mark.parametrize(
    "given",
    [
        {"stream": True},
        {"mock_response": "a"},
        {"client": object},
        {"fallbacks": ["openai/gpt-4o-mini"]},
        {"logger_fn": print},
        {"caching": True},
        {"api_key": "os.environ/OWN_KEY"},
        {"response_format": dict},
        {"model": "bedrock/m-1"},
        {"model": "vertex_ai/m-1"},
        {"custom_llm_provider": "sagemaker"},
    ],
    ids=repr,
)
def test_calls_whose_answer_may_come_from_anywhere_are_refused(library: Any, adapter: Any, given: Any) -> None:
    with pytest.raises(UnidentifiableError):
        adapter.identify(library.completion, (), {**CHAT, **given})


def test_variables_of_other_providers_do_not_count(library: Any, adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = adapter.identify(library.completion, (), CHAT)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k-2")
    assert adapter.identify(library.completion, (), CHAT) == before
    monkeypatch.setenv("OPENAI_API_KEY", "k-2")
    assert adapter.identify(library.completion, (), CHAT).credentials != before.credentials


def test_sync_and_async_share(library: Any, adapter: Any) -> None:
    assert adapter.identify(library.completion, (), CHAT) == adapter.identify(library.acompletion, (), CHAT)


def test_headers_that_carry_credentials_are_not_stored(library: Any, adapter: Any) -> None:
    answer = library.ModelResponse(choices=[{"message": {"role": "assistant", "content": "a"}}])
    answer._hidden_params = {
        "additional_headers": {"llm_provider-set-cookie": "session=planted", "llm_provider-x-request-id": "r"},
        "api_base": "http://me:planted@127.0.0.1:1/v1",
    }
    found = adapter.snapshot(answer)
    assert "planted" not in repr(found.data)
    replayed = adapter.replay(found.data, None)
    assert replayed._hidden_params["additional_headers"] == {"llm_provider-x-request-id": "r"}
    assert "planted" in repr(answer._hidden_params)


def test_empty_and_failed_answers_are_refused(library: Any, adapter: Any) -> None:
    empty = {"message": {"role": "assistant", "content": None}}
    for choices in ([], [empty]):
        assert adapter.snapshot(library.ModelResponse(choices=choices)).refusal
