"""Reading what providers answer: typed JSON, token counts, the events of a stream."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from apicache.chain.errors import broken, parsed, reported_error, status_error
from apicache.provider import ProviderError, Response

T = TypeVar("T")


def answered(provider: str, response: Response, kind: type[T], *, key_variable: str | None = None) -> T:
    """The body as `kind`; raises ProviderError for another status than 2xx, a body that reports an error, any other."""
    if not 200 <= response.status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        raise status_error(provider, response, key_variable=key_variable)
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unreadable(provider, response) from None


def _unreadable(provider: str, response: Response) -> ProviderError:
    document = parsed(response.body)
    if isinstance(document, dict) and document.get("error"):
        return reported_error(provider, document)
    why = "a body that is not JSON, or cut off" if document is None else "JSON of another form"
    return broken(provider, why, response.status)


def event_json(provider: str, data: bytes) -> dict[str, Any]:
    """The object in one event; raises ProviderError for anything else."""
    document = parsed(data)
    if not isinstance(document, dict):
        raise broken(provider, "an event that is no JSON object")
    return document


def part(document: Any, *names: str) -> Mapping[str, Any]:
    """The object that lies there; an empty one where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def text_at(document: Mapping[str, Any], name: str) -> str:
    """The text of that name; empty where there is none."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def count_at(document: Mapping[str, Any], name: str) -> int:
    """The count of that name; 0 where there is none."""
    value = document.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 and value < 2**53 else 0
