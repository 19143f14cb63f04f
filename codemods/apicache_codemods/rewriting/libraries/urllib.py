"""urllib: https://docs.python.org/3/library/urllib.request.html; its responses are files that are read once."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(is_rewritten=False)
