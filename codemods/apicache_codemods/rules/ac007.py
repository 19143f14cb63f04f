"""AC007: a call through the cache is given something new each time, so it never hits."""

import ast
from collections.abc import Iterator, Sequence

from apicache_codemods.analysis import Analysis
from apicache_codemods.caching import CALLING, DECORATORS, is_calling, last_name, speaks_of_apicache
from apicache_codemods.flow import Flow
from apicache_codemods.fresh_values import TELLING, fresh_call
from apicache_codemods.functions import decorators
from apicache_codemods.project import Module
from apicache_codemods.rule import Context, Documentation, Hit, Rule
from apicache_codemods.scopes import Frame, Scope
from apicache_codemods.values import ProjectFunction

_BESIDE = frozenset({"timeout", "headers", "extra_headers", "operation"})
"""Arguments that are not counted: they are not part of what repeats, or are told apart by the runtime."""
_MEMOISING = frozenset({"lru_cache"})


def check(context: Context) -> Iterator[Hit]:
    """One hit at each `cached_api_call`, or call of a cached function of the project, that holds a fresh value."""
    analysis = context.analysis
    cached = frozenset(_cached_names(analysis))
    for module in _modules(analysis, cached):
        for scope in (module.scope, *module.scope.descendants()):
            if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                yield from _in_scope(module, scope, Flow(scope.node), (cached, analysis))


def _cached_names(analysis: Analysis) -> Iterator[str]:
    """The names of the functions that a decorator caches, in the modules that were parsed."""
    for module in analysis.modules.values():
        if speaks_of_apicache(module) or any(name in module.source.text for name in _MEMOISING):
            scopes = [scope for scope in module.scope.descendants() if scope.kind == "function"]
            yield from (getattr(scope.node, "name", "") for scope in scopes if _is_caching(scope, module))


def _is_caching(scope: Scope, module: Module) -> bool:
    found = decorators(scope.node)
    return bool(found & _MEMOISING) or (bool(found & DECORATORS) and speaks_of_apicache(module))


def _modules(analysis: Analysis, cached: frozenset[str]) -> Iterator[Module]:
    """The modules that name a fresh value and what is cached; parsed only then."""
    known = {module.location for module in analysis.modules.values()}
    project = analysis.resolver.project
    for location, source in project.sources.items():
        names = (*CALLING, *cached) if location in known else CALLING
        if any(name in source.text for name in names) and any(name in source.text for name in TELLING):
            module = project.module(location)
            if module is not None:
                yield module


def _in_scope(module: Module, scope: Scope, flow: Flow, known: tuple[frozenset[str], Analysis]) -> Iterator[Hit]:
    cached, analysis = known
    frame = Frame(scope)
    for node in flow.nodes:
        if not isinstance(node, ast.Call) or not (is_calling(node) or last_name(node.func) in cached):
            continue
        given = _given(node)
        fresh = fresh_call(given, flow, frame, analysis.resolver) if given else None
        if fresh is not None and (_is_cached_call(node, module) or _runs_cached(node, frame, analysis)):
            message = f"cached call that never repeats: {fresh}() is new every time, so the key is, too"
            yield Hit(module, node, scope.qualname or None, message)


def _given(call: ast.Call) -> Sequence[ast.expr]:
    wrapped = call.args[1:] if is_calling(call) else call.args
    return [*wrapped, *(keyword.value for keyword in call.keywords if keyword.arg not in _BESIDE)]


def _is_cached_call(call: ast.Call, module: Module) -> bool:
    return is_calling(call) and speaks_of_apicache(module)


def _runs_cached(call: ast.Call, frame: Frame, analysis: Analysis) -> bool:
    """Whether a call runs a function of the project that a decorator caches."""
    if not isinstance(call.func, ast.Name | ast.Attribute):
        return False
    for value in analysis.resolver.evaluate(call.func, frame):
        if isinstance(value, ProjectFunction):
            module = analysis.resolver.project.module(value.scope.owner)
            if module is not None and _is_caching(value.scope, module):
                return True
    return False


RULE = Rule(
    code="AC007",
    name="never-repeats",
    summary="a call through the cache that holds something new each time",
    severity="warning",
    documentation=Documentation(
        why="A timestamp, a UUID or a random number among the parameters makes every key a new one: the cache never "
        "answers, and fills with entries that nobody asks for again.",
        bad="""
await api_cache.cached_api_call(operation="report", customer=customer, now=time.time())
""",
        good="""
await api_cache.cached_api_call(operation="report", customer=customer, day=date.today().isoformat())
""",
        fix="Leave it out, cut it to a coarser one, or make it inside the operation.",
    ),
    check=check,
    invalid=(
        """
        import time
        from app.operations import api_cache
        async def report(customer):
            return await api_cache.cached_api_call(operation="report", customer=customer, now=time.time())  # here
        """,
        """
        import requests
        from uuid import uuid4
        from apicache import cached_api_call_sync
        def load(url):
            params = {"nonce": str(uuid4())}
            return cached_api_call_sync(requests.get, url, params=params)  # here
        """,
        """
        import datetime as dt
        import requests
        from apicache import cached
        @cached(prefix="report", ttl="1h")
        def report(customer, moment):
            return requests.get(f"https://api.example.com/reports/{customer}", params={"at": moment}).json()
        def show(customer):
            return report(customer, dt.datetime.now().isoformat())  # here
        """,
    ),
    valid=(
        """
        import datetime as dt
        from app.operations import api_cache
        async def report(customer):
            day = dt.datetime.now().date().isoformat()
            return await api_cache.cached_api_call(operation="report", customer=customer, day=day)
        """,
        """
        import time
        from app.operations import api_cache
        async def report(customer):
            return await api_cache.cached_api_call(operation="report", customer=customer, hour=int(time.time() // 3600))
        """,
        """
        import time
        from app.operations import api_cache
        async def report(customer):
            started = time.perf_counter()
            answer = await api_cache.cached_api_call(operation="report", customer=customer)
            print(time.perf_counter() - started)
            return answer
        """,
        """
        import time
        import requests
        def load(url):
            return requests.get(url, params={"now": time.time()})
        """,
        """
        import uuid
        import requests
        from apicache import cached_api_call_sync
        def load(url):
            return cached_api_call_sync(requests.get, url, headers={"X-Request-Id": str(uuid.uuid4())})
        """,
    ),
)
