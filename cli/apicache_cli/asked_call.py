"""A call of an application's operation as it is written on a command line: its key, without making it."""

import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from apicache.core import Route, route_of, switch_of
from apicache.errors import InputError, did_you_mean
from apicache.modes import Switch
from apicache.operations import Operation
from apicache.planning import Plan
from apicache.policy import Policy
from apicache_scenarios.application import load_application

_UNFIT: Final = object()
_PASSED_BY: Final = {
    Route.OFF: "the cache is off",
    Route.WRITE: "the operation is a write",
    Route.NO_STORE: "its no_store parameters say so",
    Route.UNIDENTIFIED: "it has no key",
    Route.NOT_CHOSEN: "the cache is on for {switch} of the keys, and not for this one",
    Route.OBSERVE: "mode observe serves nothing from the cache",
    Route.SHADOW: "mode shadow serves nothing from the cache",
}


class AskedCall(NamedTuple):
    """What identifies the call."""

    operation: str
    key: bytes
    material: bytes
    """The canonical bytes of the parameters, as the usage log has digests of them."""
    policy: Policy
    passed_by: str | None
    """Why the call goes past the cache whatever is stored; None where it does not."""


def asked_call(app: str | None, directory: Path, name: str, written: Sequence[str]) -> AskedCall:
    """The call of operation `name` with parameters written as `name=value`, of the application that `app` names.

    Raises InputError for an application that cannot be imported, for an unknown operation, and for parameters that
    it does not take.
    """
    cache = load_application(app, directory)
    operations = cache.callable_operations
    operation = operations.get(name)
    if operation is None:
        hint = did_you_mean(name, operations)
        raise InputError(f"unknown operation {name!r}; {hint}")
    parameters = _parameters(operation, written)
    plan = cache.plan_of(operation=name, **parameters)
    if plan.key is None:
        raise InputError(f"operation {name!r} cannot be cached with these parameters: {plan.bypass}")
    policy = msgspec.structs.replace(plan.policy, scope=plan.scope)  # what a function says of it, said of this call
    return AskedCall(name, plan.key, plan.material, policy, _passed_by(plan, Switch.parse(cache.mode)))


def _passed_by(plan: Plan, switch: Switch) -> str | None:
    route = route_of(plan, switch)
    if route is Route.CACHE:
        return None
    if route is Route.NO_STORE and plan.bypass is not None:
        return plan.bypass
    return _PASSED_BY[route].format(switch=switch_of(plan.policy, switch))


def _parameters(operation: Operation, written: Sequence[str]) -> dict[str, Any]:
    hints = _hints(operation)
    parameters: dict[str, Any] = {}
    for position, text in enumerate(written, 1):
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            # What was written may be a secret with its name forgotten: it is not repeated.
            raise InputError(f"parameter {position} is not written as name=value; for example prompt=hello")
        if name in parameters:
            raise InputError(f"parameter {name!r} is given twice")
        parameters[name] = _value(value, hints.get(name, Any))
    return parameters


def _value(text: str, hint: Any) -> Any:
    """The value of a text: JSON, else the text itself; as the annotation has it, where only one of both fits."""
    try:
        candidates = [json.loads(text), text]
    except (ValueError, RecursionError):
        candidates = [text]
    for candidate in candidates:
        converted = _fitting(candidate, hint)
        if converted is not _UNFIT:
            return converted
    return candidates[0]


def _fitting(value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return _UNFIT
    except TypeError:  # a type that msgspec does not model
        return value


def _hints(operation: Operation) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(operation.function)
    except Exception:  # noqa: BLE001 - resolving runs the application's own expressions, which may raise anything
        return {}
