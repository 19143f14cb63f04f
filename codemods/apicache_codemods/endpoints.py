"""Endpoints: `METHOD host/path` with dynamic parts `{}`, from what is known of a call's method and URL.

Normalising follows RFC 3986, section 6.2.2 and 6.2.3, as far as it never changes which request is meant: scheme, user
info, default port, query and fragment are dropped, the host is in lower case, a trailing slash stays.
"""

import re

from apicache_codemods.values import Text, exact, join, literal

_HOLE = "\ue000"  # a private-use character stands for a dynamic part while the URL is taken apart
_SCHEME = re.compile(rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.{_HOLE}-]*)|{_HOLE}):/{{2}}|//")
_FIELD = re.compile(r"\{[^{}/]*\}")
_PATH_AFTER_HOLE = re.compile(rf"{_HOLE}+[\w-]+")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_STATIC_PATH = re.compile(r"[^/{}]")


def base_joined(base: Text | None, url: Text) -> Text:
    """A URL below a client's base URL: an absolute one stays, a relative one is appended, as httpx merges them."""
    if base is None or _SCHEME.match(_render(url)):
        return url
    stripped = strip(base, "/", left=False)
    path = strip(url, "/", right=False)
    return join(stripped, literal("/"), path)


def strip(text: Text, characters: str | None, *, left: bool = True, right: bool = True) -> Text:
    """A text without some characters at its ends, as `str.strip` does it; holes stay."""
    parts = list(text.parts)
    if left and parts and isinstance(parts[0], str):
        parts[0] = parts[0].lstrip(characters)
    if right and parts and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip(characters)
    return Text(tuple(part for part in parts if part != ""))


def endpoint_of(method: Text, url: Text) -> str | None:
    """The endpoint of a call; None when nothing of its URL is known. An unknown method is `{}`."""
    place = place_of(url)
    return f"{method_of(method) or '{}'} {place}" if place else None


def method_of(method: Text) -> str | None:
    """The HTTP method in capitals; None when it is not known."""
    known = exact(method)
    return known.strip().upper() or None if known is not None else None


def place_of(url: Text) -> str | None:
    """`host/path` of a URL; the host is `{}` when unknown. None when neither holds a known character."""
    text = _FIELD.sub(_HOLE, _render(url).strip())
    scheme = _SCHEME.match(text)
    rest = re.split(r"[?#]", text[scheme.end() :] if scheme else text, maxsplit=1)[0]
    if scheme:
        host, slash, path = rest.partition("/")
        host = _host(host, (scheme["scheme"] or "").lower())
    elif rest.startswith(_HOLE):
        host, slash, path = rest.partition("/")
        if _PATH_AFTER_HOLE.fullmatch(host):  # f"{base}users": the base ends with a slash
            host, slash, path = _HOLE, "/", f"{host.lstrip(_HOLE)}{slash}{path}"
    else:
        host, slash, path = _HOLE, "/", rest.removeprefix("/")
    place = re.sub(f"{_HOLE}+", "{}", f"{host}{slash}{path}")
    known = place.replace("{}", "").strip("/.:")
    return place if known else None


def _host(host: str, scheme: str) -> str:
    host = host.rpartition("@")[2].lower()
    ports = [_DEFAULT_PORT[scheme]] if scheme in _DEFAULT_PORT else list(_DEFAULT_PORT.values())
    for port in ports:
        host = host.removesuffix(port)
    return host or _HOLE


def _render(text: Text) -> str:
    return "".join(part if isinstance(part, str) else _HOLE for part in text.parts)


def means_something(endpoint: str) -> bool:
    """Whether two sites of this endpoint are duplicates rather than coincidence.

    The method has to be known, and at least part of one segment of the path; a host alone will do when nothing follows,
    not even a dynamic part that may hold a path.
    """
    method, _, place = endpoint.partition(" ")
    host, _, path = place.partition("/")
    if method == "{}":
        return False
    return bool(_STATIC_PATH.search(path)) if path else not host.endswith("{}")
