"""What a tier is: one store of entries.

A tier is a module in `apicache.tiers` named like the tier, with a function `build(place)` that makes one and a struct
`Options` that names its settings and their defaults (`[tool.apicache.tiers.NAME]`, `APICACHE_NAME_OPTION`).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from apicache.entry import Entry
from apicache.markers import Marker

if TYPE_CHECKING:
    from pathlib import Path  # not at run time: 6 ms, and only tiers that write files need it

    from apicache.envelope import Sealer


def _plain_sealer() -> "Sealer":
    """Its module, with `zlib`, is imported for the first place: 1 ms that loading apicache does not cost."""
    from apicache.envelope import PlainSealer  # noqa: PLC0415

    return PlainSealer()


class TierPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier is built from."""

    directory: "Path"
    """Where a tier that writes files puts them."""
    options: Mapping[str, Any] = {}
    """Its own settings, by the field names of its `Options`."""
    sealer: "Sealer" = msgspec.field(default_factory=_plain_sealer)
    """How entries and their names look outside the process."""
    timeout: float = 0.25
    """Seconds within which each of its operations has to end, by success or failure."""


class TierSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier holds."""

    entries: int
    bytes: int
    max_bytes: int | None = None
    max_entries: int | None = None
    evictions: int | None = None
    """Entries that this process saw give way to others; None where the store does not tell."""
    location: str = ""
    """Where it lies: a folder, or a URL without credentials."""


class Tier(Protocol):
    """One store of entries. It may raise anything: the stack turns a failure into a miss.

    Keys are sha256 digests, 32 bytes. A tier need not look at an entry's times, beyond using `expires` to clean up.
    """

    name: ClassVar[str]
    blocking: ClassVar[bool]
    """True when it does I/O: async callers then reach it from a worker thread."""

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        """The entries there are, fresh or not, in one round trip."""

    def set_many(self, entries: Mapping[bytes, Entry], now: float, /) -> None:
        """Store entries at time `now`, in one round trip; an entry is dropped by its `expires` at the latest."""

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        """Forget entries."""

    def clear(self) -> None:
        """Forget all entries."""

    def size(self) -> TierSize:
        """How much there is; may be slow."""

    def close(self) -> None:
        """Release what is held open; a later use opens it again."""


@runtime_checkable
class SharedTier(Tier, Protocol):
    """A tier that several processes use: they also share leases and invalidation markers through it."""

    self_bounded: ClassVar[bool]
    """True when each operation ends by itself within `TierPlace.timeout`."""

    def claim(self, key: bytes, owner: str, seconds: float, /) -> bool:
        """Take, or extend, the lease on loading a key; False while another owner has it. It ends after `seconds`."""

    def release(self, key: bytes, owner: str, /) -> None:
        """Give the lease back; nothing happens when another owner has it by now."""

    def publish(self, markers: Sequence[Marker], /) -> None:
        """Store markers, joined with what is there, and tell the other processes."""

    def markers(self) -> Sequence[Marker]:
        """Every marker that is stored."""

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        """Hand over markers as other processes publish them, until `stopped` is set.

        Runs in a thread of its own. First hands over all that is stored (after it has begun to listen, so that nothing
        is missed in between). Raises when the store is lost: the caller starts it again.
        """

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Every readable entry with its key; may be slow."""
