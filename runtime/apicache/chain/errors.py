"""What went wrong upstream, as a ProviderError: its kind, when to come back, a text of our own words alone.

Sources: RFC 9110 (statuses, Retry-After), https://docs.anthropic.com/en/api/errors,
https://platform.openai.com/docs/guides/error-codes.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from apicache.clock import SystemClock
from apicache.provider import ErrorKind, ProviderError, Response

_KINDS: Final[Mapping[int, ErrorKind]] = {
    401: "auth",
    402: "auth",  # payment required: another try does not help, another provider may
    403: "auth",
    404: "not_found",
    405: "not_found",
    407: "auth",
    408: "timeout",
    409: "unavailable",  # a lock that another request holds
    410: "not_found",
    425: "unavailable",
    429: "rate_limit",
    504: "timeout",
    524: "timeout",  # Cloudflare's own
    529: "overloaded",  # Anthropic's own
}
_WORDS: Final[Mapping[str, ErrorKind]] = {
    "api_error": "unavailable",
    "authentication_error": "auth",
    "billing_error": "auth",
    "billing_hard_limit_reached": "auth",
    "content_filter": "bad_request",
    "context_length_exceeded": "bad_request",
    "contract_spend_limit_reached": "auth",
    "enforced_spend_limit_reached": "auth",
    "insufficient_quota": "auth",
    "invalid_api_key": "auth",
    "invalid_prompt": "bad_request",
    "invalid_request_error": "bad_request",
    "linked_organization_spend_limit_reached": "auth",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "overloaded_error": "overloaded",
    "permission_error": "auth",
    "ramp_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "request_too_large": "bad_request",
    "server_error": "unavailable",
    "timeout_error": "timeout",
    "tokens": "rate_limit",
    "requests": "rate_limit",
}
"""The words that APIs put into `error.code`, `error.type` and `error.details`: all of a body that a text may repeat."""
_OVER_STATUS: Final = frozenset(
    {
        "billing_error",
        "billing_hard_limit_reached",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "insufficient_quota",
        "linked_organization_spend_limit_reached",
        "model_not_found",
        "overloaded_error",
    }
)
"""Words that say more than the status they come with: both vendors have 429 for an account that has run dry."""
_MEANING: Final[Mapping[ErrorKind, str]] = {
    "bad_request": "the request is refused as it is",
    "auth": "its key may not do this",
    "not_found": "no such model or path",
    "rate_limit": "too many requests",
    "overloaded": "it is overloaded",
    "unavailable": "it is out of order",
    "timeout": "it took too long",
    "broken": "no usable answer",
}


def status_error(provider: str, response: Response, *, key_variable: str | None = None) -> ProviderError:
    """The error that a response with a status other than 2xx stands for."""
    word = error_word(parsed(response.body))
    kind = _WORDS[word] if word in _OVER_STATUS else kind_of(response.status)
    told = f"{provider} answered with status {response.status}: {_MEANING[kind]}"
    if word:
        told += f" ({word})"
    if kind == "auth" and key_variable:
        told += f"; look at {key_variable}"
    return ProviderError(told, kind, status=response.status, retry_after=retry_after(response.headers))


def reported_error(provider: str, document: Any) -> ProviderError:
    """The error that a body of status 200, or an event of a stream, reports."""
    word = error_word(document)
    kind = _WORDS.get(word, "broken")
    return ProviderError(f"{provider} reports an error: {_MEANING[kind]}" + (f" ({word})" if word else ""), kind)


def broken(provider: str, why: str, status: int | None = None) -> ProviderError:
    """The error for an answer that cannot be used; `why` holds nothing of it."""
    return ProviderError(f"{provider} gave no usable answer: {why}", "broken", status=status)


def kind_of(status: int) -> ErrorKind:
    """What a status other than 2xx means."""
    known = _KINDS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110, 15.5
        return "bad_request"
    return "unavailable" if 500 <= status < 600 else "broken"  # noqa: PLR2004 - RFC 9110, 15.6


def error_word(document: Any) -> str:
    """The known word by which a body names its error, the most exact first; empty without one."""
    found = document.get("error") if isinstance(document, dict) else None
    if isinstance(document, dict) and isinstance(document.get("response"), dict):
        found = document["response"].get("error") or found
    details = found.get("details") if isinstance(found, dict) else None
    for place in (details, found, document):
        for name in ("error_code", "code", "type"):
            word = place.get(name) if isinstance(place, dict) else None
            if isinstance(word, str) and word in _WORDS:
                return word
    return ""


def parsed(body: bytes) -> Any:
    """The JSON of a body; None when it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an upstream asks to wait, by `retry-after-ms` or Retry-After; None when it does not say.

    A date counts from the response's own Date where there is one: the two clocks need not agree.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    seconds = _seconds(given)
    if seconds is not None or given is None:
        return seconds
    until = _timestamp(given)
    if until is None:
        return None
    since = _timestamp(headers.get("date", ""))
    return max(0.0, until - (SystemClock.now() if since is None else since))


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _timestamp(text: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return aware.timestamp()
    except (ValueError, OverflowError):
        return None
