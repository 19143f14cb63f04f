"""Usage events: what the engine tells the usage log of each call. Light to import: the log itself is `usage_log`."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from apicache.tagged import canonical

Kind = Literal["hit", "stale", "miss", "coalesced", "stored", "refreshed", "error", "revalidated"]

FILE_NAME: Final = "usage.db"
"""The log's file in the cache directory."""

DIGEST_BYTES: Final = 8
"""Of a parameter's sha256: enough to tell the values of one parameter apart."""

_WHOLE: Final = "(parameters)"
"""The name for parameters that are no mapping."""

_NAMES_MAX: Final = 64
_NAME_LENGTH: Final = 100


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened to one call."""

    at: float
    """Seconds since the epoch."""
    kind: Kind
    operation: str
    key: bytes
    age: float = 0.0
    """Seconds since the entry was created; 0 for misses."""
    ttl: float = 0.0
    """Seconds that the entry is fresh for; 0 where it is not known."""
    seconds: float = 0.0
    """How long the load took, for misses and refreshes; the time saved, for calls that were answered without one."""
    cost: float = 0.0
    """US dollars spent, for misses and refreshes; saved, for calls that were answered without a load."""
    material: bytes | None = None
    """The canonical bytes of the parameters (`tagged.canonical`), on `stored` alone; digests of them are kept."""
    recorded: dict[str, Any] | None = None
    """The parameters themselves, for operations with `record=True`."""
    scope: bytes | None = None
    """`digest_of_scope` of the call's."""
    size: int | None = None
    """Bytes of the entry's payload, where the teller had it at hand."""
    is_asked: bool = True
    """Whether a caller waited: nobody asked for what is warmed."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys' rows are meant: the union of what is named."""

    keys: Sequence[bytes] = ()
    scopes: Sequence[bytes] = ()
    """As `digest_of_scope` makes them."""
    operations: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    """Of operations' names."""
    everything: bool = False
    """Every key, and the counters by hour, which tell of no one call and go with everything alone."""


def digest_of_scope(scope: object) -> bytes | None:
    """The digest under which the log knows a scope (a tenant, a user); None for no scope.

    Raises UnencodableError for a scope that has no content to compare.
    """
    return None if scope is None else hashlib.sha256(canonical(scope)).digest()


def digests_of(material: bytes | None) -> dict[str, bytes]:
    """Eight bytes of digest for each parameter by its name; empty for bytes that are no canonical encoding."""
    if material is None:
        return {}
    try:
        named = _mapping.decode(material)
    except msgspec.ValidationError:  # a list, or a mapping whose keys are not all text
        return {_WHOLE: _digest(material)}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {name[:_NAME_LENGTH]: _digest(value) for name, value in list(named.items())[:_NAMES_MAX]}


def _digest(encoded: bytes | msgspec.Raw) -> bytes:
    return hashlib.sha256(encoded).digest()[:DIGEST_BYTES]


_mapping = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
