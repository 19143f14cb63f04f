"""Keys: a sha256 over the canonical encoding of everything that tells one call from another."""

import hashlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from apicache import tagged
from apicache.errors import UnencodableError, UnidentifiableError

_KEY_FORMAT: Final = 1
"""Part of every key: raised when the canonical form changes, so that old entries are misses."""


def key_of(  # one line a part: the reader checks here that nothing is left out
    *, operation: str, version: str, namespace: str, scope: Any, credentials: Any, parameters: Any
) -> str:
    """The key: 64 hexadecimal digits. Credentials enter as a digest only.

    Raises UnidentifiableError naming the type of what cannot be compared, never its content.
    """
    try:
        partition = hashlib.sha256(tagged.canonical([scope, credentials])).digest()
        material = tagged.canonical([_KEY_FORMAT, namespace, operation, version, partition, parameters])
    except UnencodableError as error:
        place = _unencodable_place(parameters)
        raise UnidentifiableError(f"{place or 'it'} holds {error}, which has no content to compare") from None
    return hashlib.sha256(material).hexdigest()


def _unencodable_place(parameters: Any) -> str | None:
    """The name of the innermost parameter that cannot be encoded."""
    if not isinstance(parameters, dict):
        return None
    for name, value in parameters.items():
        try:
            tagged.canonical(value)
        except UnencodableError:
            return _unencodable_place(value) or f"parameter {name!r}"
    return None


def function_name(function: Callable[..., Any]) -> str | None:
    """The qualified name of a module-level function or a method's function; None for lambdas and closures.

    `__main__` is one name for every script, so there the script's own module name or path stands in.
    """
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not module or not qualname or "<" in qualname:
        return None
    return f"{_main_name() if module == '__main__' else module}:{qualname}"


def _main_name() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return os.path.realpath(file) if file else "__main__"
