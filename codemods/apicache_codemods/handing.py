"""Functions passed to a call as values: whether that call surely calls them, and with what."""

import ast
import re
from collections.abc import Iterator

from apicache_codemods.bindings import Parameter
from apicache_codemods.caching import CALLING, last_name
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Client, External, Member, ProjectClass, ProjectFunction, Text, Value

_GOING_THROUGH = frozenset({"map", "imap", "imap_unordered", "map_async", "amap", "starmap", "starmap_async"})
"""Calls the function once for each element of what follows."""
_SPREADING = frozenset({"starmap", "starmap_async"})
_ARGUMENTS = ("args", "kwargs")
_PACKED = {
    "Thread": _ARGUMENTS,
    "Process": _ARGUMENTS,
    "Timer": _ARGUMENTS,
    "apply": ("args", "kwds"),
    "apply_async": ("args", "kwds"),
    "retry_call": ("fargs", "fkwargs"),
}
"""Passes on what is packed into these arguments."""
_STORING = frozenset(
    {
        *("partial", "partialmethod", "wraps", "update_wrapper", "append", "add", "insert", "extend", "setattr", "put"),
        *("setdefault", "update", "register", "connect", "subscribe", "on", "add_listener", "add_handler", "callback"),
        *("isinstance", "issubclass", "callable", "hasattr", "getattr", "id", "repr", "str", "print", "len", "type"),
        *(
            "Mock",
            "MagicMock",
            "AsyncMock",
            "patch",
            "object",
            "signature",
            "getsource",
            "getdoc",
            "iscoroutinefunction",
        ),
        *("push", "add_done_callback", "field", "Field", "property", "staticmethod", "classmethod", "debug", "info"),
        *("sync_to_async", "async_to_sync", "cache", "lru_cache", "cast", "TypeVar", "dict", "list", "tuple", "set"),
    }
)
_RUNNING = re.compile(
    r"retr(?:y|ying)|attempt|backoff|to_?thread|(?:^|_)(?:call|run|exec|execute|executor|invoke|submit|schedule|perform"
    r"|apply|throttle|limit|spawn|soon|enqueue|safe|safely|try|with|job|task|thread)(?:$|_)",
    re.IGNORECASE,
)
_URL = re.compile(r"\w+://|/")


class Handing:
    """Reads calls that are passed a function which makes a request."""

    def __init__(self, clients: Resolver, texts: Resolver) -> None:
        self._clients = clients
        self._texts = texts

    def sent(self, call: ast.Call, given: ast.expr, frame: Frame) -> ast.Call | None:
        """The call of the function `given` that `call` makes; None when it may make none."""
        name = last_name(call.func) or _decorator_name(call.func)
        made = _passed_on(call, given, name)
        return made if self._surely_calls(call, given, made, name, frame) else None

    def _surely_calls(self, call: ast.Call, given: ast.expr, made: ast.Call, name: str, frame: Frame) -> bool:
        if name in _STORING:
            return False
        if name in CALLING:
            return True
        for callee in self._clients.evaluate(call.func, frame):
            if isinstance(callee, ProjectFunction):
                return _calls_parameter(callee, call, given)
            if isinstance(callee, ProjectClass | Client | Member | Text) or self._is_of_library(callee):
                return False
        return name in _GOING_THROUGH or name in _PACKED or bool(_RUNNING.search(name)) or self._fits(made, frame)

    def _is_of_library(self, callee: Value) -> bool:
        if not isinstance(callee, External):
            return False
        catalogue = self._clients.catalogue
        return callee.name in catalogue.constructors or callee.name in catalogue.functions

    def _fits(self, made: ast.Call, frame: Frame) -> bool:
        """Whether what follows is a URL."""
        if not made.args or isinstance(made.args[0], ast.Starred):
            return False
        parts = self._texts.text(made.args[0], frame).parts
        return bool(parts) and isinstance(parts[0], str) and bool(_URL.match(parts[0]))


def is_mapped(call: ast.Call) -> bool:
    """Whether a call goes through a collection: `map(client.get, urls)`."""
    return last_name(call.func) in _GOING_THROUGH


def _decorator_name(function: ast.expr) -> str:
    """`retry` of `retry(times=3)(client.get, url)`."""
    return last_name(function.func) if isinstance(function, ast.Call) else ""


def _passed_on(call: ast.Call, given: ast.expr, name: str) -> ast.Call:
    """The call of `given` as it would be written out."""
    index = next((at for at, argument in enumerate(call.args) if argument is given), None)
    following = call.args[index + 1 :] if index is not None else []
    keywords = [keyword for keyword in call.keywords if keyword.value is not given]
    if name in _GOING_THROUGH:
        element = following[0] if following else None
        args: list[ast.expr] = [_element_of(each) for each in following]
        if name in _SPREADING and element is not None:
            args = [ast.copy_location(ast.Starred(_element_of(element), ast.Load()), element)]
        keywords = []
    elif name in _PACKED or any(keyword.arg == "args" for keyword in keywords):
        args, keywords = _unpacked(_PACKED.get(name, _ARGUMENTS), following, keywords)
    else:
        args = list(following)
    return ast.copy_location(ast.Call(func=given, args=args, keywords=keywords), call)


def _element_of(iterable: ast.expr) -> ast.expr:
    """An expression that is worth any element of another."""
    index = ast.Name(id="", ctx=ast.Load())
    made = ast.Subscript(value=iterable, slice=ast.copy_location(index, iterable), ctx=ast.Load())
    return ast.copy_location(made, iterable)


def _unpacked(
    names: tuple[str, str], following: list[ast.expr], keywords: list[ast.keyword]
) -> tuple[list[ast.expr], list[ast.keyword]]:
    by_name = {keyword.arg: keyword.value for keyword in keywords}
    positional = by_name.get(names[0], following[0] if following else None)
    named = by_name.get(names[1], following[1] if len(following) > 1 else None)
    args: list[ast.expr] = []
    if isinstance(positional, ast.Tuple | ast.List):
        args = list(positional.elts)
    elif positional is not None:
        args = [ast.copy_location(ast.Starred(positional, ast.Load()), positional)]
    if isinstance(named, ast.Dict):
        return args, list(_as_keywords(named))
    return args, [ast.keyword(arg=None, value=named)] if named is not None else []


def _as_keywords(node: ast.Dict) -> Iterator[ast.keyword]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield ast.keyword(arg=key.value, value=value)
        else:
            yield ast.keyword(arg=None, value=value)


def _calls_parameter(function: ProjectFunction, call: ast.Call, given: ast.expr) -> bool:
    """Whether a function of the project calls the parameter that a call passes `given` for, or passes it on.

    A function inside it that does so counts when it is itself called there, not when it is returned.
    """
    name = _parameter_name(function, call, given)
    return name is not None and _is_used(name, function.scope.node)


def _parameter_name(function: ProjectFunction, call: ast.Call, given: ast.expr) -> str | None:
    for keyword in call.keywords:
        if keyword.value is given:
            return keyword.arg
    index = next((at for at, argument in enumerate(call.args) if argument is given), None)
    if index is None:
        return None
    index += function.bound is not None
    sources = [binding.source for bindings in function.scope.names.bindings.values() for binding in bindings]
    named = next((each.name for each in sources if isinstance(each, Parameter) and each.index == index), None)
    rest = getattr(getattr(function.scope.node, "args", None), "vararg", None)
    return named or (rest.arg if rest is not None else None)


def _is_used(name: str, node: ast.AST) -> bool:
    own, inner = _calls_in(node)
    if any(_uses(call, name) for call in own):
        return True
    helpers = [
        each for each in inner if any(isinstance(node, ast.Call) and _uses(node, name) for node in ast.walk(each))
    ]
    return any(_uses(call, getattr(each, "name", "")) for each in helpers for call in own)


def _uses(call: ast.Call, name: str) -> bool:
    """Whether a call calls what is passed on with what is passed on, or hands it to what does.

    A function that is called with arguments of the function around it is written out there: that call is the site.
    """
    passes_on = any(isinstance(each, ast.Starred) for each in call.args)
    passes_on = passes_on or any(keyword.arg is None for keyword in call.keywords)
    if isinstance(call.func, ast.Name) and call.func.id == name:
        return passes_on or not (call.args or call.keywords)
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    plain = [each.value if isinstance(each, ast.Starred) else each for each in given]
    handed = any(isinstance(each, ast.Name) and each.id == name for each in plain)
    called = last_name(call.func)
    return handed and called not in _STORING and (passes_on or bool(_RUNNING.search(called)))


def _calls_in(node: ast.AST) -> tuple[list[ast.Call], list[ast.AST]]:
    """The calls of a function's own statements, and the functions defined inside it; lambdas are its own."""
    calls: list[ast.Call] = []
    inner: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner.append(each)
            continue
        if isinstance(each, ast.Call):
            calls.append(each)
        waiting.extend(ast.iter_child_nodes(each))
    return calls, inner
