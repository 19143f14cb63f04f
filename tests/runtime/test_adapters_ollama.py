"""What the shared suite does not reach of the ollama adapter."""

import io
from pathlib import Path
from typing import Any

import ollama
import pytest

from apicache.adapters import ollama as adapter
from apicache.errors import UnidentifiableError
from apicache.identity import material_of

CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}


def material(function: Any, **kwargs: Any) -> bytes:
    found = adapter.identify(function, (), kwargs)
    assert found is not None
    return material_of(found.parameters)


def test_an_image_is_identified_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    seen = []
    with ollama.Client(host="http://127.0.0.1:1") as client:
        for content in (b"one", b"another", b"one"):
            image.write_bytes(content)
            seen.append(material(client.generate, model="m-1", prompt="a", images=[str(image)]))
    assert seen[0] == seen[2] != seen[1]


def test_the_modules_functions_are_those_of_its_own_client() -> None:
    found = adapter.identify(ollama.chat, (), CHAT)
    assert found is not None
    assert found.label.startswith("chat ")


def test_positions_and_names_are_one_call_and_sync_and_async_share() -> None:
    with ollama.Client(host="http://127.0.0.1:1") as client:
        one = adapter.identify(client.generate, ("m-1", "a"), {})
        assert one is not None
        assert material_of(one.parameters) == material(client.generate, prompt="a", model="m-1")
        assert material(client.chat, **CHAT) == material(ollama.AsyncClient(host="http://127.0.0.1:1").chat, **CHAT)


def test_what_can_be_read_once_only_is_refused() -> None:
    with ollama.Client(host="http://127.0.0.1:1") as client:
        for given in ({"images": [io.BytesIO(b"a")]}, {"context": iter([1])}):
            with pytest.raises(UnidentifiableError, match="only once"):
                adapter.identify(client.generate, (), {"model": "m-1", "prompt": "a", **given})


def test_a_client_of_another_class_and_a_patched_one_are_refused() -> None:
    class Own(ollama.Client):
        pass

    with Own(host="http://127.0.0.1:1") as client, pytest.raises(UnidentifiableError, match="Own"):
        adapter.identify(client.chat, (), CHAT)
    with ollama.Client(host="http://127.0.0.1:1") as plain:
        plain._request = lambda *_, **__: None  # type: ignore[method-assign]
        with pytest.raises(UnidentifiableError, match="replaced"):
            adapter.identify(plain.chat, (), CHAT)


@pytest.mark.parametrize(
    "answer",
    [
        ollama.GenerateResponse(model="m-1", response="a", done=False),
        ollama.GenerateResponse(model="m-1", response="", done=True, done_reason="load"),
        ollama.GenerateResponse(model="m-1", response="", done=True, done_reason="stop"),
        ollama.ChatResponse(message=ollama.Message(role="assistant", content=""), done=True, done_reason="stop"),
        ollama.EmbedResponse(embeddings=[]),
        ollama.EmbeddingsResponse(embedding=[]),
    ],
    ids=repr,
)
def test_unfinished_and_empty_answers_are_refused(answer: Any) -> None:
    found = adapter.snapshot(answer)
    assert found is not None
    assert found.refusal


def test_other_objects_of_the_library_are_not_known() -> None:
    assert adapter.snapshot(ollama.Message(role="user", content="a")) is None
    assert adapter.identify(ollama.list, (), {}) is None
