"""Which names carry credentials: those values set a call's scope and never reach a store, a log or an error."""

import contextlib
import re
from collections.abc import Iterable
from typing import Any, Final

_CREDENTIAL = re.compile(
    r"auth|key|token|secret|passw|pwd|credential|cookie|session|signature|bearer|jwt|appid|ticket|^sig$|^sid$|^pass$|^code$"
    r"|^otp$|^pat$",
    re.IGNORECASE,
)
_SECRET_RESPONSE_HEADER = re.compile(
    r"^set-cookie|authorization|api[-_]?key|secret|(auth|access|csrf|xsrf|security|session|refresh)[-_]?token",
    re.IGNORECASE,
)
"""Narrower than for requests: `x-ratelimit-remaining-tokens` and its like are no secrets."""
_TOKEN_LIKE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w:.~-]{24,}")
"""A path segment that may be a token (`/bot123456:AAE.../`): long, of letters and digits."""
_SEARCHED: Final = re.compile(r"key-?_?words?|authors?$", re.IGNORECASE)
"""Query parameters that only look like credentials' names."""

REDACTED: Final = "REDACTED"

INFRASTRUCTURE_COOKIES: Final = frozenset(
    {"__cf_bm", "_cfuvid", "__cflb", "AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "GCLB", "ARRAffinity"}
)
"""Cookies that load balancers and bot filters set on every answer (Cloudflare, AWS, Google, Azure); they route, they do
not change what is answered, and counting them would make every second call of a process a different one."""


def is_credential(name: str) -> bool:
    """Whether a header, query parameter or setting of that name holds a credential."""
    return _CREDENTIAL.search(name) is not None


def split_headers(headers: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Headers as (identifying, credentials), names in lower case, sorted; infrastructure cookies are left out."""
    identifying: list[tuple[str, str]] = []
    credentials: list[tuple[str, str]] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.lower(), raw_value
        if name == "cookie":
            value = identifying_cookies(value)
            if not value:
                continue
        (credentials if is_credential(name) else identifying).append((name, value))
    return sorted(identifying), sorted(credentials)


def identifying_cookies(header: str) -> str:
    """A Cookie header without infrastructure cookies, in the order of names."""
    cookies = (part.strip() for part in header.split(";"))
    kept = sorted(cookie for cookie in cookies if cookie and cookie.partition("=")[0] not in INFRASTRUCTURE_COOKIES)
    return "; ".join(kept)


def jar_cookies(jar: Iterable[Any]) -> list[tuple[str, str, str, str]]:
    """A jar's cookies as (name, value, domain, path), sorted, without infrastructure cookies.

    All of them count, not only those that go to a call's URL: a redirect may lead to where the others are sent. The jar
    holds cookies of `http.cookiejar`, or morsels, as aiohttp's does.
    """
    # Other threads may add to the jar meanwhile; aiohttp's belongs to one event loop and has no lock.
    with getattr(jar, "_cookies_lock", contextlib.nullcontext()):
        cookies = [_cookie_parts(cookie) for cookie in jar]
    return sorted(parts for parts in cookies if parts[0] not in INFRASTRUCTURE_COOKIES)


def _cookie_parts(cookie: Any) -> tuple[str, str, str, str]:
    if isinstance(cookie, dict):
        return cookie.key, cookie.value, cookie["domain"], cookie["path"]  # type: ignore[attr-defined]  # a morsel
    return cookie.name, cookie.value or "", cookie.domain, cookie.path


def sets_session_cookie(set_cookie_headers: Iterable[str]) -> bool:
    """Whether any Set-Cookie header sets more than an infrastructure cookie."""
    return any(header.partition("=")[0].strip() not in INFRASTRUCTURE_COOKIES for header in set_cookie_headers)


def url_carries_credential(url: str) -> bool:
    """Whether a URL has user info, or a query parameter that is named like a credential."""
    from urllib.parse import parse_qsl, urlsplit  # noqa: PLC0415 - 4 ms that calls without a URL do not pay

    parts = urlsplit(url)
    names = (name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return "@" in parts.netloc or any(is_credential(name) and not _SEARCHED.search(name) for name in names)


def storable_url(url: str) -> str:
    """The URL as it may be stored: no user info, no fragment, query values and token-like path segments redacted.

    Names of query parameters that carry credentials are too many to know, so no value is kept; a wrapped call's replay
    has the caller's own request, and with it the whole URL.
    """
    from urllib.parse import urlsplit, urlunsplit  # noqa: PLC0415 - 4 ms that calls without a URL do not pay

    parts = urlsplit(url)
    query = "&".join(f"{pair.partition('=')[0]}={REDACTED}" for pair in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], storable_path(parts.path), query, ""))


def storable_path(path: str) -> str:
    """A URL's path as it may be stored or shown: token-like segments redacted."""
    return "/".join(REDACTED if _TOKEN_LIKE.fullmatch(segment) else segment for segment in path.split("/"))


def storable_headers(headers: Iterable[tuple[str, str]]) -> list[list[str]]:
    """A response's headers as they may be stored: none that carries a credential, the Location as `storable_url`."""
    return [
        [name, storable_url(value) if name.lower() in {"location", "content-location"} else value]
        for name, value in headers
        if not _SECRET_RESPONSE_HEADER.search(name)
    ]
