"""Values that are new every time: timestamps, UUIDs, random numbers."""

import ast
from collections.abc import Iterable

from apicache_codemods.flow import Flow
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import External

_FRESH = frozenset(
    {
        *(
            f"time.{name}"
            for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
        ),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        *(f"uuid.{name}" for name in ("uuid1", "uuid4", "uuid6", "uuid7")),
        *(f"random.{name}" for name in ("random", "uniform", "getrandbits", "randbytes", "gauss")),
        *(f"secrets.{name}" for name in ("token_hex", "token_urlsafe", "token_bytes", "randbits")),
        "os.urandom",
        "django.utils.timezone.now",
    }
)
TELLING = ("time", "uuid", "random", "secrets", "monotonic", "perf_counter")
"""A text without any of these names none of them."""
_COARSE = frozenset(
    {"date", "isocalendar", "strftime", "replace", "round", "floor", "year", "month", "day", "hour", "weekday"}
)
"""What makes a timestamp repeat for a while."""


def fresh_call(expressions: Iterable[ast.expr], flow: Flow, frame: Frame, resolver: Resolver) -> str | None:
    """The call, as written, whose result is new every time and that feeds one of some expressions; None without one.

    A timestamp cut to a coarser one (`time() // 3600`, `.date()`, `strftime`) repeats, so it does not count.
    """
    seen: set[str] = set()
    waiting: list[ast.AST] = list(expressions)
    while waiting:
        node = waiting.pop()
        if _is_coarse(node):
            continue
        if isinstance(node, ast.Call) and _is_fresh(node.func, frame, resolver):
            return ast.unparse(node.func)
        if isinstance(node, ast.Name) and node.id not in seen:
            seen.add(node.id)
            waiting.extend(flow.sources.get(node.id, ()))
        waiting.extend(ast.iter_child_nodes(node))
    return None


def _is_fresh(called: ast.expr, frame: Frame, resolver: Resolver) -> bool:
    if not isinstance(called, ast.Name | ast.Attribute):
        return False
    return any(isinstance(value, External) and value.name in _FRESH for value in resolver.evaluate(called, frame))


def _is_coarse(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod(), left=left):
            return not (isinstance(left, ast.Constant) and isinstance(left.value, str))
        case ast.Call(func=ast.Name(id=name)) | ast.Attribute(attr=name):
            return name in _COARSE
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _COARSE
        case _:
            return False
