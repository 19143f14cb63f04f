"""The call surface, the same on a cache and on a view of it with a policy (`using`)."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from apicache.bound import BoundOperation
from apicache.engine import Engine
from apicache.errors import InputError
from apicache.operations import OperationTable, describe
from apicache.planning import Plan, check_callable, plan_callable, plan_decorated
from apicache.policy import Policy, PolicyOptions, checked
from apicache.records import RecordTypes

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class CallSurface:
    """Calls through a cache under a policy."""

    _engine: Engine
    _operations: OperationTable
    _operation: str | None
    _options: Mapping[str, Any]
    _bound: dict[str | None, BoundOperation]
    _policies: dict[str, tuple[Engine, Policy]]

    def using(self, operation: str | None = None, **options: Unpack[PolicyOptions]) -> "CallSurface":
        """The same surface with a policy for these calls; `operation` names wrapped calls that have no name.

        Raises InputError for an unknown option or a bad value.
        """
        checked(options)
        return View(self, operation or self._operation, {**self._options, **options})

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
        found = self._look_up(func, args, kwargs)
        return (await self._engine.answer(found)).value if type(found) is Plan else found

    @overload
    def cached_api_call_sync(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def cached_api_call_sync(self, func: None = None, /, *, operation: str, **parameters: Any) -> Any: ...
    def cached_api_call_sync(self, func: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        """As `cached_api_call`, for sync code; raises TypeError for an async callable or operation."""
        found = self._look_up(func, args, kwargs)
        return self._engine.answer_sync(found).value if type(found) is Plan else found

    def operation(self, name: str, **options: Unpack[PolicyOptions]) -> Callable[[F], F]:
        """Register the decorated function, sync or async, as the operation `name`; the function itself is unchanged.

        Raises InputError when another function has that name, or for a bad policy option.
        """
        given = {**self._options, **options}
        checked(given)

        def register(function: F) -> F:
            self._operations.register(describe(name, function, given))
            return function

        return register

    def cached(
        self, prefix: str | None = None, **options: Unpack[PolicyOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a sync or async function or method: its calls are answered from the cache by their arguments.

        `prefix` names the calls in statistics and is part of the key; a method's `self` is part of it too, and must be
        comparable by content (a dataclass, a model) unless `key=` is given. Raises InputError for a generator.
        """
        given = {**self._options, **options}
        checked(given)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
                raise InputError(f"{function.__qualname__} is a generator; cached takes functions that return a value")

            policies: dict[str, tuple[Engine, Policy]] = {}
            types: dict[Engine, RecordTypes] = {}

            def plan(*args: P.args, **kwargs: P.kwargs) -> Plan:
                if self._engine not in types:  # with a call: names in annotations may be defined after the function
                    types.clear()
                    types[self._engine] = RecordTypes.declared(function, self._engine.setup.allow_modules)
                policy = self._policy(policies, prefix or "", given)
                planned = plan_decorated(function, prefix, policy, args, kwargs)
                planned.types = types[self._engine]
                return planned

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

    def _look_up(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The answer, where memory has it and nothing special applies; else the call's Plan."""
        if function is None:
            name = kwargs.pop("operation", None)
            bound = self._bound.get(name)
            if bound is None or bound.engine is not self._engine or bound.version != self._operations.version:
                bound = self._bound_operation(name)
            return bound.answer(kwargs)
        check_callable(function)
        name = self._operation
        policy = self._policy(self._policies, name or "", self._options)
        return plan_callable(function, args, kwargs, name, policy)

    def _policy(self, known: dict[str, tuple[Engine, Policy]], name: str, options: Mapping[str, Any]) -> Policy:
        """The policy in force for a name; found once for an engine."""
        found = known.get(name)
        if found is None or found[0] is not self._engine:
            found = known[name] = (self._engine, self._engine.policy(name, options, {}))
        return found[1]

    def _bound_operation(self, given: str | None) -> BoundOperation:
        name = given or self._operation
        if name is None:
            raise InputError("cached_api_call was given neither a callable nor operation=...; give one of them")
        version = self._operations.version
        operation = self._operations.find(name)
        bound = self._bound.get(given)
        if bound is None or bound.engine is not self._engine or bound.operation is not operation:
            policy = self._engine.policy(name, operation.options, self._options)
            bound = self._bound[given] = BoundOperation(self._engine, operation, policy)
        bound.version = version
        return bound


class View(CallSurface):
    """A cache's surface under a policy."""

    def __init__(self, parent: CallSurface, operation: str | None, options: Mapping[str, Any]) -> None:
        self._home: CallSurface = parent._home if isinstance(parent, View) else parent  # noqa: SLF001 - same
        self._operations = parent._operations  # noqa: SLF001 - same
        self._operation, self._options = operation, options
        self._bound, self._policies = {}, {}

    @property
    def _engine(self) -> Engine:  # type: ignore[override] # the cache's own, which tests replace
        return self._home._engine  # noqa: SLF001 - a view is a part of its cache
