"""Compound statements: the branches that statements stand in."""

import ast
from collections.abc import Iterator
from typing import TypeAlias

Block: TypeAlias = tuple[tuple[int, int, int], ...]
"""The branches a statement stands in, outermost first: (line and column of the compound statement, which branch)."""

COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)
LOOP_BODY = -1
"""The branch number of a loop's body: what it binds late reaches its start again."""


def inner_blocks(statement: ast.stmt, block: Block) -> Iterator[tuple[list[ast.stmt], Block]]:
    """The statement lists inside a compound statement, each with the branches it stands in.

    A `with` body and a `finally` always run with their statement, so they stand in its own branches.
    """
    place = (statement.lineno, statement.col_offset)
    match statement:
        case ast.If():
            yield statement.body, (*block, (*place, 0))
            yield statement.orelse, (*block, (*place, 1))
        case ast.For() | ast.AsyncFor() | ast.While():
            yield statement.body, (*block, (*place, LOOP_BODY))
            yield statement.orelse, (*block, (*place, 1))
        case ast.With() | ast.AsyncWith():
            yield statement.body, block
        case ast.Try() | ast.TryStar():
            yield statement.body, (*block, (*place, 0))
            yield statement.orelse, (*block, (*place, 1))
            yield statement.finalbody, block
            for branch, handler in enumerate(statement.handlers, start=2):
                yield handler.body, (*block, (*place, branch))
        case ast.Match():
            for branch, case in enumerate(statement.cases):
                yield case.body, (*block, (*place, branch))
        case _:
            return
