"""httpx: https://www.python-httpx.org/api/."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(
    decodes_json=True,
    plain={"auth": frozenset({"BasicAuth"}), "transport": frozenset({"HTTPTransport", "AsyncHTTPTransport"})},
)
