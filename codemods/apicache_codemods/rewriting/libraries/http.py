"""http: https://docs.python.org/3/library/http.client.html; the response is asked for by a second call."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(is_rewritten=False)
