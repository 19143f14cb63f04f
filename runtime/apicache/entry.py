"""Entries and the one decision about them."""

import enum
import math

import msgspec

PLAIN_CODEC = "value"
"""The codec name of values that are no client library's response."""

NEVER = -math.inf
"""The time of an invalidation that did not happen."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stored value with its metadata; times are seconds since the epoch. Field order is the stored format."""

    operation: str
    codec: str
    payload: bytes
    created: float
    """When its load began: an invalidation at or after that moment applies to it."""
    fresh_until: float
    expires: float
    """When it is forgotten: `fresh_until` and, past that, as long as it may be served stale or revalidated."""
    cost: float = 0.0
    """US dollars that the load cost."""
    compute_seconds: float = 0.0
    """How long the load took."""
    tags: tuple[str, ...] = ()
    validators: tuple[tuple[str, str], ...] = ()
    """What a client library's adapter needs to revalidate it: `(("etag", ...), ("last-modified", ...))`."""
    must_revalidate: bool = False
    """True when the response forbids serving it stale (RFC 9111 section 5.2.2.2)."""
    may_compress: bool = True
    """Whether a tier outside the process may compress it."""
    outlives: bool = False
    """Whether it is fresh for its own ttl whatever the caller's: it was loaded ahead, for longer."""


class Verdict(enum.Enum):
    """What an entry is worth at a moment."""

    FRESH = "fresh"
    EARLY = "early"
    """Fresh, and worth refreshing already (XFetch)."""
    STALE = "stale"
    """Past its ttl: to be served only as its policy allows, or to be revalidated."""
    EXPIRED = "expired"
    """Expired by `expire()`: served only when loading fails or takes too long, within its grace."""
    GONE = "gone"
    """Not to be served at all."""


def decide(
    entry: Entry, now: float, *, gone_at: float = NEVER, stale_at: float = NEVER, max_age: float = math.inf
) -> Verdict:
    """What `entry` is worth at `now`.

    `gone_at` and `stale_at` are the latest hard and soft invalidations that concern it; `max_age` is the caller's own
    ttl in seconds. An entry is no longer fresh at its very `fresh_until`, and gone at its very expiry.
    """
    if entry.created <= gone_at or now >= entry.expires:
        return Verdict.GONE
    if entry.created <= stale_at:
        return Verdict.EXPIRED
    if now >= entry.fresh_until or now >= entry.created + max_age:
        return Verdict.STALE
    return Verdict.FRESH


def is_due_early(entry: Entry, now: float, beta: float, draw: float) -> bool:
    """Whether a fresh entry is to be refreshed before it ends; `draw` is uniform in [0, 1).

    XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): refresh
    when `-compute_seconds * beta * ln(1 - draw)` reaches the ttl that is left.
    """
    return -entry.compute_seconds * beta * math.log1p(-draw) >= entry.fresh_until - now
