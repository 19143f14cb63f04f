"""A query on a SQLAlchemy engine, on a connection of its own: what `adapters.sqlalchemy` knows an engine by.

An engine has no `execute` itself. Here it is asked as a pool is, by `call_on`: any of its connections may answer.
"""

import types
from collections.abc import Callable
from typing import Any


def execute(engine: Any, statement: Any, *parameters: Any) -> Any:
    """The result of a statement, read to its end."""
    with engine.connect() as connection:
        return connection.execute(statement, *parameters).freeze()()


async def execute_async(engine: Any, statement: Any, *parameters: Any) -> Any:
    """The same on an AsyncEngine."""
    async with engine.connect() as connection:
        result = await connection.execute(statement, *parameters)
        return result.freeze()()


def is_async(database: Any) -> bool:
    """Whether it is one of `sqlalchemy.ext.asyncio`, told by its class, so that nothing is imported for it."""
    return any(kind.__module__.startswith("sqlalchemy.ext.asyncio") for kind in type(database).__mro__)


def call_on(engine: Any) -> Callable[..., Any]:
    """`execute` of an Engine, or `execute_async` of an AsyncEngine, as a method of it."""
    return types.MethodType(execute_async if is_async(engine) else execute, engine)
