"""Endpoints: `METHOD host/path` with dynamic parts `{}`, from what is known of a call's method and URL.

Normalising follows RFC 3986, section 6.2.2 and 6.2.3, as far as it never changes which request is meant: scheme, user
info, default port, query and fragment are dropped, the host is in lower case, a trailing slash stays.
"""

import re

import msgspec

from apicache_codemods.model import Kind
from apicache_codemods.sql import statement_of
from apicache_codemods.values import Text, Unknown, exact, join, literal, united_texts

_HOLE = "\ue000"  # a private-use character stands for a dynamic part while the URL is taken apart
_SCHEME = re.compile(rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.{_HOLE}-]*)|[\ue000-\ue01f]):/{{2}}|//")
_FIELD = re.compile(r"\{[^{}/]*\}")
_SETTING = re.compile(r"\{\w+\}")
_MOST_NAMES = 0x1F
_HOLES = "[\ue000-\ue01f]"
_STARTS_WITH_HOLE = re.compile(f"{_HOLES}+")
_PATH_AFTER_HOLE = re.compile(rf"{_HOLES}+[\w-]+")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_STATIC_PATH = re.compile(r"[^/{}]")


def base_joined(base: Text | None, url: Text) -> Text:
    """A URL below a client's base URL: an absolute one stays, a relative one is appended, as httpx merges them."""
    if base is None:
        return url
    if base.others or url.others:
        return united_texts([base_joined(below, option) for option in url.options for below in base.options])
    if _SCHEME.match(_render(url)):
        return url
    stripped = strip(base, "/", left=False)
    path = strip(url, "/", right=False)
    return join(stripped, literal("/"), path)


def base_resolved(base: Text | None, url: Text) -> Text:
    """A relative URL resolved against a client's base URL, as aiohttp does it: `/users` replaces the base's path."""
    if base is not None and (base.others or url.others):
        return united_texts([base_resolved(below, option) for option in url.options for below in base.options])
    rooted = url.parts and isinstance(url.parts[0], str) and url.parts[0].startswith("/")
    if base is None or not rooted:
        return base_joined(base, url)
    rendered = _render(base)
    scheme = _SCHEME.match(rendered)
    path = rendered.find("/", scheme.end()) if scheme else -1
    return base_joined(base if path < 0 else _first(base, path), url)


def _first(text: Text, count: int) -> Text:
    """The first characters of a text; a hole counts as one."""
    parts: list[str | Unknown] = []
    for part in text.parts:
        if count <= 0:
            break
        parts.append(part[:count] if isinstance(part, str) else part)
        count -= len(part) if isinstance(part, str) else 1
    return Text(tuple(parts))


def with_scheme(base: Text) -> Text:
    """A base URL that begins with a host alone, `localhost:11434`, as one that names it for certain."""
    first = base.parts[0] if base.parts else ""
    bare = isinstance(first, str) and first and not first.startswith("/") and not _SCHEME.match(_render(base))
    return join(literal("//"), base) if bare else base


def strip(text: Text, characters: str | None, *, left: bool = True, right: bool = True) -> Text:
    """A text without some characters at its ends, as `str.strip` does it; holes stay."""
    if text.others:
        return united_texts([strip(option, characters, left=left, right=right) for option in text.options])
    parts = list(text.parts)
    if left and parts and isinstance(parts[0], str):
        parts[0] = parts[0].lstrip(characters)
    if right and parts and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip(characters)
    return Text(tuple(part for part in parts if part != ""))


class Target(msgspec.Struct, frozen=True):
    """What a call reaches, as reports say it; `sql` is the normalised statement of a database's call."""

    endpoint: str | None
    method: str | None
    sql: str | None = None
    others: tuple[str, ...] = ()
    """Further endpoints, when the URL is conditional."""


def target_of(method: Text, url: Text, kind: Kind) -> Target:
    """The target of a call; a database's is its statement, `method` a word in front of it."""
    if kind != "db":
        endpoint, *others = _endpoints(method, url) or [None]
        return Target(endpoint, method_of(method), others=tuple(each for each in others if each is not None))
    command = method_of(method)
    written = statement_of(_render(url).replace(_HOLE, "{}"), command or "")
    return Target(None, command) if written is None else Target(written.text, written.verb, written.text)


def endpoint_of(method: Text, url: Text) -> str | None:
    """The endpoint of a call; None when nothing of its URL is known. An unknown method is `{}`."""
    place = place_of(url)
    return f"{method_of(method) or '{}'} {place}" if place else None


def _endpoints(method: Text, url: Text) -> list[str | None]:
    """The endpoints of a conditional URL, each once; those of an unknown host are left out beside known ones."""
    options = (url, *url.options[1:])
    found = list(dict.fromkeys(each for option in options if (each := endpoint_of(method, option)) is not None))
    known = [each for each in found if not each.partition(" ")[2].startswith("{}")]
    return [*(known or found)]


def method_of(method: Text) -> str | None:
    """The HTTP method in capitals; None when it is not known."""
    known = exact(method)
    return known.strip().upper() or None if known is not None else None


def place_of(url: Text) -> str | None:
    """`host/path` of a URL; the host is `{}` when unknown. None when neither holds a known character."""
    names: dict[str, str] = {}
    text = _FIELD.sub(_HOLE, _render(url, names).strip())
    scheme = _SCHEME.match(text)
    rest = re.split(r"[?#]", text[scheme.end() :] if scheme else text, maxsplit=1)[0]
    if scheme:
        host, slash, path = rest.partition("/")
        host = _host(host, (scheme["scheme"] or "").lower())
    elif _STARTS_WITH_HOLE.match(rest):
        host, slash, path = rest.partition("/")
        if _PATH_AFTER_HOLE.fullmatch(host):  # f"{base}users": the base ends with a slash
            after = _STARTS_WITH_HOLE.sub("", host)
            host, slash, path = host.removesuffix(after), "/", f"{after}{slash}{path}"
    else:
        host, slash, path = _HOLE, "/", rest.removeprefix("/")
    place = re.sub(f"{_HOLE}+", "{}", f"{host}{slash}{path}")
    known = place.replace("{}", "").strip("/.:")
    return place.translate({ord(mark): f"{{{name}}}" for mark, name in names.items()}) if known else None


def _host(host: str, scheme: str) -> str:
    host = host.rpartition("@")[2].lower()
    ports = [_DEFAULT_PORT[scheme]] if scheme in _DEFAULT_PORT else list(_DEFAULT_PORT.values())
    for port in ports:
        host = host.removesuffix(port)
    return host or _HOLE


def _render(text: Text, names: dict[str, str] | None = None) -> str:
    """A text with a private-use character for each hole; those of settings get their own, noted in `names`."""
    written = []
    for part in text.parts:
        if isinstance(part, str):
            written.append(part)
        elif part.name is None or names is None or len(names) >= _MOST_NAMES:
            written.append(_HOLE)
        else:
            known = next((mark for mark, name in names.items() if name == part.name), None)
            mark = known or chr(ord(_HOLE) + 1 + len(names))
            names[mark] = part.name
            written.append(mark)
    return "".join(written)


def means_something(endpoint: str) -> bool:
    """Whether two sites of this endpoint are duplicates rather than coincidence.

    The method has to be known, and at least part of one segment of the path; a host alone will do when nothing follows,
    not even a dynamic part that may hold a path.
    """
    method, _, place = endpoint.partition(" ")
    host, _, path = place.partition("/")
    if method == "{}":
        return False
    return bool(_STATIC_PATH.search(_SETTING.sub("", path))) if path else not host.endswith("{}")
