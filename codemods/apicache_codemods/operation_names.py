"""The name of the operation that the calls of an endpoint would become: a valid identifier, distinct within a scan."""

import keyword
import re
from collections.abc import Iterable, Mapping

from apicache_codemods.endpoints import means_something

_VERSION = re.compile(r"(?:v\d+(?:\.\d+)*(?:beta|alpha)?\d*|api)", re.IGNORECASE)
_VERBS = {"POST": "post", "GET": "get", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}
_COMMON = {"www", "api", "com", "org", "net", "io", "ai", "co", "dev", "app"}
_LAST = 2


def suggested(endpoint: str) -> str | None:
    """A name from the method and the last static parts of the path: `GET x/v1/users/{}` is `get_users_by_id`."""
    if not means_something(endpoint):
        return None
    method, _, place = endpoint.partition(" ")
    host, _, path = place.partition("/")
    segments = [segment for segment in path.split("/") if segment and not _VERSION.fullmatch(segment)]
    static = [_words(segment.replace("{}", "_")) for segment in segments]
    static = [words for words in static if words]
    name = "_".join(static[-_LAST:]) or _host_words(host)
    if static and segments[-1] == "{}":
        name = f"{name}_by_id"
    return _identifier(f"{_VERBS.get(method, method.lower())}_{name}") if name else None


def distinct(ranked: Iterable[tuple[str, str | None]]) -> Mapping[str, str | None]:
    """Endpoint -> name, no name twice: of endpoints with one name the first keeps it, others get their host in front.

    `ranked` gives endpoints with the name each asks for, the most called first.
    """
    names: dict[str, str | None] = {}
    taken: set[str] = set()
    for endpoint, name in ranked:
        chosen = name
        if name is not None and name in taken:
            host = _host_words(endpoint.partition(" ")[2].partition("/")[0])
            stem = _identifier(f"{host}_{name}") if host else name
            number = 2
            chosen = stem
            while chosen in taken:
                chosen, number = f"{stem}_{number}", number + 1
        names[endpoint] = chosen
        if chosen is not None:
            taken.add(chosen)
    return names


def _host_words(host: str) -> str:
    parts = [part for part in host.partition(":")[0].split(".") if part not in _COMMON]
    return "_".join(words for words in map(_words, parts) if words)


def _words(segment: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", segment)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _identifier(name: str) -> str:
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return f"call_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
