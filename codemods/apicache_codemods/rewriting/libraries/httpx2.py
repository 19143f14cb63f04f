"""httpx2: https://github.com/pydantic/httpx2; used as httpx is."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(
    calls=frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "send"}),
    decodes_json=True,
    plain={"auth": frozenset({"BasicAuth"}), "transport": frozenset({"HTTPTransport", "AsyncHTTPTransport"})},
)
