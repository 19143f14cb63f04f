"""aiohttp: https://docs.aiohttp.org/en/stable/client_reference.html; responses are entered by `async with`."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(is_rewritten=False)
