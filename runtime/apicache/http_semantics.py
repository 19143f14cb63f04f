"""What a response says about its own storing (RFC 9111), and which statuses are answers."""

import datetime as dt
import email.utils
from collections.abc import Iterable
from typing import Final

STORABLE_STATUSES: Final = frozenset({200, 203, 204})
"""Final, complete answers. Errors and redirects pass through; 201 and 202 often stand for work still under way."""

READ_LIKE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "POST"})
"""POST is here because completions, embeddings and searches are POSTs; whoever wraps one says that it reads."""


def allowed_lifetime(headers: Iterable[tuple[str, str]]) -> float | None:
    """Seconds the response's headers allow it to be reused; 0 forbids storing; None when they say nothing.

    `no-store`, `no-cache` and `Vary: *` forbid (RFC 9111 sections 5.2.2.4, 5.2.2.5 and 4.1). `max-age`, else `Expires`,
    counts from the response's own Age (section 4.2). `private` needs nothing: entries never cross a credential's scope.
    """
    allowed: float | None = None
    told = {"age": "0", "expires": "", "date": ""}
    for name, value in headers:
        lowered = name.lower()
        if lowered == "vary" and "*" in value:
            return 0.0
        if lowered in told:
            told[lowered] = value
        if lowered == "cache-control":
            stated = _directives_lifetime(value)
            if stated is not None:
                allowed = stated if allowed is None else min(allowed, stated)
    if allowed is None and told["expires"]:
        allowed = _seconds_between(told["date"], told["expires"])
    return None if allowed is None else max(0.0, allowed - (_delta_seconds(told["age"]) or 0.0))


def asks_for_a_fresh_answer(request_headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a request says that no stored answer will do (RFC 9111 section 5.2.1)."""
    for name, value in request_headers:
        lowered = name.lower()
        if lowered == "cache-control" and _directives_lifetime(value) == 0:
            return True
        if lowered == "pragma" and "no-cache" in value.lower():
            return True
    return False


def _seconds_between(date: str, expires: str) -> float:
    """From the response's Date to its Expires; an Expires that is no date is in the past (RFC 9111 section 5.3)."""
    try:
        sent = email.utils.parsedate_to_datetime(date) if date else dt.datetime.now(dt.UTC)
        return (email.utils.parsedate_to_datetime(expires) - sent).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def _directives_lifetime(value: str) -> float | None:
    allowed: float | None = None
    for directive in value.lower().split(","):
        name, _, argument = directive.strip().partition("=")
        if name in {"no-store", "no-cache"}:
            return 0.0
        if name == "max-age":
            allowed = _delta_seconds(argument) or 0.0  # section 4.2.1: an invalid max-age counts as stale
    return allowed


def _delta_seconds(text: str) -> float | None:
    digits = text.strip().strip('"')
    return float(digits) if digits.isascii() and digits.isdigit() else None
