"""Which calls are known to only read, so that a cache may answer them."""

import re

from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.model import Kind

READING_METHODS = frozenset({"GET", "HEAD"})
READING_OPERATIONS = frozenset({"completion", "embedding", "rerank", "moderation"})
_SEARCHING = re.compile(r"(?:.*/)?(?:_?m?search|[^/]*:search)/?", re.IGNORECASE)
_CREDENTIALS = re.compile(
    r"(?:.*/)?(?:oauth2?(?:/.*)?|(?:access_|refresh_)?token|log_?in|log_?out|sign_?in|sign_?out|authorize|authenticate|csrf|nonce)/?",
    re.IGNORECASE,
)
_SELECT = re.compile(r"\W*select\b", re.IGNORECASE)
_WITH = re.compile(r"\W*with\b.*\bselect\b", re.IGNORECASE | re.DOTALL)
_WRITES = re.compile(r"\b(?:insert|update|delete|merge|into|lock|nextval|setval)\b", re.IGNORECASE)


def known_to_read(method: str | None, endpoint: str | None, kind: Kind, sql: str | None) -> bool:
    """Whether a call is known to change nothing upstream: GET or HEAD, a POST known to be read-like, a SELECT.

    Endpoints that hand out or take back credentials are not: their answers are for one caller, once.
    """
    if kind == "db":
        return sql is not None and reads(sql)
    path = (endpoint or "").partition(" ")[2].partition("/")[2]
    if _CREDENTIALS.fullmatch(path):
        return False
    if method in READING_METHODS:
        return True
    if method != "POST" or endpoint is None:
        return False
    operation = sdk_operation(endpoint) if kind == "llm" else llm_operation(endpoint)
    return operation in READING_OPERATIONS or bool(_SEARCHING.fullmatch(path))


def reads(sql: str) -> bool:
    """Whether a statement is a SELECT that locks nothing and stores nothing."""
    return bool(_SELECT.match(sql) or _WITH.match(sql)) and not _WRITES.search(sql)
