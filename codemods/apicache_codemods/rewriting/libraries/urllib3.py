"""urllib3: https://urllib3.readthedocs.io/en/stable/reference/; its responses are read in several ways."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(is_rewritten=False)
