"""The loops around a call, and what they go through."""

import ast
from collections.abc import Collection

import msgspec

from apicache_codemods.flow import Flow, is_comprehension, target_names
from apicache_codemods.requests_made import Function, Made

_COUNTING = frozenset({"range", "count", "chunks", "chunked", "batched", "batches"})


class Loop(msgspec.Struct, frozen=True, eq=False):
    """One loop around a call: a `for`, an `async for`, or a comprehension's `for`. `node` is the whole construct."""

    node: ast.AST
    targets: frozenset[str]
    iterated: ast.expr
    is_async: bool

    def holds(self, node: ast.expr) -> bool:
        """Whether an expression of the same function stands inside the construct."""
        return _start(self.node) <= _start(node) and _end(node) <= _end(self.node)


def innermost(call: ast.AST, flow: Flow) -> Loop | None:
    """The innermost loop whose rounds each run the call; None without one, and when it is a `while`."""
    node = call
    while node in flow.parents:
        parent = flow.parents[node]
        match parent:
            case ast.While():
                return None
            case ast.For() | ast.AsyncFor() if any(node is each for each in parent.body):
                is_async = isinstance(parent, ast.AsyncFor)
                return Loop(parent, target_names(parent.target), parent.iter, is_async)
            case _ if is_comprehension(parent):
                loop = _generator(parent, node)
                if loop is not None:
                    return loop
        node = parent
    return None


def _generator(comprehension: ast.AST, inside: ast.AST) -> Loop | None:
    """The `for` of a comprehension around a part of it; its first iterable is evaluated once, outside."""
    generators: list[ast.comprehension] = getattr(comprehension, "generators", [])
    around = generators[: generators.index(inside)] if isinstance(inside, ast.comprehension) else generators
    if not around:
        return None
    last = around[-1]
    return Loop(comprehension, target_names(last.target), last.iter, bool(last.is_async))


def results_looped_over(loop: Loop, function: Function) -> Made | None:
    """The request, made before the loop, whose results it goes through; None when it does not.

    A loop over numbers (`range(pages)`) or over batches goes through no results.
    """
    iterated = loop.iterated
    if isinstance(iterated, ast.Call) and getattr(iterated.func, "id", getattr(iterated.func, "attr", "")) in _COUNTING:
        return None
    earlier = [made for made in function.made if not _inside_rounds(made, loop)]
    by_call = {made.call: made for made in earlier}
    cursors = {
        ast.unparse(made.site.client.expression): made
        for made in earlier
        if made.kind == "db" and made.site is not None and made.place < _start(iterated)
    }
    for node in function.flow.feeding(iterated):
        if isinstance(node, ast.Call) and node in by_call:
            return by_call[node]
        if isinstance(node, ast.Name | ast.Attribute) and cursors and ast.unparse(node) in cursors:
            return cursors[ast.unparse(node)]
    return None


def _inside_rounds(made: Made, loop: Loop) -> bool:
    is_iterated = _start(loop.iterated) <= made.place and _end(made.call) <= _end(loop.iterated)
    return not is_iterated and loop.holds(made.call)


def depends_on(made_call: ast.Call, names: Collection[str], flow: Flow) -> bool:
    """Whether what a call is given depends on one of some names."""
    given = [*made_call.args, *(keyword.value for keyword in made_call.keywords)]
    return not flow.names(*given).isdisjoint(names)


def rounds_depend_on_each_other(call: ast.Call, loop: Loop, flow: Flow) -> bool:
    """Whether a round may need what an earlier one gave, or ends the loop: then the calls cannot be made together."""
    inside = [node for node in ast.walk(loop.node) if node in flow.parents]
    if any(_ends(node, loop, flow) or _waits(node) for node in inside):
        return True
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = flow.names(*given) - loop.targets
    return any(names & _changed(node) for node in inside if _start(node) >= _end(call))


def _ends(node: ast.AST, loop: Loop, flow: Flow) -> bool:
    if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
        return True
    if not isinstance(node, ast.Break):
        return False
    around = flow.parents.get(node)
    while around is not None and not isinstance(around, ast.For | ast.AsyncFor | ast.While):
        around = flow.parents.get(around)
    return around is loop.node


def _waits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "sleep"


def _changed(node: ast.AST) -> frozenset[str]:
    match node:
        case ast.Assign(targets=targets):
            return frozenset().union(*map(target_names, targets))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target) | ast.NamedExpr(target=target):
            return target_names(target)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
            return frozenset({name})  # `messages.append(answer)`, `page.advance()`
        case _:
            return frozenset()


def _start(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _end(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)


def waits_for(call: ast.Call, flow: Flow) -> bool:
    """Whether the code waits for what a call gives: by `await` or `async with`."""
    parent = flow.parents.get(call)
    return isinstance(parent, ast.Await) or (
        isinstance(parent, ast.withitem) and isinstance(flow.parents.get(parent), ast.AsyncWith)
    )
