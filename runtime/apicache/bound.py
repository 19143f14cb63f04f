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
from apicache.operations import Operation
from apicache.packed import HEADER, INLINE
from apicache.packed import meta as meta_of
from apicache.planning import IMMUTABLE, Plan, hasher_for, plan_operation
from apicache.policy import Policy
from apicache.records import RecordTypes
from apicache.tagged import canonical

if TYPE_CHECKING:
    from apicache.identity import Hasher

_unpack: Final = HEADER.unpack_from
_HEADER_LENGTH: Final = HEADER.size
_decode: Final = RecordTypes.EMPTY.decode
_are_immutable: Final = IMMUTABLE.issuperset


class BoundOperation:
    """One operation's calls through one cache under one policy."""

    __slots__ = (
        "_counts", "_hasher", "_hit", "_hooks", "_is_alone", "_known", "_label", "_markers", "_max_age", "_monotonic",
        "_names", "_near", "_now", "_peek", "_scope_is_fixed", "_usage", "engine", "operation", "policy", "types",
        "version",
    )  # fmt: skip

    def __init__(self, engine: Engine, operation: Operation, policy: Policy) -> None:
        self.engine = engine
        self.operation = operation
        self.policy = policy
        self.types = RecordTypes.declared(operation.function, engine.setup.allow_modules)
        self._label = operation.name
        self._names = operation.names
        self._known = (INLINE, 0.0)
        """The meta's number and the cost of the last plain value: most of an operation's entries have the same."""
        self._now, self._monotonic = engine.clock.now, engine.clock.monotonic
        self._hooks = engine.hooks
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
        if self._is_always_cached() and self._scope_is_fixed:
            with contextlib.suppress(UnidentifiableError):  # the engine says so
                self._hasher = hasher_for(self._label, policy, None)
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
            and self.types is RecordTypes.EMPTY
            and bool(self.engine.tiers.near)
            and (policy.tiers is None or self.engine.tiers.near[0].name in policy.tiers)
        )

    def _take_short_way(self) -> None:
        stack = self.engine.tiers
        self._near, self._markers, self._usage = stack.near[0].name, stack.markers, self.engine.usage
        self._peek = getattr(stack.near[0], "peek", None)
        self._is_alone = len(stack.near) == 1

    def answer(self, given: Mapping[str, Any]) -> Any:
        """The answer from memory, a fresh copy; or the call's Plan when there is none.

        Raises TypeError for parameters that the operation does not take.
        """
        full = given if given.keys() == self._names else self.operation.parameters(given)
        if self._hasher is None:
            return self._plan(given, full)
        try:
            material = canonical(full)
        except UnencodableError:  # the engine says so
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
        plan = self._plan(given, full)
        plan.key, plan.material = key, material
        plan.is_fixed = self._scope_is_fixed and _are_immutable(map(type, full.values()))
        plan.is_missing = packed is None and self._is_alone and self._peek is not None
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
