"""Which names carry credentials: those values set a call's scope and never reach a store, a log or an error."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_CREDENTIAL = re.compile(
    r"auth|api[-_]?key|access[-_]?key|subscription[-_]?key|token|secret|passw|credential|cookie|session|signature|^sig$|^key$",
    re.IGNORECASE,
)

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


def sets_session_cookie(set_cookie_headers: Iterable[str]) -> bool:
    """Whether any Set-Cookie header sets more than an infrastructure cookie."""
    return any(header.partition("=")[0].strip() not in INFRASTRUCTURE_COOKIES for header in set_cookie_headers)


def without_credentials(url: str) -> str:
    """The URL with its user info dropped and credential-like query values redacted."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(is_credential(name) for name, _ in pairs):
        query = urlencode([(name, REDACTED if is_credential(name) else value) for name, value in pairs])
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def credential_parts(url: str) -> list[str]:
    """What `without_credentials` takes out of the URL: user info and credential-like query values, in order."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    values = [value for name, value in parse_qsl(parts.query, keep_blank_values=True) if is_credential(name)]
    return [userinfo, *values] if userinfo else values
