import contextlib
import warnings
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any, ClassVar

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Driver, Variant

SECRET = "ge-planted-77c2d9"
ASK = {"model": "m-1", "contents": "hello"}
MODELS = st.sampled_from(["m-1", "m-2"])
CONTENTS = st.sampled_from(["a", "b", ["a"], ["a", "b"], [types.Part.from_text(text="a")]])
HTTP_OPTIONS = st.sampled_from(
    [
        {"headers": {"X-Tenant": "a"}},
        {"headers": {"X-Goog-Api-Key": "b"}},
        {"api_version": "v9"},
        {"extra_body": {"never_heard_of": 1}},
        {"extra_body": {"never_heard_of": True}},
    ]
)


def weather(city: str) -> str:
    """The weather there."""
    return city


def config(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.fixed_dictionaries({}, optional={"http_options": HTTP_OPTIONS, **optional})
    return fields.filter(bool)  # none, and one that says nothing, are the same call


class _GoogleDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"api_key": SECRET},
        {"api_key": "another"},
        {"http": {"api_version": "v9"}},
        {"http": {"headers": {"X-Tenant": "a"}}},
        {"http": {"headers": {"X-Own-Token": SECRET}}},
        {"http": {"extra_body": {"never_heard_of": 1}}},
        {"cloud": {"project": "p"}},
        {"cloud": {"project": "q"}},
        {"cloud": {"project": "p"}, "token": SECRET},
    )
    failing: Variant = MappingProxyType({"base": "/status/429"})
    examples: ClassVar[list[Call]] = [
        ("models.generate_content", (), ASK),
        (
            "models.generate_content",
            (),
            {
                **ASK,
                "config": {"response_mime_type": "application/json", "response_json_schema": {"type": "object"}},
            },
        ),
        ("models.generate_content", (), {**ASK, "config": types.GenerateContentConfig(temperature=0.5)}),
        ("models.embed_content", (), {"model": "e-1", "contents": ["a"]}),
        ("models.count_tokens", (), ASK),
    ]
    ignored = ({"config": {"http_options": {"timeout": 3000}}}, {"config": {}}, {"config": None})
    refused: ClassVar[list[Call]] = [
        ("models.generate_content", (), {**ASK, "config": {"tools": [weather]}}),
        ("models.generate_content", (), {**ASK, "config": {"response_schema": types.HttpResponse}}),
        ("caches.delete", (), {"name": "c-1"}),
    ]
    arguments = st.one_of(
        st.tuples(
            st.just("models.generate_content"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "contents": CONTENTS},
                optional={
                    "config": config(
                        temperature=st.sampled_from([0.5, 1.0]),
                        seed=st.sampled_from([1, 2]),
                        system_instruction=st.sampled_from(["a", "b"]),
                    )
                },
            ),
        ),
        st.tuples(
            st.just("models.embed_content"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "contents": CONTENTS},
                optional={"config": config(output_dimensionality=st.sampled_from([8, 16]))},
            ),
        ),
        st.tuples(
            st.just("models.count_tokens"),
            st.just(()),
            st.fixed_dictionaries({"model": MODELS, "contents": CONTENTS}, optional={"config": config()}),
        ),
    )
    secret = SECRET

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.gemini(path, body, count)

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        _wire.without_time(api)
        options = {
            "base_url": f"{api.url}{variant.get('base', '')}",
            "client_args": {"verify": _wire.tls()},
            "async_client_args": {"verify": _wire.tls(), "ssl": _wire.tls()},
            **variant.get("http", {}),
        }
        if "cloud" not in variant:
            return {"vertexai": False, "api_key": variant.get("api_key", "k"), "http_options": options}
        credentials = Credentials(token=variant.get("token", "t"))
        return {
            "vertexai": True,
            "location": "here",
            "credentials": credentials,
            "http_options": options,
            **variant["cloud"],
        }

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and _told(one) == _told(other)


def _told(answer: Any) -> Any:
    if not hasattr(answer, "model_dump_json"):
        return type(answer)
    return (answer, repr(answer), answer.model_dump_json(), answer.model_fields_set, getattr(answer, "text", None))


class _Sync(_GoogleDriver):
    name = "google-sync"

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[genai.Client]:
        with genai.Client(**self.settings(api, variant)) as client:
            yield client


class _Async(_GoogleDriver):
    name = "google-async"
    is_async = True

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[Any]:
        with warnings.catch_warnings(), genai.Client(**self.settings(api, variant)) as client:
            # The library's own session class.
            warnings.filterwarnings("ignore", "Inheritance class AiohttpClientSession", DeprecationWarning)
            async with client.aio as own:
                yield own


DRIVERS = [_Sync(), _Async()]
