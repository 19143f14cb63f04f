"""Sync operations among many calls of async code: in threads at the same time, where they may be.

Elsewhere they are made in the caller's thread, one after another: what they use may belong to it (a connection, an
event loop, what a `threading.local` holds).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from apicache.far_hits import Missed, Planner
from apicache.planning import Plan


def spread(calls: Iterable[Plan | Missed]) -> tuple[Plan | Missed, ...]:
    """The calls, of which sync ones that may be are made in threads; not batched ones, whose batches are few."""
    return tuple(_in_thread(call) if isinstance(call, Plan) else _planned_so(call) for call in calls)


def _in_thread(plan: Plan) -> Plan:
    plan.in_thread = plan.is_blocking and plan.may_be_spread and not hasattr(plan.load, "run_by")
    return plan


def _planned_so(call: Missed) -> Missed:
    if call.bound.operation.is_async:
        return call
    return msgspec.structs.replace(call, bound=_Spreading(call.bound))


class _Spreading:
    """Plans as another planner does, for threads."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.operation, self.policy, self.types = planner.operation, planner.policy, planner.types

    def planned(self, given: Mapping[str, Any], full: Mapping[str, Any], key: bytes, material: bytes) -> Plan:
        """The plan of a call whose key is known."""
        return _in_thread(self._planner.planned(given, full, key, material))
