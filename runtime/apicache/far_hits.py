"""Hits from the far tiers, the short way: the flow's decisions for a plain and fresh entry, and nothing for a load.

Whatever else is found, and whatever cannot be read, is left to the flow, which counts and reports it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from apicache.core import Core
from apicache.entry import PLAIN_CODEC, Entry
from apicache.hooks import CacheEvent
from apicache.operations import Operation
from apicache.planning import Plan
from apicache.policy import Policy
from apicache.records import RecordTypes
from apicache.stack import Found


class Planner(Protocol):
    """An operation bound to a policy: what its calls' plans are made by."""

    operation: Operation
    policy: Policy
    types: RecordTypes

    def planned(self, given: Mapping[str, Any], full: Mapping[str, Any], key: bytes, material: bytes) -> Plan:
        """The plan of a call whose key is known."""


class FarHits:
    """The short way of one operation's hits under one policy."""

    __slots__ = (
        "_counts", "_decode", "_has_near", "_hit", "_hits", "_hooks", "_label", "_markers", "_max_age",
        "_monotonic", "_names", "_now", "_stack", "_usage",
    )  # fmt: skip

    def __init__(self, core: Core, bound: Planner) -> None:
        policy = bound.policy
        self._label, self._names = bound.operation.name, policy.tiers
        self._decode: Callable[[bytes], Any] = bound.types.decode
        self._max_age = math.inf if callable(policy.ttl) else policy.ttl
        """The caller's own ttl in seconds, to which what the load took is added."""
        self._now, self._monotonic = core.clock.now, core.clock.monotonic
        self._stack, self._markers, self._has_near = core.tiers, core.tiers.markers, bool(core.tiers.near)
        self._hooks, self._usage = core.hooks, core.usage
        self._hit, self._hits = core.statistics.hit, core.statistics.hits
        self._counts = core.statistics.of(self._label)

    def admits(self, key: bytes, found: Found, now: float) -> bool:
        """Whether an entry is a plain value of a tier that the policy uses, and fresh as `decide` says."""
        entry = found.entry
        created = entry.created
        return (
            now < entry.fresh_until
            and (entry.outlives or now < created + (self._max_age + entry.compute_seconds))
            and now < entry.expires
            and entry.codec == PLAIN_CODEC
            # None concerns what is later than all of them.
            and (created > self._markers.latest or created > self._invalidated(key, entry))
            and (self._names is None or found.tier in self._names)
        )

    def _invalidated(self, key: bytes, entry: Entry) -> float:
        """When an invalidation, hard or soft, last concerned an entry."""
        return max(self._markers.concerning(entry.operation, entry.tags, key))

    def hit(self, key: bytes, found: Found) -> tuple[Any] | None:
        """A fresh copy of the value, counted as a hit, the entry in the near tiers; None where the flow has to look."""
        now = self._now()
        if not self.admits(key, found, now):
            return None
        entry = found.entry
        try:
            value = self._decode(entry.payload)
        except Exception:  # noqa: BLE001 - damaged bytes, whatever they raise
            return None
        self._hit(self._counts, found.tier, entry.compute_seconds, entry.cost, self._monotonic())
        if self._hooks or self._usage is not None:
            self._tell(key, found, now)
        if self._has_near:
            self._stack.set_near({key: entry}, now, self._names)
        return (value,)

    def answer(
        self,
        calls: Mapping[int, "Missed"],
        found: Mapping[bytes, Found],
        make: Callable[[Any, str], Any],
        answers: dict[int, Any],
    ) -> None:
        """As `hit`, for this operation's calls by position, counted as one batch.

        The answers are made of a value and the name of the tier that had it.
        """
        now, decode, admits = self._now(), self._decode, self.admits
        tells = bool(self._hooks) or self._usage is not None
        entries: dict[bytes, Entry] = {}
        saved: list[Any] = []
        for position, call in calls.items():
            key = call.key
            there = found.get(key)
            if there is None or not admits(key, there, now):
                continue
            entry, tier = there.entry, there.tier
            try:
                answers[position] = make(decode(entry.payload), tier)
            except Exception:  # noqa: BLE001, S112 - as in `hit`
                continue
            saved += (tier, entry.compute_seconds, entry.cost)
            entries[key] = entry
            if tells:
                self._tell(key, there, now)
        if entries:
            self._hits(self._counts, saved, self._monotonic())
            if self._has_near:
                self._stack.set_near(entries, now, self._names)

    def _tell(self, key: bytes, found: Found, now: float) -> None:
        entry = found.entry
        if self._hooks:
            self._hooks.emit(CacheEvent("hit", self._label, key.hex(), found.tier, entry.compute_seconds))
        if self._usage is not None:
            self._usage.served("hit", self._label, key, entry, now)


class Missed(msgspec.Struct, frozen=True, gc=False):
    """A call that no near tier answers, and that a far tier may: less than its plan, which a hit needs not."""

    bound: Planner
    hits: FarHits
    given: Mapping[str, Any]
    full: Mapping[str, Any]
    key: bytes
    material: bytes

    def plan(self) -> Plan:
        """What loads it."""
        return self.bound.planned(self.given, self.full, self.key, self.material)


def may_hit(core: Core, policy: Policy) -> bool:
    """Whether hits under a policy may go the short way, and its calls look for them before they join a flight."""
    return (
        bool(core.tiers.far)
        and policy.early_refresh == 0
        and policy.returns is None
        and policy.soft_timeout is policy.hard_timeout is None
        and (policy.tiers is None or any(tier.name in policy.tiers for tier in core.tiers.far))
    )
