"""The call surface, the same on a cache and on a view of it with a policy (`using`)."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast, overload

from apicache.adapters import knows_streams
from apicache.bound import BoundOperation
from apicache.engine import Engine
from apicache.errors import InputError
from apicache.far_hits import Missed
from apicache.operations import OperationTable, describe
from apicache.planning import Plan, check_callable, check_name, plan_callable, plan_decorated
from apicache.policy import Duration, Policy, PolicyOptions, checked
from apicache.records import RecordTypes

if TYPE_CHECKING:
    from apicache.streams.streams import StreamCall, SyncStreamCall

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

    @property
    def home(self) -> "CallSurface":
        """The cache itself, of which this may be a view."""
        return self

    @property
    def engine(self) -> Engine:
        """What answers the calls."""
        return self._engine

    @property
    def options(self) -> Mapping[str, Any]:
        """The policy of this view; empty for the cache itself."""
        return self._options

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
        runs in the caller's thread; a function under a policy with a timeout in one of its own. Raises what the call
        raises; InputError for an unknown operation.
        """
        if func is not None and kwargs.get("stream") is True and knows_streams(func):
            return await self.cached_stream(func, *args, **kwargs)
        found = self._look_up(func, args, kwargs, loads=True)
        if type(found) is Missed:
            return await self._engine.answer_missed(found)
        return (await self._engine.answer(found)).value if type(found) is Plan else found

    @overload
    def cached_api_call_sync(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def cached_api_call_sync(self, func: None = None, /, *, operation: str, **parameters: Any) -> Any: ...
    def cached_api_call_sync(self, func: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        """As `cached_api_call`, for sync code; raises TypeError for an async callable or operation."""
        if func is not None and kwargs.get("stream") is True and knows_streams(func):
            return self.cached_stream_sync(func, *args, **kwargs).open()
        found = self._look_up(func, args, kwargs, loads=False)
        if type(found) is Missed:
            return self._engine.answer_missed_sync(found)
        if type(found) is not Plan:
            return found
        if found.load_sync is not None:
            found.load = found.load_sync
        return self._engine.answer_sync(found).value

    def cached_stream(self, func: Any = None, /, *args: Any, **kwargs: Any) -> "StreamCall":
        """Receive a streamed answer, live together with all who ask meanwhile, or replay a stored one.

        For a built-in operation that gives text (`cached_stream(operation="completion", prompt=...)`, by its pieces), a
        registered one that is a generator, another generator function, an SDK's call with `stream=True`, or
        `client.stream` of httpx. What it gives is awaited,
        entered with `async with`, or iterated over. A stream is stored when it has come to its end. The policy's `pace`
        replays it at that many times its first speed; 0, the default, at once.
        """
        from apicache.streams.streams import StreamCall  # noqa: PLC0415 - for code that streams

        return StreamCall(self._engine.streams, self._plan_stream(func, args, kwargs))

    def cached_stream_sync(self, func: Any = None, /, *args: Any, **kwargs: Any) -> "SyncStreamCall":
        """As `cached_stream`, for sync code: entered with `with`, iterated over, or opened by its `open`."""
        from apicache.streams.streams import SyncStreamCall  # noqa: PLC0415 - as above

        return SyncStreamCall(self._engine.streams, self._plan_stream(func, args, kwargs))

    def _plan_stream(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        from apicache.streams.plans import plan_stream, plan_stream_operation  # noqa: PLC0415 - as above

        if function is not None:
            check_callable(function)
            policy = _not_a_write(self._policy(self._policies, self._operation or "", self._options), "this stream")
            return plan_stream(function, args, kwargs, self._operation, policy)
        name = kwargs.pop("operation", None) or self._operation
        if name is None:
            raise InputError("cached_stream was given neither a callable nor operation=...; give one of them")
        operation = self._operations.find(name)
        policy = _not_a_write(self._engine.policy(name, operation.options, self._options), f"operation {name!r}")
        if operation.stream is not None:
            return operation.stream(self._engine, operation, policy, kwargs)
        if not operation.is_stream:
            raise InputError(f"operation {name!r} gives one answer; call cached_api_call, or make it a generator")
        return plan_stream_operation(operation, kwargs, operation.parameters(kwargs), policy)

    def plan_of(self, *, operation: str, **parameters: Any) -> Plan:
        """What an operation's call would be: its policy, and its key or the reason why it has none (`bypass`)."""
        plan = self._bound_operation(operation).plan(parameters)
        plan.identify()
        return plan

    def operation(self, name: str, **options: Unpack[PolicyOptions]) -> Callable[[F], F]:
        """Register the decorated function, sync or async, as the operation `name`; the function itself is unchanged.

        Raises InputError when another function has that name, or for a bad policy option.
        """
        check_name("operation", name)
        given = {**self._options, **options}
        checked(given)

        def register(function: F) -> F:
            self._operations.register(describe(name, function, given))
            return function

        return register

    def batched(
        self,
        name: str,
        *,
        over: str,
        items: str | None = None,
        index: str | None = None,
        batch_size: int = 100,
        max_wait: Duration = 0.0,
        concurrency: int = 4,
        **options: Unpack[PolicyOptions],
    ) -> Callable[[F], F]:
        """Register a function that takes a list, sync or async, as the operation `name` of which each call is one item.

        `over` names the operation's parameter for the item, `items` the function's for the list: its first, when it is
        not given. The function returns one result for each item, in their order, or a mapping from item to result; or,
        with `index`, results whose key or attribute of that name is the item's place in the list. An exception in a
        result's place is that item's. What has no result raises BatchResultError.

        Each item is cached by itself. Misses that agree in all other parameters, and in scope, are sent together: those
        of one event-loop tick, or of `max_wait` seconds, at most `batch_size` at once, at most `concurrency` such
        batches of an event loop at a time. Sync callers in threads are sent together within `max_wait`. A batch runs in
        a copy of its first caller's context. Raises InputError as `operation` does.
        """
        from apicache.batching.operations import describe_batched  # noqa: PLC0415 - for applications that batch

        given = {**self._options, **options}
        checked(given)

        def register(function: F) -> F:
            self._operations.register(
                describe_batched(
                    name,
                    function,
                    given,
                    over=over,
                    items=items,
                    index=index,
                    batch_size=batch_size,
                    max_wait=max_wait,
                    concurrency=concurrency,
                )
            )
            return function

        return register

    def cached(
        self, prefix: str | None = None, **options: Unpack[PolicyOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a sync or async function or method: its calls are answered from the cache by their arguments.

        `prefix` names the calls in statistics and is part of the key; a method's `self` is part of it too, and must be
        comparable by content (a dataclass, a model) unless `key=` is given. Raises InputError for a generator.
        """
        if callable(prefix):
            raise InputError("cached was given the function itself; write @cached() above it")
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
                    types[self._engine] = RecordTypes.of(function, self._engine.setup.allow_modules)
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

    def _look_up(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, loads: bool) -> Any:
        """The answer, where memory has it or, with `loads`, it can be loaded in one go; else the call's Plan."""
        if function is None:
            name = kwargs.pop("operation", None)
            bound = self._bound.get(name)
            if bound is None or bound.engine is not self._engine or bound.version != self._operations.version:
                bound = self._bound_operation(name)
            return bound.answer(kwargs, loads=bound.near_loads if loads else None)
        check_callable(function)
        name = self._operation
        policy = self._policy(self._policies, name or "", self._options)
        plan = plan_callable(function, args, kwargs, name, policy)
        plan.types = RecordTypes.of(function, self._engine.setup.allow_modules)
        return plan

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
        if operation.is_stream:
            raise InputError(f"operation {name!r} is a generator: call cached_stream(operation={name!r}, ...)")
        bound = self._bound.get(given)
        if bound is None or bound.engine is not self._engine or bound.operation is not operation:
            policy = self._engine.policy(name, operation.options, self._options)
            bind = operation.bind or BoundOperation
            bound = self._bound[given] = bind(self._engine, operation, policy)
        bound.version = version
        return bound


def _not_a_write(policy: Policy, name: str) -> Policy:
    """The policy of a stream; raises InputError for a write's: it is known only at its end to have succeeded."""
    if policy.invalidates:
        raise InputError(
            f"{name} has invalidates=..., and a write is called by cached_api_call, not streamed; make it a function"
            " that returns a value, or call invalidate(...) after the stream and leave the option out"
        )
    return policy


class View(CallSurface):
    """A cache's surface under a policy."""

    def __init__(self, parent: CallSurface, operation: str | None, options: Mapping[str, Any]) -> None:
        self._home = parent.home
        self._operations = parent._operations  # noqa: SLF001 - same
        self._operation, self._options = operation, options
        self._bound, self._policies = {}, {}

    @property
    def home(self) -> CallSurface:
        """The cache that this is a view of."""
        return self._home

    @property
    def _engine(self) -> Engine:  # type: ignore[override] # the cache's own, which tests replace
        return self._home.engine
