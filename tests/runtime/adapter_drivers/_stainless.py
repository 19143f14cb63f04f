"""What the drivers of the SDKs that come from one generator share: settings of a client, and what its answers tell."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant

SECRET = "sk-planted-77c2d9"
MODELS = st.sampled_from(["m-1", "m-2"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)
EXTRAS: dict[str, st.SearchStrategy[Any]] = {
    "extra_headers": st.sampled_from([{"X-Tenant": "a"}, {"X-Tenant": "b"}, {"Authorization": "Bearer b"}]),
    "extra_query": st.sampled_from([{"v": "1"}, {"v": "2"}, {"api_key": "b"}]),
    "extra_body": st.sampled_from([{"never_heard_of": 1}, {"never_heard_of": True}, {"never_heard_of": [1]}]),
}
ON_CLIENT: tuple[Variant, ...] = (
    {},
    {"base": "/other"},
    {"api_key": SECRET},
    {"api_key": "another"},
    {"default_headers": {"X-Tenant": "a"}},
    {"default_headers": {"X-Tenant": "b"}},
    {"default_headers": {"X-Api-Key": SECRET}},
    {"default_query": {"api-version": "1"}},
    {"default_query": {"api-version": "2"}},
    {"default_query": {"api_key": SECRET}},
    {"_strict_response_validation": True},
    {"http": {"headers": {"X-Tenant": "a"}}},
    {"http": {"params": {"api-version": "1"}}},
    {"http": {"cookies": {"session": SECRET}}},
    {"http": {"auth": ("me", SECRET)}},
    {"http": {"follow_redirects": False}},
    {"http": {"verify": False}},
    {"http": {"proxy": "http://127.0.0.1:9"}},
)


def calls(name: str, needed: Mapping[str, Any], optional: Mapping[str, Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.just(()), st.fixed_dictionaries(dict(needed), optional={**optional, **EXTRAS}))


class StainlessDriver(Driver):
    failing: Variant = MappingProxyType({"base": "/status/429"})
    secret = SECRET

    def settings(self, api: Any, variant: Variant) -> dict[str, Any]:
        own = {name: value for name, value in variant.items() if name not in {"base", "http"}}
        return {"api_key": "k", "base_url": f"{api.url}{variant.get('base', '')}", "max_retries": 0, **own}

    def same(self, one: Any, other: Any) -> bool:
        return told(one) == told(other)


def told(answer: Any) -> tuple[Any, ...]:
    """What a caller can see of a model; of anything else its type."""
    if not hasattr(answer, "to_dict"):
        return (type(answer),)
    ids = {name: value for name, value in vars(answer).items() if name.startswith("_")}
    # Without warnings, as a server may send blocks that the library does not know yet.
    whole = (answer.to_dict(warnings=False), answer.to_json(warnings=False), answer.model_fields_set)
    return (type(answer), answer, repr(answer), *whole, ids)
