import contextlib
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any, ClassVar

import ollama
from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Driver, Variant

SECRET = "ol-planted-77c2d9"
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
MODELS = st.sampled_from(["m-1", "m-2"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "options": st.sampled_from([{"seed": 1}, {"seed": 2}, {"temperature": 0.5}, {"temperature": 1.0}]),
    "keep_alive": st.sampled_from(["5m", "10m"]),
}


def weather(city: str) -> str:
    """The weather.

    Args:
        city: Where.
    """
    return city


def calls(name: str, needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.just(()), st.fixed_dictionaries(needed, optional={**COMMON, **optional}))


class _OllamaDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"Authorization": "Bearer another"}},
        {"headers": {"X-Tenant": "a"}},
        {"params": {"v": "1"}},
        {"auth": ("me", SECRET)},
        {"cookies": {"session": SECRET}},
        {"follow_redirects": False},
    )
    failing: Variant = MappingProxyType({"base": "/status/500"})
    examples: ClassVar[list[Call]] = [
        ("chat", (), CHAT),
        ("chat", (), {**CHAT, "tools": [weather]}),
        ("generate", ("m-1", "hello"), {}),
        ("embed", (), {"model": "m-1", "input": ["a"]}),
        ("embeddings", (), {"model": "m-1", "prompt": "a"}),
    ]
    refused: ClassVar[list[Call]] = [("chat", (), {**CHAT, "stream": True}), ("delete", ("m-1",), {})]
    arguments = st.one_of(
        calls("chat", {"model": MODELS, "messages": MESSAGES}, {"think": st.sampled_from([True, False, "high"])}),
        calls(
            "generate",
            {"model": MODELS, "prompt": st.sampled_from(["a", "b"])},
            {"system": st.sampled_from(["a", "b"]), "format": st.sampled_from(["json", {"type": "object"}])},
        ),
        calls("embed", {"model": MODELS, "input": st.sampled_from(["a", ["a"], ["a", "b"]])}, {}),
        calls("embeddings", {"model": MODELS, "prompt": st.sampled_from(["a", "b"])}, {}),
    )
    secret = SECRET
    without: ClassVar[dict[str, str]] = {"ignored": "each argument of a call is sent"}

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.ollama(path, body, count)

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        own = {name: value for name, value in variant.items() if name != "base"}
        return {"host": f"{api.url}{variant.get('base', '')}", "verify": _wire.tls(), **own}

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and _told(one) == _told(other)


def _told(answer: Any) -> Any:
    if isinstance(answer, str) or not hasattr(answer, "model_dump_json"):
        return answer
    return (answer, repr(answer), answer.model_dump_json(), answer.model_fields_set)


class _Sync(_OllamaDriver):
    name = "ollama-sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[ollama.Client]:
        with ollama.Client(**self.settings(api, variant)) as client:
            yield client

    def read(self, answer: Any) -> Any:
        return answer if hasattr(answer, "model_dump") else list(answer)


class _Async(_OllamaDriver):
    name = "ollama-async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[ollama.AsyncClient]:
        async with ollama.AsyncClient(**self.settings(api, variant)) as client:
            yield client

    async def read(self, answer: Any) -> Any:
        return answer if hasattr(answer, "model_dump") else [each async for each in answer]


DRIVERS = [_Sync(), _Async()]
