"""What the drivers of HTTP libraries share: URLs, calls, and what is drawn."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant

SECRET = "sk-planted-4e21c0"
JSON_VALUES = st.recursive(
    st.sampled_from([1, True, 1.0, "1", None, 0, False, "", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
TEXTS = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "2", "1 2", "a&b=1"]), min_size=1)
PATHS = st.sampled_from(["/a", "/b", "/a/b", "/a%2Fb"])
HEADERS = st.dictionaries(
    st.sampled_from(["X-Tenant", "X-Never-Heard-Of", "Accept", "Authorization"]),
    st.sampled_from(["a", "b", "text/csv"]),
    min_size=1,
)


class Site(NamedTuple):
    """A client, and the URL that paths lie under."""

    client: Any
    url: str


def site_url(api: Any, variant: Variant) -> str:
    """The server's URL with the variant's `base` and, before the host, its `user`."""
    url: str = api.url
    if "user" in variant:
        url = url.replace("://", f"://{variant['user']}@")
    return url + variant.get("base", "")


class HttpDriver(Driver):
    """Calls are (verb, (path,), keyword arguments)."""

    failing: Variant = MappingProxyType({"base": "/status/500"})
    ignored = ({"timeout": 3}, {"timeout": 7.5}, {"headers": {"Cookie": "__cf_bm=anything"}})
    secret = SECRET
    optional: ClassVar[Mapping[str, st.SearchStrategy[Any]]] = {"params": TEXTS, "headers": HEADERS}
    """Keyword arguments of any call."""
    bodies: ClassVar[Mapping[str, st.SearchStrategy[Any]]] = {"json": JSON_VALUES.filter(lambda v: v is not None)}
    """Keyword arguments of a POST, of which it has one."""

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        body = st.one_of(*(st.fixed_dictionaries({name: drawn}) for name, drawn in self.bodies.items()), st.just({}))
        read = st.tuples(st.sampled_from(["get", "head"]), st.tuples(PATHS), self.options())
        post = st.builds(
            lambda path, options, body: ("post", (path,), {**options, **body}), PATHS, self.options(), body
        )
        return read | post

    def options(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({}, optional=self.optional)

    def document(self, path: str, body: bytes, count: int) -> Any:
        # A form's boundary is another one each time.
        return {"count": count, "path": path} if body.startswith(b"--") else None

    def call(
        self, client: Site, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
        path, *others = args
        return getattr(client.client, method), (client.url + path, *others), kwargs


def without_date(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() != "date"]
