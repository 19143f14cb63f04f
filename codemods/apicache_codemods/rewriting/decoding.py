"""Recognising a site that does nothing with the response but return its decoded body.

Exactly `response = await call` with `return response.json()` right after it, or `return (await call).json()`.
"""

import ast
from dataclasses import dataclass

import libcst as cst

from apicache_codemods.rewriting.edits import Located
from apicache_codemods.rewriting.subject import FUNCTIONS, Subject


@dataclass(frozen=True, slots=True)
class Decoding:
    """The statement that takes the response, and the return after it; None when it is one statement."""

    statement: cst.SimpleStatementLine
    follower: cst.SimpleStatementLine | None


def decoding(subject: Subject, located: Located) -> Decoding | None:
    """How the site returns `.json()` and nothing else; None when it does anything else with the response."""
    around = list(located.around)
    if around and isinstance(around[0], cst.Await):
        around.pop(0)
    if not around:
        return None
    if isinstance(around[0], cst.Assign | cst.AnnAssign):
        return _assigned(subject, around)
    return _returned(around)


def _assigned(subject: Subject, around: list[cst.CSTNode]) -> Decoding | None:
    small, line, block = around[0], around[1], around[2]
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1 or not isinstance(block, cst.IndentedBlock):
        return None
    name = _target(small)
    index = next((place for place, statement in enumerate(block.body) if statement is line), None)
    if name is None or index is None or index + 1 >= len(block.body):
        return None
    follower = block.body[index + 1]
    if not isinstance(follower, cst.SimpleStatementLine) or len(follower.body) != 1:
        return None
    returned = follower.body[0]
    decoded = _decoded(returned.value) if isinstance(returned, cst.Return) else None
    if not isinstance(decoded, cst.Name) or decoded.value != name or _outlives(subject, name):
        return None
    return Decoding(line, follower)


def _returned(around: list[cst.CSTNode]) -> Decoding | None:
    if len(around) < 4:  # noqa: PLR2004 - attribute, call, return, line
        return None
    attribute, call, returned, line = around[:4]
    if not isinstance(returned, cst.Return) or returned.value is not call or _decoded(call) is None:
        return None
    if not isinstance(attribute, cst.Attribute) or not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    return Decoding(line, None)


def _target(small: cst.CSTNode) -> str | None:
    if isinstance(small, cst.Assign) and len(small.targets) == 1 and isinstance(small.targets[0].target, cst.Name):
        return small.targets[0].target.value
    if isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name):
        return small.target.value
    return None


def _decoded(value: cst.CSTNode | None) -> cst.BaseExpression | None:
    """What `.json()` is called on, without arguments."""
    if isinstance(value, cst.Call) and not value.args and isinstance(value.func, cst.Attribute):
        return value.func.value if value.func.attr.value == "json" else None
    return None


def _outlives(subject: Subject, name: str) -> bool:
    """Whether the response can still be read once the function returns: by a closure, `finally` or an outer scope."""
    function = subject.function
    if function is None:
        return True
    for node in ast.walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            return True
        if isinstance(node, (*FUNCTIONS, ast.Lambda)) and node is not function and _reads(node, name):
            return True
        if isinstance(node, ast.Try | ast.TryStar) and any(_reads(statement, name) for statement in node.finalbody):
            return True
    return False


def _reads(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Load) for each in ast.walk(node)
    )
