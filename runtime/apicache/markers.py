"""Invalidation markers: what was invalidated, and when.

An entry whose load began at or before a marker is subject to it.

Tags as timestamps that are checked on read: invalidating a tag is one small write however many entries have it, and a
value that was being loaded when the marker was set is subject to it too, in every process.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from apicache import forks
from apicache.entry import NEVER

Scope = Literal["all", "operation", "prefix", "tag", "key"]

TICK: Final = 1e-6
"""Seconds between two moments that must differ though the clock shows one."""
MARKERS_MAX: Final = 10_000
"""Past this many, the older half is folded into one marker for everything: more is invalidated, never less."""


class Marker(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One invalidation: `gone_at` is hard (`invalidate`), `stale_at` soft (`expire`); seconds since the epoch."""

    scope: Scope
    value: str
    """The operation, prefix, tag, or key in hexadecimal digits; empty for `all`."""
    gone_at: float = NEVER
    stale_at: float = NEVER

    @property
    def at(self) -> float:
        """When it was last set."""
        return max(self.gone_at, self.stale_at)

    def joined(self, other: "Marker | None") -> "Marker":
        """The later of both, hard and soft each: joining is commutative, so processes converge in any order."""
        if other is None:
            return self
        return Marker(self.scope, self.value, max(self.gone_at, other.gone_at), max(self.stale_at, other.stale_at))


Moments = tuple[float, float]
"""The latest hard and soft invalidation."""
_NONE: Final[Moments] = (NEVER, NEVER)


class MarkerTable:
    """The markers that a process knows."""

    def __init__(self) -> None:
        self._markers: dict[tuple[Scope, str], Marker] = {}
        self._operations: dict[str, Moments] = {}
        self.latest = NEVER
        """The latest moment of any marker."""
        self._renew()
        forks.on_fork(self._renew)

    def _renew(self) -> None:
        self._adding = threading.Lock()

    def __len__(self) -> int:
        return len(self._markers)

    def all(self) -> Sequence[Marker]:
        """Every marker."""
        return list(self._markers.values())

    def take(self) -> Sequence[Marker]:
        """Every marker; none is left."""
        with self._adding:
            taken = list(self._markers.values())
            self._markers, self._operations, self.latest = {}, {}, NEVER
        return taken

    def add(self, markers: Iterable[Marker]) -> bool:
        """Take markers in; whether any told something new."""
        changed = False
        # Without the lock, two threads that join the same place could both start from what is known, and the later go.
        with self._adding:
            for marker in markers:
                place = (marker.scope, marker.value)
                known = self._markers.get(place)
                joined = marker.joined(known)
                if joined != known:
                    self._markers[place] = joined
                    self.latest = max(self.latest, joined.at)
                    changed = True
            if changed:
                if len(self._markers) > MARKERS_MAX:
                    self._fold()
                self._operations = {}
        return changed

    def _fold(self) -> None:
        ordered = sorted(self._markers.values(), key=lambda marker: marker.at)
        older, newer = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
        folded = Marker("all", "", max(marker.gone_at for marker in older), max(marker.stale_at for marker in older))
        self._markers = {(marker.scope, marker.value): marker for marker in newer}
        self._markers["all", ""] = folded.joined(self._markers.get(("all", "")))

    def of_operation(self, operation: str) -> Moments:
        """The latest invalidations of everything, of the operation, and of prefixes of its name."""
        known = self._operations  # this very one: what `add` puts in its place must not be given older moments
        moments = known.get(operation)
        if moments is None:
            concerned = [
                marker
                for marker in list(self._markers.values())
                if marker.scope == "all"
                or (marker.scope == "operation" and marker.value == operation)
                or (marker.scope == "prefix" and operation.startswith(marker.value))
            ]
            moments = known[operation] = _latest(concerned)
        return moments

    def concerning(self, operation: str, tags: Iterable[str], key: bytes) -> Moments:
        """The latest invalidations of an entry."""
        if not self._markers:
            return _NONE
        gone_at, stale_at = self.of_operation(operation)
        places: list[tuple[Scope, str]] = [("key", key.hex()), *(("tag", tag) for tag in tags)]
        for place in places:
            marker = self._markers.get(place)
            if marker is not None:
                gone_at, stale_at = max(gone_at, marker.gone_at), max(stale_at, marker.stale_at)
        return gone_at, stale_at


def _latest(markers: Iterable[Marker]) -> Moments:
    gone_at = stale_at = NEVER
    for marker in markers:
        gone_at, stale_at = max(gone_at, marker.gone_at), max(stale_at, marker.stale_at)
    return gone_at, stale_at
