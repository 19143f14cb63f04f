"""What the cards of database drivers share: connections and cursors as PEP 249 describes them."""

from collections.abc import Iterable, Mapping

from apicache_codemods.detector import Argument, Constructor, Request


def statement(keyword: str = "operation", *parameters: str) -> Request:
    """A call whose first argument is the statement; `parameters` name what follows it."""
    payload = tuple(Argument(name, position) for position, name in enumerate(parameters, start=1))
    return Request(method="", url=Argument(keyword, 0), payload=payload)


EXECUTE = statement("operation", "parameters")
CALLPROC = Request(method="CALL", url=Argument("procname", 0), payload=(Argument("parameters", 1),))
CURSOR_CALLS: Mapping[str, Request] = {"execute": EXECUTE, "executemany": EXECUTE}


def driver(
    connections: Iterable[str],
    cursors: Iterable[str],
    *,
    cursor: str = "cursor",
    connection_calls: Mapping[str, Request] | None = None,
    cursor_calls: Mapping[str, Request] = CURSOR_CALLS,
    is_async: bool = False,
) -> dict[str, Constructor]:
    """The constructors of a driver: `connections` are functions and classes that give one, likewise `cursors`.

    The first of `cursors` is what a connection's method `cursor` gives; the calls of a connection that run a statement
    themselves give it too.
    """
    names = list(cursors)
    opened = [cursor, *(connection_calls or {})]
    made = Constructor(is_async=is_async, calls=connection_calls or {}, opens=dict.fromkeys(opened, names[0]))
    held = Constructor(is_async=is_async, calls=cursor_calls)
    return {**dict.fromkeys(connections, made), **dict.fromkeys(names, held)}


def pool(gives: str, *methods: str, is_async: bool = False, calls: Mapping[str, Request] | None = None) -> Constructor:
    """A pool whose `methods` give a connection."""
    return Constructor(is_async=is_async, calls=calls or {}, opens=dict.fromkeys(methods, gives))
