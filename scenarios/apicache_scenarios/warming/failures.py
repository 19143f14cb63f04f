"""What a failed call's error says: its class, whether another attempt is worth it, and when."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from apicache.chain.errors import retry_after as seconds_to_wait

_TOO_MANY: Final = frozenset({429, 529})
_TRANSIENT: Final = frozenset({408, 409, 425, 500, 502, 503, 504}) | _TOO_MANY
_TRANSIENT_NAMES: Final = ("timeout", "connect", "network", "protocol", "disconnected", "readerror")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed call: `kind` is its class (`HTTP 429`, `ConnectError`), times are in seconds."""

    kind: str
    is_too_many: bool = False
    may_pass: bool = False
    retry_after: float | None = None


def failure_of(error: BaseException) -> Failure:
    """What an error of any client library, or of the built-in operations, says."""
    chain = list(_causes(error))
    status = next((status for each in chain if (status := _status(each)) is not None), None)
    if status is not None:
        return Failure(
            kind=f"HTTP {status}",
            is_too_many=status in _TOO_MANY,
            may_pass=status in _TRANSIENT,
            retry_after=next((after for each in chain if (after := _retry_after(each)) is not None), None),
        )
    innermost = type(chain[-1]).__name__
    names = " ".join(type(each).__name__.lower() for each in chain)
    is_transient = isinstance(error, TimeoutError | ConnectionError) or any(word in names for word in _TRANSIENT_NAMES)
    return Failure(kind=innermost, may_pass=is_transient)


def failure_of_answer(answer: Any, refusal: str) -> Failure:
    """What an answer says that was not stored: a response with an error status, or something else, by its refusal."""
    status = _status(answer)
    if status is None or status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return Failure(kind=refusal)
    return Failure(
        kind=f"HTTP {status}",
        is_too_many=status in _TOO_MANY,
        may_pass=status in _TRANSIENT,
        retry_after=_retry_after(answer),
    )


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__
    return found


def _status(error: Any) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:  # noqa: PLR2004 - HTTP's
                return value
    return None


def _retry_after(error: Any) -> float | None:
    given = getattr(error, "retry_after", None)
    if isinstance(given, int | float):
        return float(given)
    headers: Any = getattr(getattr(error, "response", error), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    return seconds_to_wait({str(name).lower(): str(value) for name, value in headers.items()})
