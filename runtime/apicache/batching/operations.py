"""Batched operations: a function that takes a list, registered as an operation that takes one item."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from apicache.batching.collectors import BatchedLoad, Batching
from apicache.batching.results import BatchForm, partition
from apicache.bound import BoundOperation
from apicache.engine import Engine
from apicache.errors import InputError, did_you_mean
from apicache.operations import Operation, describe
from apicache.planning import Plan
from apicache.policy import Duration, Policy, seconds


class BoundBatch(BoundOperation):
    """A batched operation's calls through one cache under one policy."""

    __slots__ = ("_batching", "_partition")

    def __init__(self, batching: Batching, engine: Engine, operation: Operation, policy: Policy) -> None:
        self._batching = batching
        self._partition = None if callable(policy.scope) else partition(policy)
        super().__init__(engine, operation, policy)
        self.near_loads = None  # its loads always wait
        if not operation.is_async:  # its plan says how sync code loads it
            self._far_hits = None

    def _plan(self, given: Mapping[str, Any], full: Mapping[str, Any]) -> Plan:
        plan = super()._plan(given, full)
        rest = {**self.operation.defaults, **given}
        part = partition(self.policy) if self._partition is None else self._partition
        load = BatchedLoad(self._batching, part, rest.pop(self._batching.form.over), rest)
        plan.load, plan.together = load, load.together
        if not plan.is_async:
            plan.load_sync = load.in_thread
        return plan


def describe_batched(
    name: str,
    function: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    over: str,
    items: str | None,
    index: str | None,
    batch_size: int,
    max_wait: Duration,
    concurrency: int,
) -> Operation:
    """The operation of a function that takes a list; raises InputError for what does not fit."""
    _check_count(name, "batch_size", batch_size)
    _check_count(name, "concurrency", concurrency)
    described = describe(name, function, options)
    if described.is_stream:
        raise InputError(f"batched operation {name!r} is a generator; return a list, or a mapping from item to result")
    listed = _list_parameter(described, over, items)
    batching = Batching(
        function,
        BatchForm(operation=name, items=listed, over=over, index=index),
        batch_size=batch_size,
        max_wait=seconds(max_wait),
        concurrency=concurrency,
    )
    return msgspec.structs.replace(
        described,
        signature=_of_one_item(described.signature, listed, over),
        names=described.names - {listed} | {over},
        required=described.required - {listed} | {over},
        defaults={known: value for known, value in described.defaults.items() if known != listed},
        bind=functools.partial(BoundBatch, batching),
    )


def _check_count(name: str, option: str, given: object) -> None:
    if type(given) is not int or given < 1:
        raise InputError(f"batched operation {name!r} has {option}={given!r}; give a whole number of at least 1")


def _list_parameter(described: Operation, over: str, items: str | None) -> str:
    """The parameter that takes the list: the named one, or the first."""
    named = [parameter for parameter in described.signature.parameters if parameter in described.names]
    if not named:
        raise InputError(f"batched operation {described.name!r} takes no list; give its function a parameter for it")
    listed = named[0] if items is None else items
    if listed not in named:
        raise InputError(
            f"batched operation {described.name!r} has no parameter {listed!r}; {did_you_mean(listed, named)}"
        )
    if not over.isidentifier() or over == "operation" or (over != listed and over in described.signature.parameters):
        raise InputError(
            f"batched operation {described.name!r} cannot take an item as over={over!r}; "
            f"name one item of {listed!r} by an identifier that is no other parameter's, nor 'operation'"
        )
    return listed


def _of_one_item(signature: inspect.Signature, listed: str, over: str) -> inspect.Signature:
    """The signature of a call of one item: what is passed by name."""
    by_name = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(over, by_name)
        if parameter.name == listed
        else (parameter if parameter.kind is inspect.Parameter.VAR_KEYWORD else parameter.replace(kind=by_name))
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
