"""What a driver is: one way to call one library, for `test_adapter_suite.py`.

from adapter_drivers._driver import Driver

class _Sync(Driver):
    name = "acme-sync"
    ...

DRIVERS = [_Sync()]
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from hypothesis.strategies import SearchStrategy

Call = tuple[str, tuple[Any, ...], Mapping[str, Any]]
"""(method, args, kwargs): `method` is whatever the driver's own `call` understands, `"chat.completions.create"`."""
Variant = Mapping[str, Any]
"""Client-level settings, as the driver's own `open` understands them."""


class Driver:
    """One way to call one library. Class attributes may be given as properties."""

    name: ClassVar[str]
    """Unique over all drivers: the library and the way (`anthropic-async`)."""
    is_async: ClassVar[bool] = False
    """True when what `call` gives is to be awaited."""

    variants: Sequence[Variant]
    """Client-level settings that differ, each from each, in what is answered or in whose answer it is: header, base
    path, key, organisation. The first is the plain one."""
    failing: Variant = MappingProxyType({})
    """The settings under which the server answers every call with an error (`{"base": "/status/500"}`)."""
    examples: Sequence[Call]
    """Cacheable calls that are really made: one for each kind of answer. The first is made under every variant."""
    arguments: SearchStrategy[Call]
    """Cacheable calls that are only identified. Whatever makes a difference between two draws, the type of a value
    (1, True, 1.0) included, must be able to change the answer; draw from few values, so that near misses are frequent.
    """
    ignored: Sequence[Mapping[str, Any]] = ()
    """Keyword arguments that change no answer: a timeout, a count of retries."""
    refused: Sequence[Call] = ()
    """Calls that must go uncached: streams, writes, uploads, background jobs."""
    scope: str | None = None
    """Under whose name its calls are made; None where the adapter itself sees whose they are."""
    secret: str = ""
    """The credential that stands in one of the `variants`, or is part of a value there."""
    needs: str | None = None
    """The mark of tests that need what is not installed with them: those of this driver have it."""
    without: Mapping[str, str] = MappingProxyType({})
    """What the library cannot be tested for, with the reason. Keys: "ignored" (no argument is without effect), "error"
    (there are no error answers), "refused", "secret"."""

    def open(self, api: Any, variant: Variant) -> Any:
        """A context manager that gives a client of the server `api` (a `RecordingServer`), built with the settings.

        An async driver's is an async one: it is entered and left in the loop in which the calls are made.
        """
        raise NotImplementedError

    def document(self, path: str, body: bytes, count: int) -> Any:
        """What the server answers as JSON, in the library's wire format; None for its echo, or what it knows itself.

        `count` is that of the calls since `reset`: it belongs into the answer, so that a second call shows.
        """
        return None

    def call(
        self, client: Any, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
        """What `cached_api_call` is given for a call: the function, its arguments, its keyword arguments."""
        function = client
        for part in method.split("."):
            function = getattr(function, part)
        return function, args, kwargs

    def read(self, answer: Any) -> Any:
        """What `same` compares: the answer itself, or what a caller reads from it (and thereby uses up).

        An async driver may return an awaitable.
        """
        return answer

    def same(self, one: Any, other: Any) -> bool:
        """Whether two answers, as `read` gave them, are equal in type and public content.

        What differs between two uncached calls anyway (a Date header, the time it took) does not count.
        """
        return type(one) is type(other) and bool(one == other)

    def meaning(self, value: Any) -> Any:
        """A drawn call with the types of all in it, hashable; independent of the order of a mapping."""
        if isinstance(value, Mapping):
            return ("mapping", frozenset((self.meaning(key), self.meaning(item)) for key, item in value.items()))
        if isinstance(value, list | tuple):
            return (type(value).__name__, *map(self.meaning, value))
        return (type(value).__name__, repr(value))

    def spoil(self, answer: Any) -> None:
        """Change an answer in place as its caller may: no later answer may show it."""
        if isinstance(answer, dict | list):
            answer.clear()
        elif hasattr(answer, "__dict__"):
            vars(answer).clear()

    def sent(self, api: Any, client: Any) -> int:
        """How many calls have reached the upstream since `reset`."""
        return len(api.seen)

    def reset(self, api: Any, client: Any) -> None:
        """Make the upstream answer, and count, as if it had not been called before."""
        api.seen.clear()

    def __repr__(self) -> str:
        return self.name
