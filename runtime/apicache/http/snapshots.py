"""What is stored of an HTTP response, whichever library received it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from apicache.adapter import Snapshot
from apicache.credentials import sets_session_cookie, storable_headers
from apicache.http.semantics import (
    NEGATIVE_STATUSES,
    REVALIDATABLE_METHODS,
    STORABLE_STATUSES,
    Headers,
    renewed_headers,
    terms_of,
)


def http_snapshot(data: Mapping[str, Any], chain: Sequence[Headers], set_cookies: Iterable[str]) -> Snapshot:
    """The snapshot of an HTTP response whose stored `data` has its `status` and `method`.

    `chain` holds the headers of its redirects and, last, its own; `set_cookies` all their Set-Cookie headers.
    """
    status = data["status"]
    refusal = negative = None
    if status in NEGATIVE_STATUSES:
        negative = f"status {status}"
    elif status not in STORABLE_STATUSES:
        refusal = f"status {status}"
    if refusal is None and sets_session_cookie(set_cookies):
        refusal = "it sets a cookie, which a hit would not set"
    terms = terms_of(chain, revalidatable=status in STORABLE_STATUSES and data["method"] in REVALIDATABLE_METHODS)
    return Snapshot(data=data, refusal=refusal, negative=negative, status=status, **msgspec.structs.asdict(terms))


def renewed_snapshot(data: Mapping[str, Any], received: Headers, set_cookies: Iterable[str]) -> Snapshot:
    """What an HTTP response's stored `data`, which has its `headers`, becomes by the headers of a 304.

    Raises UnstorableError when the 304 is about another version.
    """
    stored = [(name, value) for name, value in data["headers"]]
    headers = renewed_headers(stored, [(name, value) for name, value in storable_headers(received)])
    return http_snapshot({**data, "headers": [list(pair) for pair in headers]}, [headers], set_cookies)
