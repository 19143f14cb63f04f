"""Leases: across processes, one of those that miss a key loads it; the others wait for its entry.

A lease lasts a few seconds and is extended while its load runs, so it outlives no crashed owner by more than that.
"""

import os
import threading
from typing import TYPE_CHECKING, Final

from apicache import forks
from apicache.stack import TierStack

if TYPE_CHECKING:
    from apicache.tier import SharedTier

LEASE_SECONDS: Final = 3.0
POLL_SECONDS: Final = 0.05
"""How often a process that waits for another's load looks for its entry."""


class Leases:
    """The leases that this process holds, in the nearest shared tier."""

    def __init__(self, stack: TierStack) -> None:
        self._stack = stack
        self._renew()
        forks.on_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[bytes, tuple[SharedTier, str]] = {}
        self._thread: threading.Thread | None = None

    def claim(self, key: bytes) -> str | None:
        """The owner's name when the lease is ours, or when there is no tier to hold it; None: another process loads."""
        for tier in self._stack.shared:
            if self._stack.breakers[tier.name].state != "closed":
                continue  # its probe is a read or a write, which no caller waits for without end
            owner = os.urandom(8).hex()
            claimed = self._stack.guarded(tier, lambda tier=tier, owner=owner: tier.claim(key, owner, LEASE_SECONDS))  # type: ignore[misc]
            if claimed:
                with self._lock:
                    self._held[key] = (tier, owner)
                    self._begin()
                return owner
            if claimed is False:
                return None
        return ""

    def ends(self, key: bytes) -> str | None:
        """No longer extend the lease of a key; its owner's name, for the write that releases it."""
        with self._lock:
            held = self._held.pop(key, None)
        return None if held is None else held[1]

    def release(self, key: bytes) -> None:
        """Give a lease back without an entry."""
        with self._lock:
            held = self._held.pop(key, None)
        if held is not None:
            tier, owner = held
            self._stack.guarded(tier, lambda: tier.release(key, owner))

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._extend, name="apicache-leases", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads for now: the next lease tries again, this one is not extended
                self._thread = None

    def _extend(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(LEASE_SECONDS / 3)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
                held = list(self._held.items())
            for key, (tier, owner) in held:
                with self._lock:
                    if self._held.get(key) != (tier, owner):  # given back while others were extended
                        continue
                self._stack.guarded(tier, lambda key=key, tier=tier, owner=owner: tier.claim(key, owner, LEASE_SECONDS))  # type: ignore[misc]
