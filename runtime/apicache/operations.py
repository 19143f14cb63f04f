"""Operations: named, registered kinds of call."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apicache.errors import InputError, ParameterError, did_you_mean

if TYPE_CHECKING:
    from apicache.bound import BoundOperation
    from apicache.engine import Engine
    from apicache.planning import Plan
    from apicache.policy import Policy

_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One registered function with its policy."""

    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    is_async: bool
    options: Mapping[str, Any]
    """The policy options that the code gives."""
    defaults: Mapping[str, Any]
    names: frozenset[str]
    required: frozenset[str]
    is_stream: bool = False
    """True for a generator: its answer comes in chunks."""
    bind: "Callable[[Engine, Operation, Policy], BoundOperation] | None" = None
    """Binds it to a cache and a policy where that takes more than a function to call."""
    stream: "Callable[[Engine, Operation, Policy, Mapping[str, Any]], Plan] | None" = None
    """Plans a call for its answer in chunks, given the parameters; None where it has none, or is a generator."""

    def parameters(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters with the signature's defaults filled in; raises ParameterError where the call would fail."""
        if given.keys() <= self.names and self.required <= given.keys():
            return {**self.defaults, **given}
        try:
            bound = self.signature.bind(**given)
        except TypeError as error:
            raise ParameterError(f"{error}; operation {self.name!r}: {self._hint(given)}") from None
        bound.apply_defaults()
        return bound.arguments

    def _hint(self, given: Iterable[str]) -> str:
        takes = f"it takes {', '.join(sorted(self.names)) or 'no parameters'}"
        close = (did_you_mean(name, self.names) for name in given if name not in self.names)
        found = next((hint for hint in close if hint.startswith("did")), None)
        return takes if found is None else f"{found} ({takes})"


def describe(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Operation:
    """The operation of a function; raises InputError for one that cannot be called by name and stored."""
    is_async_stream = inspect.isasyncgenfunction(function)
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY or parameter.name == "operation":
            raise InputError(f"operation {name!r} cannot take its parameter {parameter.name!r} by name; rename it")
    named = [parameter for parameter in signature.parameters.values() if parameter.kind in _BY_NAME]
    empty = inspect.Parameter.empty
    return Operation(
        name=name,
        function=function,
        signature=signature,
        is_async=is_async_stream or inspect.iscoroutinefunction(inspect.unwrap(function)),
        is_stream=is_async_stream or inspect.isgeneratorfunction(function),
        options=options,
        defaults={parameter.name: parameter.default for parameter in named if parameter.default is not empty},
        names=frozenset(parameter.name for parameter in named),
        required=frozenset(parameter.name for parameter in named if parameter.default is empty),
    )


class OperationTable(Mapping[str, Operation]):
    """The operations of one cache, by name."""

    def __init__(self, builtin: Callable[[], Mapping[str, Operation]] = dict) -> None:
        self._operations: dict[str, Operation] = {}
        self._builtin = builtin
        """Gives the operations that are there without being registered; they are not listed among those that are."""
        self.version = 0
        """Another number with each registration: who has found an operation need not look it up for each call."""

    def register(self, operation: Operation) -> None:
        """Add an operation; raises InputError when another function has its name."""
        known = self._operations.get(operation.name)
        if known is not None and _place(known.function) != _place(operation.function):
            raise InputError(
                f"operation {operation.name!r} is registered twice: in {_where(known.function)} and "
                f"in {_where(operation.function)}; give one of them another name"
            )
        self._operations[operation.name] = operation
        self.version += 1

    def find(self, name: str) -> Operation:
        """The operation of that name; raises InputError naming the close ones."""
        operation = self._operations.get(name)
        if operation is None:
            builtin = self._builtin()
            operation = builtin.get(name)
            if operation is None:
                hint = did_you_mean(str(name), {*self._operations, *builtin})
                if not self._operations:
                    hint += "" if hint.endswith("?") else "."
                    hint += " Of the application's own none is registered: import the module that does it"
                raise InputError(f"unknown operation {name!r}; {hint.strip()}")
        return operation

    def with_builtin(self) -> Mapping[str, Operation]:
        """The operations that can be called: those that are registered, and the built-in ones that none replaces."""
        return {**self._builtin(), **self._operations}

    def __getitem__(self, name: str) -> Operation:
        return self._operations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)


def _place(function: Callable[..., Any]) -> object:
    """The same for a function whose module was reloaded, or run as a script and imported as well."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    return (code.co_filename, plain.__qualname__) if code is not None else function


def _where(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
