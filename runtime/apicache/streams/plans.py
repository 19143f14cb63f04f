"""From a streamed call as written to its plan."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from apicache import adapters
from apicache.adapter import Identified
from apicache.errors import UnidentifiableError
from apicache.operations import Operation
from apicache.planning import Plan, asked, by_name, check_scope, own_key, plan_operation, readable_name, without_partial
from apicache.policy import Policy
from apicache.streams.values import streamed_values


def plan_stream(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    operation: str | None,
    policy: Policy,
) -> Plan:
    """The plan of a generator's call, or of a stream that its library's adapter knows."""
    target, all_args, all_kwargs = without_partial(function, args, kwargs)
    load = functools.partial(function, *args, **kwargs)

    def parts(plan: Plan) -> tuple[Any, Any]:
        if is_generator(target):
            if plan.policy.key is not None:
                return own_key(plan.policy.key, all_args, all_kwargs), None
            return by_name(target, all_args, all_kwargs, operation), None
        identified = _identified(target, all_args, all_kwargs)
        check_scope(identified, plan.scope)
        plan.label, plan.streamed = operation or identified.label, identified.streamed
        plan.context = identified.context
        plan.has_owner = plan.has_owner or identified.carries_credentials
        return identified.parameters, identified.credentials

    plan = Plan(operation or readable_name(target), policy, load, parts)
    plan.parameters = kwargs
    if is_generator(target):
        plan.streamed = streamed_values(load, is_async=inspect.isasyncgenfunction(target))
    return plan


def plan_stream_operation(
    operation: Operation, given: Mapping[str, Any], full: Mapping[str, Any], policy: Policy
) -> Plan:
    """The plan of a call of an operation that is a generator."""
    plan = plan_operation(operation, given, full, policy)
    plan.streamed = streamed_values(plan.load, is_async=operation.is_async)
    return plan


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling it gives an iterator of chunks, async or not."""
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def _identified(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified:
    identify = getattr(adapters.of_callable(function), "identify_stream", None)
    identified = None if identify is None else asked(identify, function, args, kwargs)
    if identified is None:
        raise UnidentifiableError("it is neither a generator nor a stream of a client library that is known")
    return identified
