"""An operation bound to a cache and a policy: what is the same for all its calls, found once.

Also the short way of a call that is answered from memory: the same decisions as the engine's flow, for the case that
nothing special applies, without building what only a load needs.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from apicache.engine import Engine
from apicache.entry import PLAIN_CODEC
from apicache.errors import UnencodableError, UnidentifiableError
from apicache.far_hits import FarHits, Missed, may_hit
from apicache.near_loads import NearLoads, fits
from apicache.operations import Operation
from apicache.packed import HEADER, INLINE
from apicache.packed import meta as meta_of
from apicache.planning import IMMUTABLE, Plan, hasher_for, plan_operation
from apicache.policy import Policy
from apicache.records import RecordTypes
from apicache.tagged import canonical, canonical_atoms

if TYPE_CHECKING:
    from apicache.identity import Hasher

_unpack: Final = HEADER.unpack_from
_HEADER_LENGTH: Final = HEADER.size
_decode: Final = RecordTypes.EMPTY.decode
_are_immutable: Final = IMMUTABLE.issuperset


class BoundOperation:
    """One operation's calls through one cache under one policy."""

    __slots__ = (
        "_counts", "_far_hits", "_hasher", "_hit", "_hooks", "_is_alone", "_known", "_label", "_markers", "_max_age",
        "_monotonic", "_names", "_near", "_now", "_peek", "_scope_is_fixed", "_usage", "engine", "near_loads",
        "operation", "policy", "types", "version",
    )  # fmt: skip

    def __init__(self, engine: Engine, operation: Operation, policy: Policy) -> None:
        self.engine = engine
        self.operation = operation
        self.policy = policy
        self.types = RecordTypes.of(operation.function, engine.setup.allow_modules)
        self._label = operation.name
        self._names = operation.names
        self._known = (INLINE, 0.0)
        """The meta's number and the cost of the last plain value: most of an operation's entries have the same."""
        self._now, self._monotonic = engine.clock.now, engine.clock.monotonic
        self._hooks = engine.hooks.registrations
        self._hit = engine.statistics.hit
        self._counts = engine.statistics.of(operation.name)
        self._max_age = math.inf if callable(policy.ttl) else policy.ttl
        self.version = -1
        """The operation table's, when the operation was looked up there."""
        self._scope_is_fixed = type(policy.scope) in IMMUTABLE
        self._hasher: Hasher | None = None
        """What has taken in all of the key but the parameters; None where the engine has to find the key."""
        self._peek: Callable[[bytes], bytes | None] | None = None
        """Reads memory; None where the engine has to."""
        self._is_alone = False
        """True when what it does not read, no near tier has."""
        self._far_hits: FarHits | None = None
        """Answers from what the far tiers have; None where the engine has to."""
        self.near_loads: NearLoads | None = None
        """Makes loads in one go; None where the engine has to make them."""
        if self._is_always_cached() and self._scope_is_fixed:
            with contextlib.suppress(UnidentifiableError):  # the engine says so
                self._hasher = hasher_for(self._label, policy, None, policy.scope)
        if self._hasher is not None and self._has_short_way():
            self._take_short_way()

    def _is_always_cached(self) -> bool:
        """Whether no call has another route than the cache."""
        policy, switch = self.policy, self.engine.switch
        return (
            switch.mode == "on"
            and switch.share == 1
            and policy.mode is None
            and not policy.no_store
            and not policy.invalidates
            and policy.key is None
        )

    def _has_short_way(self) -> bool:
        policy = self.policy
        return (
            policy.early_refresh == 0
            and policy.returns is None
            and self.types.is_plain
            and (policy.tiers is None or all(tier.name in policy.tiers for tier in self.engine.tiers.near[:1]))
        )

    def _take_short_way(self) -> None:
        stack = self.engine.tiers
        self._markers, self._usage = stack.markers, self.engine.usage
        if stack.near:
            self._near = stack.near[0].name
            self._peek = getattr(stack.near[0], "peek", None)
        self._is_alone = not stack.near or (len(stack.near) == 1 and self._peek is not None)
        if self._is_alone and may_hit(self.engine, self.policy):
            self._far_hits = FarHits(self.engine, self)
        if fits(self):
            self.near_loads = NearLoads(self)

    def answer(  # noqa: C901, PLR0911 - a function more is a tenth of a hit
        self, given: Mapping[str, Any], loads: "NearLoads | None" = None
    ) -> Any:
        """The answer from memory, a fresh copy; or, when there is none, the call's Plan, or Missed before its Plan.

        With `loads`, the result of the call, and what it raises, where it can be made in one go. Raises TypeError for
        parameters that the operation does not take.
        """
        full = given if given.keys() == self._names else self.operation.parameters(given)
        if self._hasher is None:
            return self._plan(given, full)
        is_immutable = _are_immutable(map(type, full.values()))
        try:
            material = canonical_atoms(full) if is_immutable else canonical(full)
        except (UnencodableError, OverflowError, UnicodeEncodeError):  # the engine says so, or knows another form
            return self._plan(given, full)
        hasher = self._hasher.copy()
        hasher.update(material)
        key = hasher.digest()
        packed = None if self._peek is None else self._peek(key)
        if packed is not None:
            created, fresh_for, _, compute_seconds, number = _unpack(packed)
            now = self._now()
            age = now - created
            if (
                number != INLINE
                and age < fresh_for
                and age < compute_seconds + self._max_age
                and created > self._markers.latest
                and not self._hooks
            ):
                known = self._known
                if known[0] != number:
                    known = self._learn(number)
                if known[0] == number:
                    try:
                        value = _decode(memoryview(packed)[_HEADER_LENGTH:])  # type: ignore[arg-type] # bytes-like: no copy
                    except Exception:  # noqa: BLE001 - damaged: the engine counts and reports it
                        return self._plan(given, full)
                    self._hit(self._counts, self._near, compute_seconds, known[1], self._monotonic())
                    if self._usage is not None:
                        self._usage.note(
                            (now, "hit", self._label, key, age, fresh_for, compute_seconds, known[1], None, None, None)
                        )
                    return value
        elif loads is not None and is_immutable:
            return loads.load(given, full, key, material)
        elif self._far_hits is not None:
            return Missed(self, self._far_hits, given, full, key, material)
        plan = self.planned(given, full, key, material)
        plan.is_missing = packed is None and self._is_alone
        return plan

    def planned(self, given: Mapping[str, Any], full: Mapping[str, Any], key: bytes, material: bytes) -> Plan:
        """The plan of a call whose key is known."""
        plan = self._plan(given, full)
        plan.key, plan.material = key, material
        plan.is_fixed = self._scope_is_fixed and _are_immutable(map(type, full.values()))
        return plan

    def _learn(self, number: int) -> tuple[int, float]:
        """The number and the cost of a meta, remembered for the next hit, if it is a plain value's."""
        meta = meta_of(number)
        if meta.codec == PLAIN_CODEC:
            self._known = known = (number, meta.cost)
            return known
        return self._known

    def plan(self, given: Mapping[str, Any]) -> Plan:
        """The call's plan, whether memory has its answer or not; raises TypeError as `answer` does."""
        return self._plan(given, self.operation.parameters(given))

    def _plan(self, given: Mapping[str, Any], full: Mapping[str, Any]) -> Plan:
        plan = plan_operation(self.operation, given, full, self.policy)
        plan.types = self.types
        return plan
