"""Keys: a sha256 over the canonical encoding of everything that tells one call from another."""

import functools
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, Final, Protocol

from apicache import tagged
from apicache.errors import UnencodableError, UnidentifiableError

_CLOSURE_DEPTH: Final = 8
_KEY_FORMAT: Final = 1
"""Part of every key: raised when the canonical form changes, so that old entries are misses."""


class Hasher(Protocol):
    """What `hashlib` gives."""

    def copy(self) -> "Hasher": ...  # noqa: D102 - as in hashlib
    def update(self, data: bytes, /) -> None: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102


def _sha256(data: bytes) -> Hasher:
    """A hasher that has taken in `data`; `hashlib` comes with the first: 3 ms that loading apicache does not cost."""
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(data)


def hasher_of(*, operation: str, version: str, namespace: str, scope: Any, credentials: Any) -> Hasher:
    """A sha256 that has taken in everything but a call's parameters; credentials enter as a digest only.

    Raises UnidentifiableError naming the type of what cannot be compared, never its content.
    """
    try:
        partition = _sha256(tagged.canonical([scope, credentials])).digest()
        head = tagged.canonical([_KEY_FORMAT, namespace, operation, version, partition, None])
    except UnencodableError as error:
        raise UnidentifiableError(f"its scope holds {error}, which has no content to compare") from None
    return _sha256(head[:-1])  # the parameters come in the place of the None


def material_of(parameters: Any) -> bytes:
    """The canonical bytes of a call's parameters; raises UnidentifiableError as `hasher_of` does."""
    try:
        return tagged.canonical(parameters)
    except UnencodableError as error:
        place = _unencodable_place(parameters)
        raise UnidentifiableError(f"{place or 'it'} holds {error}, which has no content to compare") from None


def digest(hasher: Hasher, material: bytes) -> bytes:
    """The key, 32 bytes: of everything that `hasher` has taken in, and the parameters."""
    call = hasher.copy()
    call.update(material)
    return call.digest()


def key_of(  # one line a part: the reader checks here that nothing is left out
    *, operation: str, version: str, namespace: str, scope: Any, credentials: Any, parameters: Any
) -> bytes:
    """The key, 32 bytes; raises UnidentifiableError naming the type of what cannot be compared, never its content."""
    hasher = hasher_of(operation=operation, version=version, namespace=namespace, scope=scope, credentials=credentials)
    return digest(hasher, material_of(parameters))


def _unencodable_place(parameters: Any) -> str | None:
    """The name of the first parameter that cannot be encoded; names further in are data and are not told."""
    if not isinstance(parameters, dict):
        return None
    for name, value in parameters.items():
        try:
            tagged.canonical(value)
        except UnencodableError:
            return f"parameter {name!r}"
    return None


def function_name(function: Callable[..., Any]) -> str | None:
    """The qualified name of a function that its module has under that name; None for any other callable.

    `__main__` is one name for every script, so there the script's module name or path stands in; without a file
    (a notebook, `python -c`) it has no name that lasts.
    """
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not module or not qualname or getattr(function, "__closure__", None):
        return None
    if _member(module, qualname) is not function:
        return None
    return lasting_name(function)


def lasting_name(function: Callable[..., Any]) -> str | None:
    """`module:qualname` in a form that is the same in the next process; None where there is none."""
    module, qualname = function.__module__, function.__qualname__
    if module == "__main__":
        module = _main_name() or ""
    return f"{module}:{qualname}" if module and "<" not in qualname else None


def _member(module: str, qualname: str) -> object:
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _main_name() -> str | None:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return os.path.realpath(file) if file and os.path.isfile(file) else None  # noqa: PTH113 - no pathlib here


def function_content(function: Any, depth: int = 0) -> Any:
    """What tells a function from others of its name: its code and what it has closed over, encodable by `tagged`.

    Raises UnidentifiableError for a closure over something that has no content to compare (a client, a connection).
    """
    code = getattr(function, "__code__", None)
    if code is None or depth > _CLOSURE_DEPTH:
        return None
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells.pop("__class__", None)  # what `super()` needs; the qualified name tells the class
    return {
        "place": f"{function.__module__}:{function.__qualname__}",
        "code": code_digest(code),
        "closure": {name: _cell_content(name, cell, depth) for name, cell in cells.items()},
    }


def _cell_content(name: str, cell: Any, depth: int) -> Any:
    try:
        value = cell.cell_contents
    except ValueError:  # not assigned yet
        return None
    if hasattr(value, "__code__"):
        return function_content(value, depth + 1)
    if isinstance(value, type | ModuleType):
        return f"{getattr(value, '__module__', '')}.{value.__name__}"
    try:
        tagged.canonical(value)
    except UnencodableError as error:
        raise UnidentifiableError(f"it has closed over {name!r}, {error}; give using(key=...)") from None
    return value


@functools.lru_cache(maxsize=4096)
def code_digest(code: CodeType) -> str:
    """A digest of what a function does, whatever line it stands on: an edited function has no old answers."""
    material = _sha256(code.co_code)
    for constant in code.co_consts:
        material.update((code_digest(constant) if isinstance(constant, CodeType) else repr(constant)).encode())
    material.update(repr(code.co_names).encode())
    return material.digest().hex()
