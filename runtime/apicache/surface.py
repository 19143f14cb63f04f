"""The call surface, the same on a cache and on a view of it with a policy (`using`)."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from apicache.engine import Engine
from apicache.errors import InputError
from apicache.operations import OperationTable, describe
from apicache.planning import Plan, check_callable, plan_callable, plan_decorated, plan_operation
from apicache.policy import DEFAULT, PolicyOptions, policy_for

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class CallSurface:
    """Calls through a cache under a policy."""

    _engine: Engine
    _operations: OperationTable
    _operation: str | None
    _options: Mapping[str, Any]

    def using(self, operation: str | None = None, **options: Unpack[PolicyOptions]) -> "CallSurface":
        """The same surface with a policy for these calls; `operation` names wrapped calls that have no name.

        Raises InputError for an unknown option or a bad value.
        """
        merged = {**self._options, **options}
        DEFAULT.merged(merged)
        view = CallSurface()
        view._engine, view._operations = self._engine, self._operations
        view._operation, view._options = operation or self._operation, merged
        return view

    @overload
    async def cached_api_call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def cached_api_call(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def cached_api_call(self, func: None = None, /, *, operation: str, **parameters: Any) -> Any: ...
    async def cached_api_call(self, func: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        """Answer a call from the cache, or make it once for all concurrent callers.

        `cached_api_call(operation="completion", prompt=...)` runs a registered operation;
        `cached_api_call(client.get, url, params=...)` wraps a callable: every argument belongs to it. A sync callable
        runs in the caller's thread. Raises what the call raises; InputError for an unknown operation.
        """
        return (await self._engine.answer(self._plan(func, args, kwargs))).value

    @overload
    def cached_api_call_sync(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def cached_api_call_sync(self, func: None = None, /, *, operation: str, **parameters: Any) -> Any: ...
    def cached_api_call_sync(self, func: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        """As `cached_api_call`, for sync code; raises TypeError for an async callable or operation."""
        return self._engine.answer_sync(self._plan(func, args, kwargs)).value

    def operation(self, name: str, **options: Unpack[PolicyOptions]) -> Callable[[F], F]:
        """Register the decorated function, sync or async, as the operation `name`; the function itself is unchanged.

        Raises InputError when another function has that name, or for a bad policy option.
        """
        policy = policy_for(name, {**self._options, **options})

        def register(function: F) -> F:
            self._operations.register(describe(name, function, policy))
            return function

        return register

    def cached(
        self, prefix: str | None = None, **options: Unpack[PolicyOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a sync or async function or method: its calls are answered from the cache by their arguments.

        `prefix` names the calls in statistics and is part of the key; a method's `self` is part of it too, and must be
        comparable by content (a dataclass, a model) unless `key=` is given. Raises InputError for a generator.
        """
        policy = policy_for(prefix or "", {**self._options, **options})

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
                raise InputError(f"{function.__qualname__} is a generator; cached takes functions that return a value")

            def plan(*args: P.args, **kwargs: P.kwargs) -> Plan:
                return plan_decorated(function, prefix, policy, args, kwargs)

            # A decorator underneath may be a plain function around an async one.
            if inspect.iscoroutinefunction(inspect.unwrap(function)):

                @functools.wraps(function)
                async def cached_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                    return (await self._engine.answer(plan(*args, **kwargs))).value

                return cast("Callable[P, R]", cached_async)

            @functools.wraps(function)
            def cached_sync(*args: P.args, **kwargs: P.kwargs) -> R:
                return cast("R", self._engine.answer_sync(plan(*args, **kwargs)).value)

            return cached_sync

        return decorate

    def _plan(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        if function is not None:
            check_callable(function)
            return plan_callable(function, args, kwargs, self._operation, self._options)
        name = kwargs.pop("operation", None) or self._operation
        if name is None:
            raise InputError("cached_api_call was given neither a callable nor operation=...; give one of them")
        return plan_operation(self._operations.find(name), kwargs, self._options)
