"""From a call as written to a plan: its policy, how to load it, and how to find its key."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from apicache import adapters, identity
from apicache.errors import InputError, UnidentifiableError
from apicache.operations import Operation
from apicache.policy import Policy
from apicache.records import RecordTypes

if TYPE_CHECKING:
    from apicache.adapter import Adapter, Identified, Naming, Streamed
    from apicache.flights import Flight
    from apicache.stack import Found

F = TypeVar("F", bound=Callable[..., Any])

_in_callers_thread: Final[set[Callable[..., Any]]] = set()
IMMUTABLE: Final = frozenset({type(None), bool, int, float, str, bytes})
"""Types of arguments that nobody can change while a call runs."""


class Plan:
    """One call: how it is loaded, and, once `identify` has run, under which key it is looked up."""

    # What most calls have alike stands in the class: a plan is built for each call that is not in memory.
    is_async = True
    """False for a registered sync operation: its load blocks the thread it runs in."""
    is_blocking = False
    """True for a sync function that nothing binds to its caller's thread."""
    may_be_spread = False
    """True for a sync call that, as one of many, may be made in another thread than its caller's."""
    in_thread = False
    """True when an event loop makes it in a thread, because it is one of many."""
    is_fixed = False
    """True when what is loaded is what was identified, whatever becomes of the arguments meanwhile."""
    is_refresh = False
    """True when nobody waits: what it loads replaces an entry that was served."""
    is_kept_at_once = False
    """True when the caller waits until every tier has the entry."""
    is_warming = False
    """True when nobody needs the answer now: what is not fresh is loaded."""
    outlives = False
    """True when what it loads is fresh for its own ttl, whatever that of the callers who find it."""
    reloads = False
    """True when it is loaded whatever is stored: a fresh entry is replaced before it ends."""
    is_bound = False
    """True when it is made on a connection of its caller's own, once `identify` has run: see `adapter.Binding`."""
    is_missing = False
    """True when it was looked up just now, and is to be loaded: its route is the cache, and memory has no entry."""
    flight: "Flight[Any] | None" = None
    """Its load, when that has begun already."""
    has_looked_far = False
    """True when the far tiers were read just now; `far` is what they have."""
    far: "Found | None" = None
    key: bytes | None = None
    bypass: str | None = None
    """Why there is no key."""
    context: Any = None
    """The adapter's view of the live call, for the replay."""
    material = b""
    """The canonical bytes of what identifies the call among others of its operation."""
    parameters: Mapping[str, Any] = MappingProxyType({})
    """An operation's parameters, for the policy's functions."""
    given: Mapping[str, Any] = parameters
    """Those of them that the caller gave."""
    revalidate: Callable[[Any], Callable[[], Any]] | None = None
    instead: "Callable[[Plan, Exception], Plan] | None" = None
    """Gives the call that is made when this one fails so; raises what the caller gets where there is none."""
    load_sync: Callable[[], Any] | None = None
    """Makes the call in sync code, where that is another way."""
    together: Callable[[], int] | None = None
    """Tells of a call that was loaded how many others were by the same request, itself included; None: by itself."""
    types: RecordTypes = RecordTypes.EMPTY
    streamed: "Streamed | None" = None
    """How its answer comes in chunks, once `identify` has run; None for a call whose answer is one."""

    def __init__(
        self, label: str, policy: Policy, load: Callable[[], Any], parts: Callable[["Plan"], tuple[Any, Any]]
    ) -> None:
        self.label = label
        """The operation's name in statistics and entries."""
        self.policy = policy
        self.load = load
        """Makes the call: returns its result, or an awaitable of it."""
        self._parts = parts
        self.scope = policy.scope
        """Whose answer it is: the policy's scope, or what its function says, once `identify` has run."""
        self.has_owner = policy.scope is not None
        """Whether the answer belongs to somebody: a scope, or a credential in the call."""

    def identify(self) -> None:
        """Set the key, or the reason why there is none. Not run at all while the cache is off."""
        if self.key is not None:
            return
        try:
            self.key = self._find_key()
        except UnidentifiableError as error:
            self.bypass = str(error)
        except Exception as error:  # noqa: BLE001 - the policy's own key function, or an argument that cannot be read
            self.bypass = f"finding its key raised {type(error).__name__}"

    def has_changed(self) -> bool:
        """Whether the call is another one by now: the caller may have changed its arguments meanwhile."""
        if self.is_fixed:
            return False
        context, material, scope, has_owner = self.context, self.material, self.scope, self.has_owner
        try:
            return self._find_key() != self.key
        except Exception:  # noqa: BLE001 - as in `identify`: what has no key any more has changed
            return True
        finally:
            self.context, self.material, self.scope, self.has_owner = context, material, scope, has_owner

    def is_same_here(self) -> bool:
        """Whether it is the same call in this thread: its policy's functions may go by what only its caller's has."""
        policy = self.policy
        if self.key is None or not (callable(policy.scope) or callable(policy.key)):
            return True
        if not self.is_fixed:
            return not self.has_changed()
        try:  # found anew, its key would bring along another load
            hashers = [hasher_for(self.label, policy, None, scope) for scope in (policy.current_scope(), self.scope)]
        except Exception:  # noqa: BLE001 - as in `has_changed`
            return False
        return hashers[0].digest() == hashers[1].digest()

    def _find_key(self) -> bytes:
        policy = self.policy
        if callable(policy.scope):
            self.scope = _scope_now(policy)
            self.has_owner = self.scope is not None
        parameters, credentials = self._parts(self)
        self.material = identity.material_of(parameters)
        return identity.digest(hasher_for(self.label, policy, credentials, self.scope), self.material)


def _scope_now(policy: Policy) -> object:
    """Whose answer it is, by the policy's function; raises UnidentifiableError naming that where it raises.

    The key that a KeyError tells is shown where the function itself spells it: another one may be a secret.
    """
    try:
        return policy.current_scope()
    except Exception as error:
        function: Any = policy.scope
        spelled = getattr(getattr(function, "__code__", None), "co_consts", ())
        key = error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else None
        told = f"({key!r})" if isinstance(key, str) and key in spelled else ""
        raise UnidentifiableError(
            f"its scope function {readable_name(function)} raised {type(error).__name__}{told}"
        ) from error


def hasher_for(label: str, policy: Policy, credentials: Any, scope: object) -> identity.Hasher:
    """The hasher of a policy's calls; raises UnidentifiableError for a scope that has no content to compare."""
    return identity.hasher_of(
        operation=label,
        version=policy.version,
        namespace=policy.namespace,
        # What one caller stored against the response's word is for callers that override it too.
        scope=scope if policy.http == "honour" else [scope, policy.http],
        credentials=credentials,
    )


def plan_operation(operation: Operation, given: Mapping[str, Any], full: Mapping[str, Any], policy: Policy) -> Plan:
    """The plan of a registered operation's call; `full` is what was given with the signature's defaults filled in."""
    plan = Plan(operation.name, policy, functools.partial(operation.function, **given), _operation_parts)
    if not operation.is_async:
        plan.is_async, plan.is_blocking, plan.may_be_spread = False, True, policy.threads
    plan.parameters, plan.given = full, given
    return plan


def _operation_parts(plan: Plan) -> tuple[Any, Any]:
    return (plan.parameters if plan.policy.key is None else own_key(plan.policy.key, (), plan.given)), None


def plan_callable(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    operation: str | None,
    policy: Policy,
) -> Plan:
    """The plan of a wrapped call, identified by its library's adapter, or by name for a module-level function."""
    target, all_args, all_kwargs = without_partial(function, args, kwargs)

    def parts(plan: Plan) -> tuple[Any, Any]:
        plan.is_bound = _is_bound(target, all_args)
        if plan.policy.key is not None:
            return own_key(plan.policy.key, all_args, all_kwargs), None
        adapter = adapters.of_callable(target)
        try:
            identified = None if adapter is None else _ask(adapter, target, all_args, all_kwargs)
        except UnidentifiableError:
            plan.label = operation or _name_of_refused(adapter, all_args, all_kwargs) or plan.label
            raise
        if identified is None:
            return by_name(target, all_args, all_kwargs, operation), None
        plan.label = operation or identified.label
        check_scope(identified, plan.scope)
        plan.context = identified.context
        plan.has_owner = plan.has_owner or identified.carries_credentials
        plan.revalidate = identified.revalidate
        if identified.send is not None:
            plan.load, plan.is_fixed = identified.send, True
        return identified.parameters, identified.credentials

    plan = Plan(operation or readable_name(target), policy, functools.partial(function, *args, **kwargs), parts)
    plan.parameters = kwargs
    _tell_blocking(plan, target)
    return plan


def plan_decorated(
    function: Callable[..., Any],
    prefix: str | None,
    policy: Policy,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Plan:
    """The plan of a call of a function decorated with `cached`."""

    def parts(plan: Plan) -> tuple[Any, Any]:
        if plan.policy.key is not None:
            return {"function": readable_name(function), **own_key(plan.policy.key, args, kwargs)}, None
        return by_name(function, args, kwargs, prefix or identity.lasting_name(function)), None

    plan = Plan(prefix or readable_name(function), policy, functools.partial(function, *args, **kwargs), parts)
    if callable(policy.tags) or callable(policy.invalidates) or policy.no_store or policy.record:
        plan.parameters = _bound_arguments(function, args, kwargs)
    _tell_blocking(plan, function)
    return plan


def _bound_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call itself will say so
        return kwargs
    bound.apply_defaults()
    return bound.arguments


def check_callable(given: object) -> None:
    """Refuse what is not callable; raises InputError naming the form that was probably meant."""
    if not callable(given):
        is_name = isinstance(given, str) and given.isidentifier()
        hint = f"write operation={given!r}" if is_name else "give a callable"
        raise InputError(f"cached_api_call was given a {type(given).__name__} as its first argument; {hint}")


def check_name(decorator: str, given: object) -> None:
    """Refuse what is no name, a function above all; raises InputError."""
    if not isinstance(given, str):
        what = "the function itself" if callable(given) else f"a {type(given).__name__}"
        raise InputError(f"{decorator} was given {what} in the place of a name; write @{decorator}('a name')")


def _ask(
    adapter: "Adapter", function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> "Identified | None":
    """What the adapter knows of the call."""
    return asked(adapter.identify, function, args, kwargs)


def _name_of_refused(adapter: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """The adapter's name for a call that it cannot identify, where it has one: it says more than a method's."""
    if not hasattr(adapter, "label_of"):
        return None
    return cast("Naming", adapter).label_of(args, kwargs)


def asked(
    identify: Callable[..., "Identified | None"],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> "Identified | None":
    """Whatever goes wrong with odd arguments, the call itself shall say it."""
    try:
        return identify(function, args, kwargs)
    except UnidentifiableError:
        raise
    except Exception as error:  # the library refuses these arguments: the direct call raises the same
        raise UnidentifiableError(f"its arguments are refused ({type(error).__name__})") from error


def check_scope(identified: "Identified", scope: object) -> None:
    """Refuse a call that is for one scope only, where there is none; raises UnidentifiableError naming the remedy."""
    if identified.needs_scope is not None and scope is None:
        raise UnidentifiableError(f"{identified.needs_scope}; name whose answers they are with using(scope=...)")


def own_key(key: str | Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies a call by its policy's own key; raises what the policy's function raises."""
    return {"key": key(*args, **kwargs) if callable(key) else key}


def in_callers_thread(function: F) -> F:
    """Have calls of a function of ours made in the caller's thread: what it is given may belong to that."""
    _in_callers_thread.add(function)
    return function


def _tell_blocking(plan: Plan, target: Callable[..., Any]) -> None:
    if plan.policy.hard_timeout is not None or plan.policy.soft_timeout is not None:  # else nobody asks
        plan.is_blocking = _is_blocking(target)


def _is_blocking(target: Callable[..., Any]) -> bool:
    """Whether it is a plain sync function. A method's object may belong to its thread, as a database's connection."""
    if not isinstance(target, FunctionType) or target in _in_callers_thread:
        return False
    inner = inspect.unwrap(target)
    if isinstance(inner, FunctionType) and inner.__code__.co_varnames[:1] == ("self",):
        return False
    return not inspect.iscoroutinefunction(inner)


def _is_bound(target: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether it is made on a connection of its caller's own, also where a function of ours makes it."""
    is_ours = isinstance(target, FunctionType) and target in _in_callers_thread
    made = [target, *filter(callable, args)] if is_ours else [target]
    asked = ((each, getattr(adapters.of_callable(each), "is_bound", None)) for each in made)
    return any(is_bound is not None and is_bound(each) for each, is_bound in asked)


def without_partial(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
    """The callable inside of partials, with all its arguments."""
    while isinstance(function, functools.partial):
        args, kwargs, function = (*function.args, *args), {**function.keywords, **kwargs}, function.func
    return function, args, kwargs


def by_name(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], operation: str | None
) -> dict[str, Any]:
    """Identity by qualified name, code and arguments, with defaults filled in.

    A bound method, closure or callable object has state beyond its arguments: it needs an operation's name or a key.
    What can be compared of that state is part of the identity even so.
    """
    name = identity.function_name(function)
    owner = getattr(function, "__self__", None)
    stateful = name is None or not (owner is None or inspect.ismodule(owner))
    if stateful and operation is None:
        raise UnidentifiableError("it is not a module-level function; give using(operation=...) or using(key=...)")
    identified = {
        "function": name or operation,
        "content": identity.function_content(getattr(function, "__func__", function)),
    }
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        # Wrong arguments: the call raises its own TypeError. A builtin without a signature is compared as called.
        return {**identified, "args": list(args), "kwargs": dict(kwargs)}
    bound.apply_defaults()
    return {**identified, **{f"argument {key}": value for key, value in bound.arguments.items()}}


def readable_name(function: Callable[..., Any]) -> str:
    """A callable's module and name, for people."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"
