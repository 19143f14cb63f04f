"""The built-in operations: `completion`, `embedding` and `analysis`, answered by the configured providers.

They are there as soon as a provider's key is set; an application's own operation of such a name replaces them. The
functions only declare: what the operation takes, and what it gives. Beside them stands what declared endpoints offer
under other names.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from apicache.answers import Completion, Embedding
from apicache.chain.chain import BoundChain, stream_plan
from apicache.chain.settings import ProviderSettings
from apicache.operations import Operation, describe


def completion(  # noqa: PLR0917 - an operation's parameters are given by name
    prompt: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    system: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] | None = None,
    provider: str | Sequence[str] | None = None,
    model: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Completion:
    """What a model writes to a prompt, or as the next message of a conversation.

    `provider` is a name, or a list: the chain for this call. `extra` goes into the request's body as it is.
    """
    _declared(prompt, messages, system, max_tokens, temperature, stop, provider, model, extra)


def analysis(  # noqa: PLR0917 - as above
    prompt: str,
    data: Any = None,
    system: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] | None = None,
    provider: str | Sequence[str] | None = None,
    model: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Completion:
    """What a model finds in data, anything that JSON can carry."""
    _declared(prompt, data, system, max_tokens, temperature, stop, provider, model, extra)


def embedding(
    text: str,
    dimensions: int | None = None,
    provider: str | Sequence[str] | None = None,
    model: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Embedding:
    """A text's vector; calls made at the same time are sent together, each is cached by itself."""
    _declared(text, dimensions, provider, model, extra)


def _declared(*_parameters: Any) -> NoReturn:
    raise NotImplementedError("a built-in operation is called through a cache: cached_api_call(operation=...)")


def cost_of(value: Any) -> float:
    """US dollars that an answer cost, 0 where its price is not known: a policy's `cost`."""
    return (value.cost or 0.0) if isinstance(value, Completion | Embedding) else 0.0


class _Builtin(Operation, frozen=True, kw_only=True):
    """An operation whose parameters others call by other names."""

    def _hint(self, given: Iterable[str]) -> str:
        told = super()._hint(given)
        main = _MAIN[self.name]
        meant = next((name for name in given if name in _OTHER_NAMES and name not in self.names), None)
        return told if meant is None else f"did you mean {main!r} by {meant!r}? (it takes {_listed(self.names)})"


_MAIN: Final = {"completion": "prompt", "analysis": "prompt", "embedding": "text"}
_OTHER_NAMES: Final = frozenset(
    {"content", "input", "inputs", "message", "prompt", "query", "question", "text", "texts"}
)
"""What other libraries call what is to be answered, or embedded."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _operation(function: Callable[..., Any]) -> Operation:
    described = msgspec.structs.asdict(describe(function.__name__, function, {"cost": cost_of}))
    stream = None if function is embedding else stream_plan
    return _Builtin(**{**described, "is_async": True, "bind": BoundChain, "stream": stream})


OPERATIONS: Final[Mapping[str, Operation]] = {
    function.__name__: _operation(function) for function in (completion, embedding, analysis)
}


class EndpointOperation(Operation, frozen=True, kw_only=True):
    """An operation that only declared endpoints have: it takes whatever their url and body refer to."""

    def parameters(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters as given; what no endpoint has a place for is told when one is asked."""
        return {"provider": None, "model": None, **given}


def endpoint(**_parameters: Any) -> Any:
    """What the endpoint answers, plain JSON."""
    _declared()


@functools.lru_cache(maxsize=256)
def _endpoint_operation(name: str) -> Operation:
    described = msgspec.structs.asdict(describe(name, endpoint, {}))
    return EndpointOperation(**{**described, "is_async": True, "bind": BoundChain})


def operations_of(settings: ProviderSettings | None) -> Mapping[str, Operation]:
    """The built-in operations, and those that only the declared endpoints of these settings have."""
    declared = () if settings is None else settings.declared_operations()
    return {**{name: _endpoint_operation(name) for name in declared}, **OPERATIONS}
