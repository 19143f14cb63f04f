"""The forms of a Redis URL, taken apart without a word about its credentials in any error."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from apicache.errors import InputError

Kind = Literal["server", "cluster", "sentinel", "socket"]

FORMS: Final = """\
  redis://[[user]:password@]host[:port][/database]     rediss://... for TLS
  unix:///path/to/socket[?db=0&username=...&password=...]
  redis+cluster://[[user]:password@]host[:port][,host[:port]...]     rediss+cluster://...
  redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/service[/database]     rediss+sentinel://...
In a user name or password, characters such as @ : / ? # are percent-encoded (%40 for @)."""

_KINDS: Final[Mapping[str, Kind]] = {
    "redis": "server",
    "rediss": "server",
    "unix": "socket",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}
_PORTS: Final[Mapping[Kind, int]] = {"server": 6379, "cluster": 6379, "sentinel": 26379}
_HARMLESS: Final = re.compile(
    r"([a-z+]+://)?[a-z0-9.-]+(:\d{1,5})?(,[a-z0-9.-]+(:\d{1,5})?)*(/[a-z0-9_.-]*)*", re.IGNORECASE
)
_CERTIFICATE_CHECKS: Final = ("required", "optional", "none")


class _Unusable(ValueError):  # noqa: N818 - it never leaves this file
    """Why a URL cannot be used, in words that hold nothing of its credentials."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)  # a repr would show the password
class RedisTarget:
    """Where a Redis URL leads."""

    kind: Kind
    hosts: Sequence[tuple[str, int]]
    """Servers, cluster nodes or sentinels with their ports; none for a socket."""
    path: str
    """The socket's path, or the service's name at the sentinels."""
    database: int
    location: str
    """The URL without credentials."""
    credentials: Mapping[str, str]
    """`username` and `password`, those that were given."""
    tls: Mapping[str, Any]
    """What the client's `ssl...` arguments are; empty without TLS."""


def parse(url: str, *, service: str | None = None, ca_certs: str | None = None) -> RedisTarget:
    """A URL taken apart; `service` is for a sentinel URL that names none. Its InputError never shows a password."""
    try:
        return _parse(url, service, ca_certs)
    except _Unusable as error:
        reason = str(error)
    except ValueError:
        # urllib quotes what it cannot read, which may be a piece of the password.
        reason = "a host, port or number in it cannot be read"
    raise InputError(f"the Redis URL {_shown(url)} cannot be used: {reason}; the forms are\n{FORMS}")


def _shown(url: str) -> str:
    """An unusable URL: whole if it is no more than hosts and names, else its scheme: the rest may hold a password."""
    if _HARMLESS.fullmatch(url):
        return repr(url)
    scheme = url.partition("://")[0]
    return repr(f"{scheme}://..." if scheme in _KINDS else "...")


def _parse(url: str, service: str | None, ca_certs: str | None) -> RedisTarget:
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        raise _Unusable("its scheme is not known")
    if parts.fragment:
        raise _Unusable("it has a '#'")
    secure = parts.scheme.startswith("rediss")
    if ca_certs is not None and not secure:
        raise _Unusable("ca_certs is for TLS, which rediss:// asks for")
    query = _query(parts, kind, secure=secure)
    user, _, listed = parts.netloc.rpartition("@")
    hosts = [] if kind == "socket" else [_host(each, _PORTS[kind]) for each in listed.split(",")]
    if kind == "server" and len(hosts) > 1:
        raise _Unusable("one host is enough, but for cluster and sentinel URLs")
    path, database = _place(parts.path, kind, query, service)
    return RedisTarget(
        kind=kind,
        hosts=hosts,
        path=path,
        database=database,
        location=f"{parts.scheme}://{listed if kind != 'socket' else ''}{_ending(kind, path, database)}",
        credentials=_credentials(user, query),
        tls=_tls(query, ca_certs) if secure else {},
    )


def _query(parts: SplitResult, kind: Kind, *, secure: bool) -> Mapping[str, str]:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = {"db", "username", "password"} if kind == "socket" else {"db"} if kind == "server" else set()
    known |= {"ssl_cert_reqs"} if secure else set()
    if not known.issuperset(query):
        raise _Unusable("after '?' it may have " + (", ".join(sorted(known)) or "nothing"))
    return query


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path:
        raise _Unusable("a host is missing")
    return unquote(parts.hostname), parts.port or port


def _place(path: str, kind: Kind, query: Mapping[str, str], service: str | None) -> tuple[str, int]:
    """The socket's path or the service's name, and the number of the database."""
    if kind == "socket":
        if not path.strip("/"):
            raise _Unusable("the socket's path is missing")
        return unquote(path), _number(query.get("db", ""))
    if kind == "sentinel":
        name, _, number = path.strip("/").partition("/")
        named = unquote(name) or service
        if not named:
            raise _Unusable("the service's name is missing")
        return named, _number(number)
    database = _number(query.get("db") or path.strip("/"))
    if kind == "cluster" and database:
        raise _Unusable("a cluster has the database 0 only")
    return "", database


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise _Unusable("its database is not a number")
    return int(text or 0)


def _ending(kind: Kind, path: str, database: int) -> str:
    if kind == "socket":
        return f"{path}?db={database}"
    if kind == "sentinel":
        return f"/{path}/{database}"
    return f"/{database}"


def _credentials(user: str, query: Mapping[str, str]) -> Mapping[str, str]:
    name, _, password = user.partition(":")
    found = {
        "username": unquote(name) or query.get("username", ""),
        "password": unquote(password) or query.get("password", ""),
    }
    return {field: value for field, value in found.items() if value}


def _tls(query: Mapping[str, str], ca_certs: str | None) -> Mapping[str, Any]:
    checked = query.get("ssl_cert_reqs", "required")
    if checked not in _CERTIFICATE_CHECKS:
        raise _Unusable("ssl_cert_reqs is one of " + ", ".join(_CERTIFICATE_CHECKS))
    return {
        "ssl": True,
        "ssl_cert_reqs": checked,
        "ssl_check_hostname": checked == "required",
        **({} if ca_certs is None else {"ssl_ca_certs": ca_certs}),
    }
