"""What a response says about its own storing, and what revalidates it: RFC 9111 for a private cache, RFC 5861.

The cache is private in RFC 9111's sense, as entries never cross a credential's scope: `s-maxage`, which is for shared
caches, is ignored; `proxy-revalidate`, though for them too, is read as `must-revalidate`, the safer way.
A Vary other than `*` needs nothing: every header of a request is part of its key (section 4.1). `must-understand` does
not lift `no-store`.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from apicache.errors import UnidentifiableError, UnstorableError

Headers = Iterable[tuple[str, str]]
Validators = tuple[tuple[str, str], ...]
"""What revalidates a response: `(("etag", ...), ("last-modified", ...))`, either or both."""

STORABLE_STATUSES: Final = frozenset({200, 203, 204})
"""Final, complete answers. Errors and redirects pass through; 201 and 202 often stand for work still under way."""

NEGATIVE_STATUSES: Final = frozenset({404, 405, 410, 414, 501})
"""The errors among the statuses that RFC 9110 section 15.1 lets a cache keep unasked."""

NOT_MODIFIED: Final = 304

READ_LIKE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "POST"})
"""POST is here because completions, embeddings and searches are POSTs; whoever wraps one says that it reads."""

REVALIDATABLE_METHODS: Final = frozenset({"GET", "HEAD"})
"""RFC 9110 section 13.1.2: with any other method a condition that holds ends in 412, not in 304."""

_CONDITIONS: Final = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
_OWN_CONDITIONS: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"}
)
_NEVER_RENEWED: Final = frozenset(
    {
        "content-length",  # sections 3.2 and 4.3.4: what the stored body is read by
        "content-encoding",
        "content-type",
        "content-range",
        "connection",  # sections 3.1 and 7.6.1 of RFC 9110: of one connection only
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_ONE_MESSAGE: Final = frozenset({"age", "date"})
_DELTA_MAX: Final = 2.0**31
"""Seconds; section 1.2.2: more is read as this."""
_DIRECTIVE: Final = re.compile(r"""([^\s,;="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?""")
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
"""Without the obsolete bytes above ASCII, which client libraries do not all send back as they came."""
_HTTP_DATE: Final = re.compile(
    r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"
    r"|[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}"
)
"""RFC 9110 section 5.6.7; any other format is no date."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a response states of its own storing; the fields are those of `adapter.Snapshot`."""

    lifetime: float | None
    forbidden: bool
    private: bool
    validators: Validators
    must_revalidate: bool
    stale_while_revalidate: float | None
    stale_if_error: float | None


def terms_of(chain: Sequence[Headers], *, revalidatable: bool) -> Terms:
    """The terms of an answer with the redirects before it, each by its headers: the strictest word holds.

    Only an answer without redirects has validators: a 304 does not say which response of a chain it is about. Without
    validators, what may not be used unasked (`no-cache`, a lifetime of 0) is forbidden altogether.
    """
    all_terms = [_terms_of_one(headers) for headers in chain]
    validators = all_terms[0].validators if revalidatable and len(all_terms) == 1 else ()
    lifetime = min((each.lifetime for each in all_terms if each.lifetime is not None), default=None)
    forbidden = any(each.forbidden for each in all_terms) or (lifetime == 0 and not validators)
    return Terms(
        lifetime=0.0 if forbidden else lifetime,
        forbidden=forbidden,
        private=any(each.private for each in all_terms),
        validators=validators,
        must_revalidate=any(each.must_revalidate for each in all_terms),
        stale_while_revalidate=_least([each.stale_while_revalidate for each in all_terms]),
        stale_if_error=_least([each.stale_if_error for each in all_terms]),
    )


def _terms_of_one(headers: Headers) -> Terms:
    fields = _fields(headers)
    directives = _directives(fields.get("cache-control", ()))
    varies_by_all = any(member.strip() == "*" for value in fields.get("vary", ()) for member in value.split(","))
    return Terms(
        lifetime=_lifetime(directives, fields),
        forbidden="no-store" in directives or varies_by_all,
        private="private" in directives,
        validators=_validators(fields),
        must_revalidate=not directives.keys().isdisjoint({"no-cache", "must-revalidate", "proxy-revalidate"}),
        stale_while_revalidate=_least(map(_delta_seconds, directives.get("stale-while-revalidate", [""]))),
        stale_if_error=_least(map(_delta_seconds, directives.get("stale-if-error", [""]))),
    )


def _lifetime(directives: Mapping[str, Sequence[str]], fields: Mapping[str, Sequence[str]]) -> float | None:
    """Seconds (section 4.2.1): `max-age`, else Expires, less the response's own Age; an invalid one counts as stale."""
    if "no-cache" in directives:
        return 0.0
    if "max-age" in directives:
        allowed = min(_delta_seconds(argument) or 0.0 for argument in directives["max-age"])
    elif "expires" in fields:
        sent = _moment(fields.get("date", [""])[0]) or dt.datetime.now(dt.UTC)
        ends = [_moment(value) or sent for value in fields["expires"]]
        allowed = (min(ends) - sent).total_seconds()
    else:
        return None
    age = _delta_seconds(fields.get("age", [""])[0].partition(",")[0])  # section 5.1: an invalid one is ignored
    return max(0.0, allowed - (age or 0.0))


def _validators(fields: Mapping[str, Sequence[str]]) -> Validators:
    """Those that may be sent back: an ETag of `*`, or two of them, would match whatever there is."""
    found = []
    etags, dates = fields.get("etag", ()), fields.get("last-modified", ())
    if len(etags) == 1 and _ENTITY_TAG.fullmatch(etags[0]):
        found.append(("etag", etags[0]))
    if len(dates) == 1 and _moment(dates[0]) is not None:
        found.append(("last-modified", dates[0]))
    return tuple(found)


def conditions(validators: Validators) -> dict[str, str]:
    """The request headers that ask whether a stored response still holds (section 4.3.1)."""
    return {_CONDITIONS[name]: value for name, value in validators if name in _CONDITIONS}


def renewed_headers(stored: Headers, received: Headers) -> list[tuple[str, str]]:
    """The stored headers, updated from those of a 304 (sections 3.2 and 4.3.4).

    Age and Date tell of one message: the stored ones go. Raises UnstorableError when the 304's own validators are those
    of another version than the stored one.
    """
    stored, received = list(stored), list(received)
    old, new = _fields(stored), _fields(received)
    for name in _CONDITIONS:
        if name in old and name in new:
            if _opaque(old[name][0]) != _opaque(new[name][0]):
                raise UnstorableError("a 304 that is about another version than the stored one")
            break
    own = {member.strip().lower() for value in new.get("connection", ()) for member in value.split(",")}
    kept = _NEVER_RENEWED | own
    replaced = (new.keys() - kept) | _OF_ONE_MESSAGE
    return [
        *((name, value) for name, value in stored if name.lower() not in replaced),
        *((name, value) for name, value in received if name.lower() not in kept),
    ]


def check_read_like(method: str) -> None:
    """Refuse a method that changes state upstream; raises UnidentifiableError."""
    if method.upper() not in READ_LIKE_METHODS:
        raise UnidentifiableError(f"{method.upper()} changes state upstream; call it directly")


def check_unconditional(request_headers: Headers) -> None:
    """Refuse requests whose answer depends on what the caller has, or wants, right now; raises UnidentifiableError."""
    for name, value in request_headers:
        lowered = name.lower()
        if lowered in _OWN_CONDITIONS:
            kind = "asks for a part" if lowered == "range" else "is conditional"
            raise UnidentifiableError(f"its request {kind} ({name})")
        if _asks_for_a_fresh_answer(lowered, value):
            raise UnidentifiableError("its request asks for a fresh answer")


def _asks_for_a_fresh_answer(name: str, value: str) -> bool:
    """Whether a header says that no stored answer will do (section 5.2.1)."""
    if name == "pragma":
        return "no-cache" in value.lower()
    if name != "cache-control":
        return False
    directives = _directives([value])
    return (
        "no-store" in directives
        or "no-cache" in directives
        or any(not _delta_seconds(argument) for argument in directives.get("max-age", ()))
    )


def _fields(headers: Headers) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(value.strip())
    return fields


def _directives(values: Iterable[str]) -> dict[str, list[str]]:
    """Every directive's arguments by its name in lower case; nothing is overlooked in what is malformed."""
    found: dict[str, list[str]] = {}
    for value in values:
        for name, argument in _DIRECTIVE.findall(value):
            found.setdefault(name.lower(), []).append(argument.strip('"'))
    return found


def _least(values: Iterable[float | None]) -> float | None:
    """The smallest value; None when any is missing."""
    known = list(values)
    stated = [value for value in known if value is not None]
    return min(stated) if stated and len(stated) == len(known) else None


def _delta_seconds(text: str) -> float | None:
    digits = text.strip()
    return min(float(digits), _DELTA_MAX) if digits.isascii() and digits.isdigit() else None


def _moment(text: str) -> dt.datetime | None:
    if not _HTTP_DATE.fullmatch(text):
        return None
    from email.utils import parsedate  # noqa: PLC0415 - 4 ms that a process without HTTP responses does not pay

    parsed = parsedate(text)
    try:
        return None if parsed is None else dt.datetime(*parsed[:6], tzinfo=dt.UTC)
    except ValueError:  # the 31st of February
        return None


def _opaque(validator: str) -> str:
    """For the weak comparison of RFC 9110 section 8.8.3.2."""
    return validator.removeprefix("W/")
