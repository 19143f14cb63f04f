"""Registered operations as what can be put in the place of their calls."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from apicache_codemods.project import Module
from apicache_codemods.reverting.uses import Uses
from apicache_codemods.rewriting.edits import SourceTree
from apicache_codemods.rewriting.site_view import registered_name
from apicache_codemods.rewriting.terms import code_of


@dataclass(frozen=True)
class Body:
    """What an operation returns: `value`, awaited or not, perhaps inside the `with` of a client."""

    value: cst.BaseExpression
    is_awaited: bool
    opened: cst.With | None = None

    @property
    def client(self) -> str | None:
        """The name that the `with` binds."""
        asname = self.opened.items[0].asname if self.opened is not None else None
        return asname.name.value if asname is not None and isinstance(asname.name, cst.Name) else None


@dataclass(frozen=True)
class Operation:
    """A function registered by `@api_cache.operation(...)`; `body` is None when it does more than to return a call."""

    name: str
    module: Module
    function: ast.FunctionDef | ast.AsyncFunctionDef
    decorator: ast.expr
    returns_json: bool
    node: cst.FunctionDef
    body: Body | None

    @property
    def is_async(self) -> bool:
        """Whether its calls are awaited."""
        return isinstance(self.function, ast.AsyncFunctionDef)

    @property
    def defaults(self) -> dict[str, cst.BaseExpression | None] | None:
        """Its parameters with their defaults; None when some cannot be told apart (`*args`)."""
        given = self.node.params
        if given.posonly_params or isinstance(given.star_arg, cst.Param) or given.star_kwarg is not None:
            return None
        return {each.name.value: each.default for each in (*given.params, *given.kwonly_params)}


def operations_in(uses: Uses, tree: SourceTree) -> Iterator[Operation]:
    """The operations that a module registers at its top level."""
    nodes = {
        statement.name.value: statement for statement in tree.module.body if isinstance(statement, cst.FunctionDef)
    }
    for function in uses.module.tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name not in nodes:
            continue
        for decorator in function.decorator_list:
            name = registered_name(decorator)
            if name is None or not isinstance(decorator, ast.Call) or uses.of(decorator.func) is None:
                continue
            returns = next((each.value for each in decorator.keywords if each.arg == "returns"), None)
            returns_json = isinstance(returns, ast.Constant) and returns.value == "json"
            node = nodes[function.name]
            body = _body(node) if len(function.decorator_list) == 1 else None
            yield Operation(name, uses.module, function, decorator, returns_json, node, body)


def _body(node: cst.FunctionDef) -> Body | None:
    if not isinstance(node.body, cst.IndentedBlock):
        return None
    statements = list(node.body.body)
    if statements and _is_docstring(statements[0]):
        statements = statements[1:]
    opened = None
    if len(statements) == 1 and isinstance(statements[0], cst.With):
        opened = statements[0]
        if len(opened.items) != 1 or not isinstance(opened.body, cst.IndentedBlock):
            return None
        statements = list(opened.body.body)
    if len(statements) != 1 or not isinstance(statements[0], cst.SimpleStatementLine) or len(statements[0].body) != 1:
        return None
    returned = statements[0].body[0]
    if not isinstance(returned, cst.Return) or returned.value is None:
        return None
    value = returned.value
    is_awaited = isinstance(value, cst.Await)
    body = Body(value.expression if isinstance(value, cst.Await) else value, is_awaited, opened)
    return None if _defers(body) else body


def _is_docstring(statement: cst.BaseStatement) -> bool:
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and len(statement.body) == 1
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )


_DEFERRED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Yield, ast.Await)
_CONDITIONAL = (ast.IfExp, ast.BoolOp, ast.Compare)


def _defers(body: Body) -> bool:
    """Whether some of it is evaluated later, or not always: then arguments cannot stand in for parameters."""
    parts = [body.value, *((body.opened.items[0].item,) if body.opened is not None else ())]
    if body.opened is not None and body.client is None:
        return True
    trees = (ast.parse(f"({code_of(part)}\n)", mode="eval") for part in parts)
    return any(isinstance(node, (*_DEFERRED, *_CONDITIONAL)) for tree in trees for node in ast.walk(tree))
