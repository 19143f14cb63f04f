"""The adapter of google-genai, https://github.com/googleapis/python-genai.

Other libraries lie in the package `google`, too (Google Cloud's, protobuf): for their objects it answers None, and
google-genai is not loaded.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from apicache.adapter import Adapter, Identified, Snapshot

_LIBRARY: Final = "google.genai"


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Identified | None":
    """The call of a `models` resource; None for everything else."""
    owner = getattr(function, "__self__", None)
    return _genai().identify(function, args, kwargs) if _is_of_genai(type(owner)) else None


def snapshot(response: Any) -> "Snapshot | None":
    """The stored form of google-genai's answers; None for everything else."""
    return _genai().snapshot(response) if _is_of_genai(type(response)) else None


def replay(data: Any, context: Any) -> Any:
    """A new model of the same class in the same state."""
    return _genai().replay(data, context)


def _is_of_genai(kind: type) -> bool:
    return any(base.__module__.startswith(f"{_LIBRARY}.") for base in kind.__mro__)


@functools.cache
def _genai() -> "Adapter":
    return cast("Adapter", importlib.import_module("apicache.sdk.google_genai"))
