"""Home-made caches around a call: a mapping that a function looks in before the call and stores the answer in after."""

import ast
import re
from collections.abc import Iterator

import msgspec

from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.flow import Flow, parameter_names
from apicache_codemods.functions import outside
from apicache_codemods.requests_made import Function
from apicache_codemods.values import External

_STORES = re.compile(r"\]\s*=(?!=)")
_SELVES = frozenset({"self", "cls"})
_PLAIN = frozenset({"dict", "defaultdict", "OrderedDict"})
_MEMOISING = frozenset({"functools.cache", "functools.lru_cache"})


class HomeCache(msgspec.Struct, frozen=True, eq=False):
    """A mapping used as a cache: its expression as written, the key it is stored under, the call that is answered."""

    written: str
    key: ast.expr
    resolved: ResolvedSite
    function: Function

    @property
    def name(self) -> str:
        """The mapping's last name: `_cache` of `self._cache`."""
        return self.written.rpartition(".")[2]


def home_caches(function: Function) -> Iterator[HomeCache]:
    """The home-made caches of a function; one that is made in the function itself is none."""
    if not any(_STORES.search(line) for line in function.lines):
        return
    flow = function.flow
    sites = {made.call: made.site for made in function.made if made.site is not None}
    if isinstance(flow.body, ast.Module) or not sites:
        return
    read = set(_looked_up(flow))
    for holder, key, value in _stored(flow):
        written = ast.unparse(holder)
        root = written.partition(".")[0]
        if written not in read or root in flow.parameters - _SELVES or _is_made_here(root, flow):
            continue
        answered = next((node for node in flow.feeding(value) if isinstance(node, ast.Call) and node in sites), None)
        if answered is not None:
            cache = HomeCache(written, key, sites[answered], function)
            if made_as(cache):
                yield cache


def _stored(flow: Flow) -> Iterator[tuple[ast.expr, ast.expr, ast.expr]]:
    """Mapping, key and value of every `mapping[key] = value`."""
    for node in flow.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name | ast.Attribute):
                    yield target.value, target.slice, node.value


def _looked_up(flow: Flow) -> Iterator[str]:
    """The mappings that are asked for a key: `key in mapping`, `mapping.get(key)`, `mapping[key]` in a `try`."""
    for node in flow.nodes:
        match node:
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Name() | ast.Attribute() as holder]):
                yield ast.unparse(holder)
            case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as holder, attr="get")):
                yield ast.unparse(holder)
            case ast.Try(body=body, handlers=handlers) if any(_is_missing(handler) for handler in handlers):
                for each in (inner for statement in body for inner in ast.walk(statement)):
                    if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Load):
                        yield ast.unparse(each.value)


def _is_missing(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and "KeyError" in ast.unparse(handler.type)


def _is_made_here(root: str, flow: Flow) -> bool:
    if root in _SELVES:
        return False
    is_global = any(isinstance(node, ast.Global | ast.Nonlocal) and root in node.names for node in flow.nodes)
    return not is_global and any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == root for node in flow.nodes
    )


def varies(cache: HomeCache) -> bool:
    """Whether the key depends on a parameter of the function."""
    flow = cache.function.flow
    return bool(flow.names(cache.key) & (flow.parameters - _SELVES))


def is_unbounded(cache: HomeCache) -> bool:
    """Whether the mapping is a plain dictionary that nothing in its module empties, bounds or replaces."""
    module, name = cache.function.module, re.escape(cache.name)
    shrinks = rf"\b{name}\.(?:pop|popitem|clear|move_to_end)\b|\bdel\s+[\w.]*\b{name}\b|\blen\(\s*[\w.]*\b{name}\s*\)"
    if re.search(shrinks, module.source.text):
        return False
    values = made_as(cache)
    return len(values) == 1 and _is_plain(values[0])


def made_as(cache: HomeCache) -> list[ast.expr]:
    """What the module assigns to the mapping; nothing when it is another module's, such as `os.environ`."""
    made = [node for node in ast.walk(cache.function.module.tree) if cache.name in _assigned(node)]
    return [value for node in made if isinstance(value := getattr(node, "value", None), ast.expr)]


def _assigned(node: ast.AST) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        yield target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _is_plain(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    return getattr(called, "id", getattr(called, "attr", "")) in _PLAIN


def memoised(function: Function, analysis: Analysis) -> ast.expr | None:
    """The `functools.cache` or `functools.lru_cache` decorator of a function; None without one."""
    for decorator in getattr(function.scope.node, "decorator_list", ()):
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        values = analysis.resolver.evaluate(named, outside(function.scope))
        if any(isinstance(value, External) and value.name in _MEMOISING for value in values):
            return decorator if isinstance(decorator, ast.expr) else None
    return None


def has_no_bound(decorator: ast.expr) -> bool:
    """Whether such a decorator keeps every answer: `cache`, `lru_cache(maxsize=None)`."""
    if not isinstance(decorator, ast.Call):
        return getattr(decorator, "attr", getattr(decorator, "id", "")) != "lru_cache"
    given = [keyword.value for keyword in decorator.keywords if keyword.arg == "maxsize"] or decorator.args[:1]
    return bool(given) and isinstance(given[0], ast.Constant) and given[0].value is None


def takes_parameters(function: Function) -> bool:
    """Whether a function has parameters beside `self` and `cls`."""
    arguments = getattr(function.scope.node, "args", None)
    return isinstance(arguments, ast.arguments) and bool(set(parameter_names(arguments)) - _SELVES)
