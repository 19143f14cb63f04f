"""requests: https://requests.readthedocs.io/en/latest/api/."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(decodes_json=True, plain={"auth": frozenset({"HTTPBasicAuth"})})
