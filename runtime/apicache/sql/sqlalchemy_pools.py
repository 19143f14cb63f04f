"""Which of SQLAlchemy's pools give each caller a connection of its own, and what the others give.

What is checked out of a pool is rolled back when it returns. Where several share a connection that would be another
session's work, so such a pool's is only looked at where it lies.
"""

from typing import Any, Final

from sqlalchemy import pool as pools

from apicache.errors import UnidentifiableError

_OWN: Final = frozenset({pools.QueuePool, pools.NullPool, pools.AsyncAdaptedQueuePool})


def gives_each_its_own(pool: Any) -> bool:
    """Whether no two who have checked a connection out at the same time have the same."""
    return type(pool) in _OWN


def shared_by(pool: Any) -> Any:
    """The driver's connection that all, or all in this thread, are given; None for none, or none yet.

    Raises UnidentifiableError for a pool that may do it in its own way.
    """
    if gives_each_its_own(pool):
        return None
    if type(pool) is pools.StaticPool:
        record = vars(pool).get("connection")  # asked for by its name it would be made
    elif type(pool) is pools.SingletonThreadPool:
        reference = getattr(getattr(pool, "_conn", None), "current", None)  # no public reader
        record = None if reference is None else reference()
    else:
        raise UnidentifiableError(f"its pool is a {type(pool).__name__}, which may give one connection to several")
    return getattr(record, "driver_connection", None)
