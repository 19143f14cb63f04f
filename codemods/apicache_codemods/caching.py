"""Which call sites apicache answers already."""

import ast
from collections.abc import Iterator

from apicache_codemods.functions import decorators
from apicache_codemods.project import Module
from apicache_codemods.scopes import Frame, Scope

CALLING = frozenset(
    {"cached_api_call", "cached_api_call_sync", "cached_stream", "cached_stream_sync"},
)
"""What apicache's functions that make a call through the cache are called."""
DECORATORS = frozenset({"operation", "cached"})
"""What apicache's decorators are called."""
_NAMES = ("apicache", "api_cache")
_DEFERRED = frozenset({"partial"})


def speaks_of_apicache(module: Module) -> bool:
    """Whether a module's text names apicache, or the instance of it that migrated modules import."""
    return any(name in module.source.text for name in _NAMES)


def is_cached(call: ast.Call, frame: Frame, module: Module) -> bool:
    """Whether apicache answers a call: by a decorator of a function around it, or as what `cached_api_call` wraps."""
    if not speaks_of_apicache(module):
        return False
    return is_calling(call) or _is_decorated(frame.scope) or _is_wrapped(call, frame.scope, module)


def is_calling(call: ast.Call) -> bool:
    """Whether a call is one of `cached_api_call` or its like."""
    return last_name(call.func) in CALLING


def last_name(expression: ast.expr) -> str:
    """`get` of `client.get` and of `get`; empty for what is neither name nor attribute."""
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")


def _is_decorated(scope: Scope | None) -> bool:
    while scope is not None:
        if scope.kind == "function" and DECORATORS & decorators(scope.node):
            return True
        scope = scope.parent
    return False


def _is_wrapped(call: ast.Call, scope: Scope, module: Module) -> bool:
    """Whether a call stands in what `cached_api_call` runs later: a lambda, or the call of a partial."""
    if not any(name in module.source.text for name in CALLING):
        return False
    around = scope.function.node if scope.function is not None else module.tree
    return any(call is inner for deferred in _deferred(around) for inner in ast.walk(deferred))


def _deferred(around: ast.AST) -> Iterator[ast.expr]:
    """The first arguments of `cached_api_call` that are run by it."""
    for node in ast.walk(around):
        if isinstance(node, ast.Call) and is_calling(node) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Lambda) or (isinstance(first, ast.Call) and last_name(first.func) in _DEFERRED):
                yield first
