"""One file per client library; the file's name is the library's import name."""

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from apicache.adapter import Adapter


@functools.cache
def known() -> frozenset[str]:
    """The names of the libraries that have an adapter."""
    import pkgutil  # noqa: PLC0415 - needed once the first call is made, not by `import apicache`

    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def named(name: str) -> "Adapter":
    """The adapter of that name; raises LookupError for one that does not exist here."""
    if name not in known():
        raise LookupError(f"no adapter {name!r}; known: {', '.join(sorted(known()))}")
    return cast("Adapter", importlib.import_module(f"{__name__}.{name}"))


def of_callable(function: Callable[..., Any]) -> "Adapter | None":
    """The adapter of the library that `function`, or the object it is bound to, comes from."""
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, type):
        return of_type(owner.__class__)
    return _of_module(getattr(function, "__module__", None) or "")


def knows_streams(function: Callable[..., Any]) -> bool:
    """Whether the library that the callable comes from has an adapter that knows streams."""
    return hasattr(of_callable(function), "identify_stream")


@functools.lru_cache(maxsize=1024)
def of_type(kind: type) -> "Adapter | None":
    """The adapter of the library that the class, or one of its bases, comes from."""
    for base in kind.__mro__:
        adapter = _of_module(base.__module__)
        if adapter is not None:
            return adapter
    return None


def _of_module(module: str) -> "Adapter | None":
    library = module.partition(".")[0]
    return named(library) if library in known() else None
