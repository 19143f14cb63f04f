"""Cache keys against the calls they stand for: which parameters a call uses that its key does not hold."""

import ast
from collections.abc import Iterator

from apicache_codemods.analysis import ResolvedSite
from apicache_codemods.caching import is_calling, last_name
from apicache_codemods.flow import Flow, parameter_names
from apicache_codemods.home_caches import HomeCache
from apicache_codemods.requests_made import Function

_SELVES = frozenset({"self", "cls"})
_BESIDE = frozenset(
    {
        "timeout",
        "verify",
        "proxies",
        "proxy",
        "cert",
        "auth",
        "allow_redirects",
        "follow_redirects",
        "session",
        "retries",
    }
)
"""Arguments that do not decide on the answer."""
_HANDLES = frozenset(
    {"client", "session", "http", "logger", "log", "headers", "ctx", "context", "conn", "cursor", "db"}
)
"""Parameters that stand for a connection or for what goes with every request."""
_WHOLE = frozenset({"locals", "vars"})
_MAKING = frozenset({"__init__", "__new__", "__post_init__", "__aenter__", "__enter__", "setUp"})


def omitted_from(cache: HomeCache) -> frozenset[str]:
    """The function's parameters that decide on the request and are not in a home-made cache's key."""
    flow = cache.function.flow
    key = flow.names(cache.key)
    if key & _WHOLE:
        return frozenset()
    return _deciding(cache.resolved.node, flow) & _countable(flow) - key


def _countable(flow: Flow) -> frozenset[str]:
    return frozenset(name for name in flow.parameters if name not in _SELVES and name not in _HANDLES | _BESIDE)


def _deciding(call: ast.Call, flow: Flow) -> frozenset[str]:
    """The names that feed what a call sends."""
    return flow.names(*_sent(call))


def keyed_calls(function: Function) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Calls through the cache with a key of the user's own, `using(key=...).cached_api_call(...)`, and the key."""
    if not any("using(" in line for line in function.lines):
        return
    for node in function.flow.nodes:
        if isinstance(node, ast.Call) and is_calling(node) and isinstance(node.func, ast.Attribute):
            using = node.func.value
            if isinstance(using, ast.Call) and last_name(using.func) == "using":
                for keyword in using.keywords:
                    if keyword.arg == "key" and _is_seen(keyword.value, function.flow):
                        yield node, keyword.value


def _is_seen(key: ast.expr, flow: Flow) -> bool:
    """Whether all that a key is made of can be seen: not a function that makes it, not a name from elsewhere."""
    if isinstance(key, ast.Name):
        return key.id in flow.sources or key.id in flow.parameters
    return not isinstance(key, ast.Lambda | ast.Attribute) and not (isinstance(key, ast.Constant) and key.value is None)


def omitted_from_key(call: ast.Call, key: ast.expr, flow: Flow) -> frozenset[str]:
    """The function's parameters that decide on a call through the cache and are not in its key."""
    given = flow.names(key)
    if given & _WHOLE:
        return frozenset()
    wrapped = call.args[1:] if call.args else []
    sent = [*wrapped, *(keyword.value for keyword in call.keywords if keyword.arg not in _BESIDE)]
    return flow.names(*sent) & _countable(flow) - given


def omitted_by_decorator(function: Function, resolved: ResolvedSite) -> frozenset[str]:
    """The parameters that decide on a call and that its function's `key=lambda ...` decorator passes over."""
    node = function.scope.node
    arguments = getattr(node, "args", None)
    for decorator in getattr(node, "decorator_list", ()):
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "key" and isinstance(keyword.value, ast.Lambda) and isinstance(arguments, ast.arguments):
                unused = _unused(keyword.value, arguments)
                return _deciding(resolved.node, function.flow) & _countable(function.flow) & unused
    return frozenset()


def _unused(key: ast.Lambda, arguments: ast.arguments) -> frozenset[str]:
    """The function's parameters whose counterparts in the lambda are not in its body."""
    used = {node.id for node in ast.walk(key.body) if isinstance(node, ast.Name)}
    own = [each.arg for each in (*key.args.posonlyargs, *key.args.args)]
    starred = [each.arg for each in (key.args.vararg, key.args.kwarg) if each is not None]
    if used & set(starred):
        return frozenset()
    found = set()
    for index, name in enumerate(parameter_names(arguments)):
        counterpart = name if name in own or index >= len(own) else own[index]
        if counterpart not in used:
            found.add(name)
    return frozenset(found)


def changed_attributes(function: Function, resolved: ResolvedSite) -> frozenset[str]:
    """The attributes of `self` that decide on a call and that another method than the constructor assigns."""
    around = function.scope.parent
    if around is None or not isinstance(around.node, ast.ClassDef):
        return frozenset()
    changed = {
        target.attr
        for method in around.node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name not in _MAKING
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store) and _is_self(target.value)
    }
    read = {
        node.attr
        for node in function.flow.feeding(*_sent(resolved.node))
        if isinstance(node, ast.Attribute) and _is_self(node.value)
    }
    return frozenset(changed & read)


def _sent(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg not in _BESIDE)]


def _is_self(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Name) and expression.id == "self"


def listed(names: frozenset[str], prefix: str = "") -> str:
    """Names for a message, sorted."""
    return ", ".join(f"{prefix}{name}" for name in sorted(names))
